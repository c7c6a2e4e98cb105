//! A model's folder: which files it has, and whether they belong together.

use std::fs::File;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::config::Config;
use crate::source::Source;
use classifiers_llama_guard_prompt::LoadError;
use classifiers_llama_guard_prompt::{Tokens, Variant, chat_template, variant};

/// A checked folder, without its weights.
#[derive(Debug)]
pub(crate) struct Folder {
    pub(crate) config: Config,
    pub(crate) tokens: Tokens,
    pub(crate) variant: Variant,
    pub(crate) source: Source,
    /// Every file that an answer depends on.
    pub(crate) files: Vec<PathBuf>,
}

impl Folder {
    pub(crate) fn open(path: &Path) -> Result<Self, LoadError> {
        let config_file = path.join("config.json");
        let config = Config::read(&config_file)?;
        let tokenizer = path.join("tokenizer.json");
        let tokens = Tokens::read(&tokenizer)?;
        if tokens.count() > config.vocabulary {
            let (known, rows) = (tokens.count(), config.vocabulary);
            let fault = format!("it has {known} tokens, the model only {rows}");
            return Err(LoadError::wrong(&tokenizer, fault));
        }
        let (template_file, source) = chat_template(path)?;
        let variant = variant(&template_file, &source)?;
        let source = Source::open(path, &config)?;
        let mut files = vec![config_file, tokenizer, template_file];
        files.extend(source.files());
        Ok(Self { config, tokens, variant, source, files })
    }
}

/// Whether `folder` looks like one of a Llama, good or bad: its config.json says so.
#[must_use]
pub fn is_llama(folder: &Path) -> bool {
    let config = std::fs::read(folder.join("config.json")).ok();
    let config = config.and_then(|text| serde_json::from_slice::<Value>(&text).ok());
    let kind = config.as_ref().and_then(|config| config.get("model_type")).and_then(Value::as_str);
    kind.is_some_and(|kind| kind.contains("llama"))
}

/// The digest of each of `files`, and one of all of them.
pub(crate) fn digests(
    files: &[PathBuf],
) -> Result<(Vec<(PathBuf, blake3::Hash)>, blake3::Hash), LoadError> {
    let mut all = blake3::Hasher::new();
    let digests = files.iter().map(|path| {
        let mut hasher = blake3::Hasher::new();
        let failed = |error| LoadError::unreadable(path, error);
        hasher.update_reader(File::open(path).map_err(failed)?).map_err(failed)?;
        let digest = hasher.finalize();
        all.update(digest.as_bytes());
        Ok((path.clone(), digest))
    });
    let digests = digests.collect::<Result<_, LoadError>>()?;
    Ok((digests, all.finalize()))
}
