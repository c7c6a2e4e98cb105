//! What can go wrong in the trainer.

use std::path::PathBuf;

use classifiers_starter::WeightsError;

/// Why training or evaluation stopped.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A file could not be read.
    #[error("cannot read `{path}`")]
    Open { path: PathBuf, source: std::io::Error },
    /// A file could not be written.
    #[error("cannot write `{path}`")]
    Write { path: PathBuf, source: std::io::Error },
    /// A line of data is no JSON of the expected form.
    #[error("line {number} of the data is malformed")]
    Line { number: usize, source: serde_json::Error },
    /// A line of data has an unknown label.
    #[error("line {number} of the data has an unknown label")]
    Label { number: usize },
    /// A line of the lexicon or of the templates cannot be used.
    #[error("cannot use the line `{line}` of `{file}`")]
    Source { file: &'static str, line: String },
    /// Freshly made weights did not load.
    #[error("the trained weights do not load")]
    Weights(#[from] WeightsError),
}
