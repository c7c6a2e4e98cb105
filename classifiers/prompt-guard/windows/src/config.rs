//! What a folder's `config.json` says about the model.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::scores::Family;

/// A folder is no Prompt Guard; the text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// A file is not there or cannot be read.
    #[error("{} cannot be read ({error}); {EXPORT}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// There are weights, but not for ONNX Runtime.
    #[error("{} has no model.onnx or onnx/model.onnx; {EXPORT}", folder.display())]
    NotExported {
        /// The folder.
        folder: PathBuf,
    },
    /// A file says something that does not fit.
    #[error("{}: {fault}", path.display())]
    Wrong {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what to do.
        fault: String,
    },
}

const EXPORT: &str = "the folder must be one that classifiers/prompt-guard/tools/export.py wrote, or that has the same \
                      model.onnx, tokenizer.json and config.json";

/// `config.json`.
#[derive(Debug)]
pub struct Config {
    path: PathBuf,
    value: Value,
}

impl Config {
    /// Reads it.
    ///
    /// # Errors
    /// When it is not there, or of another model.
    pub fn read(path: &Path) -> Result<Self, FolderError> {
        let value = serde_json::from_slice(&read(path)?).map_err(|error| FolderError::Wrong {
            path: path.to_owned(),
            fault: format!("it is no JSON: {error}"),
        })?;
        let config = Self { path: path.to_owned(), value };
        match config.value.get("model_type").and_then(Value::as_str) {
            Some("deberta-v2") => Ok(config),
            other => Err(config.wrong(format!(
                "model_type is {}, and Prompt Guard's is deberta-v2: this is another model",
                other.unwrap_or("missing")
            ))),
        }
    }

    fn wrong(&self, fault: String) -> FolderError {
        FolderError::Wrong { path: self.path.clone(), fault }
    }

    /// A field that is a whole number.
    ///
    /// # Errors
    /// When it is not there.
    pub fn number(&self, field: &str) -> Result<u64, FolderError> {
        let number = self.value.get(field).and_then(Value::as_u64);
        number.ok_or_else(|| self.wrong(format!("{field} is missing or no number")))
    }

    /// How many tokens a window has, `[CLS]` and `[SEP]` included.
    ///
    /// # Errors
    /// When it does not say, or too few.
    pub fn window(&self) -> Result<usize, FolderError> {
        let positions = self.number("max_position_embeddings")?;
        match usize::try_from(positions) {
            Ok(positions @ 16..) => Ok(positions.min(LONGEST_WINDOW)),
            _ => Err(self.wrong(format!("max_position_embeddings is {positions}, too few"))),
        }
    }

    /// The labels in the order of their ids; an order other than the model card's would turn scores around.
    ///
    /// # Errors
    /// When they are in another order.
    pub fn labels(&self) -> Result<(Family, Vec<String>), FolderError> {
        let labels = self.names()?;
        let shown: Vec<String> = labels.iter().map(|label| label.to_uppercase()).collect();
        let shown: Vec<&str> = shown.iter().map(String::as_str).collect();
        match *shown {
            ["BENIGN" | "LABEL_0", "INJECTION" | "LABEL_1", "JAILBREAK" | "LABEL_2"] => Ok((Family::Three, labels)),
            ["BENIGN" | "LABEL_0", "MALICIOUS" | "INJECTION" | "JAILBREAK" | "LABEL_1"] => Ok((Family::Two, labels)),
            _ => Err(self.wrong(format!(
                "the labels by id are {}; Prompt Guard 1 has BENIGN, INJECTION, JAILBREAK and Prompt Guard 2 has BENIGN, \
                 MALICIOUS (or LABEL_0, LABEL_1), in this order",
                shown.join(", ")
            ))),
        }
    }

    fn names(&self) -> Result<Vec<String>, FolderError> {
        let Some(names) = self.value.get("id2label").and_then(Value::as_object) else {
            // Left out where the names are the default ones, of which there are two unless another number is said.
            let count = self.value.get("num_labels").and_then(Value::as_u64).unwrap_or(2);
            return Ok((0..count.min(100)).map(|id| format!("LABEL_{id}")).collect());
        };
        let label =
            |id: usize| names.get(&id.to_string()).and_then(Value::as_str).map(str::to_owned);
        let labels: Option<Vec<String>> = (0..names.len()).map(label).collect();
        labels.ok_or_else(|| self.wrong("id2label does not name ids from 0 on".to_owned()))
    }
}

/// Prompt Guard was trained on no longer texts.
const LONGEST_WINDOW: usize = 512;

/// The bytes of a file.
///
/// # Errors
/// When it cannot be read.
pub fn read(path: &Path) -> Result<Vec<u8>, FolderError> {
    fs::read(path).map_err(|error| FolderError::Unreadable { path: path.to_owned(), error })
}
