//! What a folder says about the prompt its model wants.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::error::LoadError;

/// The chat template, and the file that holds it: transformers 5 writes one of its own.
///
/// # Errors
/// When there is none.
pub fn chat_template(folder: &Path) -> Result<(PathBuf, String), LoadError> {
    let own = folder.join("chat_template.jinja");
    if own.is_file() {
        let source =
            std::fs::read_to_string(&own).map_err(|error| LoadError::unreadable(&own, error))?;
        return Ok((own, source));
    }
    let described = folder.join("tokenizer_config.json");
    let text =
        std::fs::read(&described).map_err(|error| LoadError::unreadable(&described, error))?;
    let value: Value = serde_json::from_slice(&text)
        .map_err(|error| LoadError::wrong(&described, format!("it is no JSON: {error}")))?;
    let source = value.get("chat_template").and_then(Value::as_str).map(str::to_owned);
    let source = source.ok_or_else(|| LoadError::wrong(&described, "it has no `chat_template`"))?;
    Ok((described, source))
}
