//! Where weights come from.

use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};

use crate::config::Config;
use crate::gguf::Gguf;
use crate::safetensors::Shards;
use classifiers_llama_guard_prompt::LoadError;

/// The weights of a folder, by the names that Hugging Face has for them.
#[derive(Debug)]
pub(crate) enum Source {
    Safetensors(Shards),
    Gguf(Gguf),
}

impl Source {
    /// The only GGUF file in `folder`, or its safetensors.
    pub(crate) fn open(folder: &Path, config: &Config) -> Result<Self, LoadError> {
        let entries =
            std::fs::read_dir(folder).map_err(|error| LoadError::unreadable(folder, error))?;
        let is_gguf = |path: &PathBuf| path.extension().is_some_and(|kind| kind == "gguf");
        let files: Vec<PathBuf> = entries.flatten().map(|e| e.path()).filter(is_gguf).collect();
        match &files[..] {
            [] => Shards::open(folder).map(Self::Safetensors),
            [file] => Gguf::open(file, config).map(Self::Gguf),
            _ => {
                Err(LoadError::wrong(folder, "it has several GGUF files; leave the one to be used"))
            }
        }
    }

    pub(crate) fn files(&self) -> Vec<PathBuf> {
        match self {
            Self::Safetensors(shards) => shards.files.clone(),
            Self::Gguf(gguf) => vec![gguf.path.clone()],
        }
    }

    /// How many numbers there are.
    pub(crate) fn parameters(&self) -> usize {
        match self {
            Self::Safetensors(shards) => shards.parameters(),
            Self::Gguf(gguf) => gguf.parameters(),
        }
    }

    /// Takes the tensor `name`, which must have `shape`.
    pub(crate) fn take(
        &mut self,
        name: &str,
        shape: &[usize],
        on: (DType, &Device),
    ) -> Result<Tensor, LoadError> {
        match self {
            Self::Safetensors(shards) => shards.take(name, shape, on),
            Self::Gguf(gguf) => gguf.take(name, shape, on),
        }
    }

    /// Ends with an error if anything is left that would have had a meaning.
    pub(crate) fn all_taken(&self) -> Result<(), LoadError> {
        match self {
            Self::Safetensors(shards) => shards.all_taken(),
            // Its layers were counted when it was opened.
            Self::Gguf(_) => Ok(()),
        }
    }
}
