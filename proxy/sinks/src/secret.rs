//! Where secrets are. They are read when they are needed, so that new ones need no restart.

use std::io;
use std::path::PathBuf;

use crate::error::SinkError;

/// Where a secret is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Secret {
    /// In a file.
    File(PathBuf),
    /// In an environment variable.
    Variable(String),
}

impl Secret {
    /// What is there now, without blanks around it; `what` is what it is called.
    pub(crate) fn read(&self, what: &'static str) -> Result<String, SinkError> {
        let (place, read) = match self {
            Self::File(path) => (path.display().to_string(), std::fs::read_to_string(path)),
            Self::Variable(name) => {
                // The library's own words would repeat what is not UTF-8.
                let none = |_| io::Error::other("it is not set, or no text");
                (name.clone(), std::env::var(name).map_err(none))
            }
        };
        let text = read.map_err(|source| SinkError::Login { what, place, source })?;
        Ok(text.trim().to_owned())
    }
}
