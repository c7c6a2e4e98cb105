//! What a model runs on.

use std::fmt;
use std::str::FromStr;

use candle_core::DType;

use classifiers_llama_guard_prompt::LoadError;

/// What a model runs on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Device {
    /// The processor.
    #[default]
    Cpu,
    /// The NVIDIA graphics card with this number; only in a build with the feature `cuda`.
    Cuda(usize),
}

/// The number type that a model is computed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// 32 bits: the default on a processor.
    F32,
    /// 16 bits, a fine fraction and a small range. Half the memory; on a processor slower.
    F16,
    /// 16 bits, a coarse fraction and a large range: the default on a graphics card.
    Bf16,
}

impl Device {
    pub(crate) fn open(self) -> Result<candle_core::Device, LoadError> {
        match self {
            Self::Cpu => Ok(candle_core::Device::Cpu),
            Self::Cuda(_) if !cfg!(feature = "cuda") => Err(LoadError::Options(
                "this build has no support for graphics cards; classifiers/llama-guard/tools/build-cuda.sh makes one that has"
                    .to_owned(),
            )),
            Self::Cuda(number) => candle_core::Device::new_cuda(number).map_err(|error| {
                LoadError::Options(format!("the graphics card {number} cannot be used: {error}"))
            }),
        }
    }

    /// What is computed in where nothing else is asked for.
    pub(crate) const fn precision(self) -> Precision {
        match self {
            Self::Cpu => Precision::F32,
            Self::Cuda(_) => Precision::Bf16,
        }
    }
}

impl Precision {
    pub(crate) fn on(self, device: Device) -> Result<DType, LoadError> {
        match (self, device) {
            (Self::F32, _) => Ok(DType::F32),
            (Self::F16, _) => Ok(DType::F16),
            (Self::Bf16, Device::Cuda(_)) => Ok(DType::BF16),
            (Self::Bf16, Device::Cpu) => Err(LoadError::Options(
                "a processor does not compute in bf16 here; use f32 or f16, whatever the weights are stored in"
                    .to_owned(),
            )),
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(number) => write!(f, "cuda:{number}"),
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
        })
    }
}

/// The text names nothing that is known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not one of {known}")]
pub struct Unknown {
    text: String,
    known: &'static str,
}

impl FromStr for Device {
    type Err = Unknown;

    fn from_str(text: &str) -> Result<Self, Unknown> {
        let unknown = || Unknown { text: text.to_owned(), known: "cpu, cuda, cuda:NUMBER" };
        match text.split_once(':') {
            None if text == "cpu" => Ok(Self::Cpu),
            None if text == "cuda" => Ok(Self::Cuda(0)),
            Some(("cuda", number)) => number.parse().map(Self::Cuda).map_err(|_| unknown()),
            _ => Err(unknown()),
        }
    }
}

impl FromStr for Precision {
    type Err = Unknown;

    fn from_str(text: &str) -> Result<Self, Unknown> {
        match text {
            "f32" => Ok(Self::F32),
            "f16" => Ok(Self::F16),
            "bf16" => Ok(Self::Bf16),
            _ => Err(Unknown { text: text.to_owned(), known: "f32, f16, bf16" }),
        }
    }
}
