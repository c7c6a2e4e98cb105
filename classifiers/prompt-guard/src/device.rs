//! What a model runs on.

use std::fmt;
use std::str::FromStr;

/// What a model runs on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Device {
    /// The processor.
    #[default]
    Cpu,
    /// The graphics card of this number, through ONNX Runtime's CUDA execution provider.
    Cuda(i32),
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(number) => write!(f, "cuda:{number}"),
        }
    }
}

/// The text names no device.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no device: give cpu, cuda, or cuda:1 for the second graphics card")]
pub struct UnknownDevice(String);

impl FromStr for Device {
    type Err = UnknownDevice;

    /// Reads `cpu`, `cuda`, or `cuda:` and a number.
    fn from_str(text: &str) -> Result<Self, UnknownDevice> {
        let unknown = || UnknownDevice(text.to_owned());
        match text.split_once(':') {
            None if text == "cpu" => Ok(Self::Cpu),
            None if text == "cuda" => Ok(Self::Cuda(0)),
            Some(("cuda", number)) => {
                let number: u8 = number.parse().map_err(|_| unknown())?;
                Ok(Self::Cuda(i32::from(number)))
            }
            _ => Err(unknown()),
        }
    }
}
