//! Why there is no model.

use std::io;
use std::path::{Path, PathBuf};

/// A folder holds no Llama Guard that can be used; the text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file is not there or cannot be read.
    #[error("{} cannot be read ({error}); the folder must be as published: config.json, tokenizer.json, a chat template and *.safetensors, or these and one *.gguf", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// A file says something that does not fit.
    #[error("{}: {fault}", path.display())]
    Wrong {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what to do.
        fault: String,
    },
    /// The model is read, but does not do what a Llama Guard does.
    #[error("the model failed its self-test: {0}")]
    SelfTest(String),
    /// The options make no sense, or this machine or build cannot do what they ask for.
    #[error("{0}")]
    Options(String),
}

impl LoadError {
    /// `path` says something that does not fit.
    pub fn wrong(path: &Path, fault: impl Into<String>) -> Self {
        Self::Wrong { path: path.to_owned(), fault: fault.into() }
    }

    /// `path` cannot be read.
    #[must_use]
    pub fn unreadable(path: &Path, error: io::Error) -> Self {
        Self::Unreadable { path: path.to_owned(), error }
    }
}
