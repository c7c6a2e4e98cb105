//! A model's folder: what is in it, and whether it is what it says.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use classifiers_prompt_guard_windows::{Config, Family, FolderError, Tokens, read};

/// A checked folder.
#[derive(Debug)]
pub(crate) struct Folder {
    pub(crate) model: PathBuf,
    pub(crate) family: Family,
    /// The labels by id, as config.json names them.
    pub(crate) labels: Vec<String>,
    pub(crate) tokens: Tokens,
    /// All files that decide about scores.
    pub(crate) files: Vec<PathBuf>,
}

impl Folder {
    pub(crate) fn open(folder: &Path) -> Result<Self, FolderError> {
        let config_path = folder.join("config.json");
        let config = Config::read(&config_path)?;
        let (family, labels) = config.labels()?;
        let candidates = [folder.join("model.onnx"), folder.join("onnx").join("model.onnx")];
        let model = candidates
            .into_iter()
            .find(|path| path.is_file())
            .ok_or_else(|| FolderError::NotExported { folder: folder.to_owned() })?;
        let tokenizer = folder.join("tokenizer.json");
        let tokens = Tokens::read(&read(&tokenizer)?, config.window()?)
            .map_err(|fault| FolderError::Wrong { path: tokenizer.clone(), fault })?;
        let known = config.number("vocab_size")?;
        if tokens.highest_id() >= known {
            let fault = format!(
                "it has ids up to {}, and the model knows {known}: the tokenizer and the model are of different folders",
                tokens.highest_id()
            );
            return Err(FolderError::Wrong { path: tokenizer, fault });
        }
        let mut files = vec![config_path, tokenizer, model.clone()];
        files.extend(beside(&model)?);
        Ok(Self { model, family, labels, tokens, files })
    }

    /// What changes when any file changes: the BLAKE3 digest of each, and of all together.
    pub(crate) fn digests(
        &self,
    ) -> Result<(Vec<(PathBuf, blake3::Hash)>, blake3::Hash), FolderError> {
        let mut whole = blake3::Hasher::new();
        let mut digests = Vec::new();
        for path in &self.files {
            let unreadable = |error| FolderError::Unreadable { path: path.clone(), error };
            let mut hasher = blake3::Hasher::new();
            hasher.update_reader(File::open(path).map_err(unreadable)?).map_err(unreadable)?;
            let digest = hasher.finalize();
            whole.update(digest.as_bytes());
            digests.push((path.clone(), digest));
        }
        Ok((digests, whole.finalize()))
    }
}

/// Files with weights that the model refers to.
fn beside(model: &Path) -> Result<Vec<PathBuf>, FolderError> {
    let folder = model.parent().unwrap_or(model);
    let unreadable = |error| FolderError::Unreadable { path: folder.to_owned(), error };
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.starts_with("model.onnx") && name != "model.onnx" {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
