//! Weights in safetensors files, one or several (format: huggingface.co/docs/safetensors).
//!
//! Read tensor by tensor and never mapped into memory: a mapped file that somebody changes is undefined behaviour.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use serde_json::Value;

use classifiers_llama_guard_prompt::LoadError;

/// A header larger than this is not one of a Llama: those have some 100 bytes for each of 300 tensors.
const LONGEST_HEADER: u64 = 16 << 20;

/// Where each tensor is.
#[derive(Debug)]
pub(crate) struct Shards {
    pub(crate) files: Vec<PathBuf>,
    tensors: BTreeMap<String, Stored>,
}

/// One tensor in a file.
#[derive(Clone, Debug)]
struct Stored {
    file: PathBuf,
    dtype: DType,
    shape: Vec<usize>,
    /// Where it begins in the file.
    start: u64,
    bytes: usize,
}

impl Shards {
    /// Reads the headers of the files that `folder` lists, or of its only one.
    pub(crate) fn open(folder: &Path) -> Result<Self, LoadError> {
        let index = folder.join("model.safetensors.index.json");
        let listed = if index.is_file() { Some(listed(&index)?) } else { None };
        let mut files: Vec<PathBuf> = match &listed {
            Some(listed) => listed.values().map(|name| folder.join(name)).collect(),
            None => vec![folder.join("model.safetensors")],
        };
        files.sort();
        files.dedup();
        let mut tensors = BTreeMap::new();
        for file in &files {
            for (name, stored) in header(file)? {
                if tensors.insert(name.clone(), stored).is_some() {
                    return Err(LoadError::wrong(file, format!("`{name}` is in another file too")));
                }
            }
        }
        for (name, file) in listed.iter().flatten() {
            let found = tensors.get(name).is_some_and(|stored| stored.file == folder.join(file));
            if !found {
                return Err(LoadError::wrong(&index, format!("`{name}` is not in {file}")));
            }
        }
        Ok(Self { files, tensors })
    }

    /// How many numbers there are.
    pub(crate) fn parameters(&self) -> usize {
        self.tensors.values().map(|stored| stored.bytes / stored.dtype.size_in_bytes()).sum()
    }

    /// Takes the tensor `name`, which must have `shape`.
    pub(crate) fn take(
        &mut self,
        name: &str,
        shape: &[usize],
        (dtype, device): (DType, &Device),
    ) -> Result<Tensor, LoadError> {
        let Some(stored) = self.tensors.remove(name) else {
            let file = self.files.first().map_or_else(|| Path::new("."), PathBuf::as_path);
            return Err(LoadError::wrong(file, format!("`{name}` is missing")));
        };
        if stored.shape != shape {
            let fault =
                format!("`{name}` has shape {:?} where config.json means {shape:?}", stored.shape);
            return Err(LoadError::wrong(&stored.file, fault));
        }
        stored.read(dtype, device)
    }

    /// Ends with an error if anything is left that would have had a meaning.
    pub(crate) fn all_taken(&self) -> Result<(), LoadError> {
        // Older files hold the angles, and some hold the output layer although it is the embedding.
        let harmless =
            |name: &str| name.ends_with("rotary_emb.inv_freq") || name == "lm_head.weight";
        match self.tensors.iter().find(|(name, _)| !harmless(name)) {
            None => Ok(()),
            Some((name, stored)) => Err(LoadError::wrong(
                &stored.file,
                format!("`{name}` does not belong to a Llama as config.json describes it"),
            )),
        }
    }
}

impl Stored {
    fn read(&self, dtype: DType, device: &Device) -> Result<Tensor, LoadError> {
        let failed = |error| LoadError::unreadable(&self.file, error);
        let mut file = File::open(&self.file).map_err(failed)?;
        file.seek(SeekFrom::Start(self.start)).map_err(failed)?;
        let mut bytes = vec![0; self.bytes];
        file.read_exact(&mut bytes).map_err(failed)?;
        // Converted here, so that the device never holds a tensor twice.
        Tensor::from_raw_buffer(&bytes, self.dtype, &self.shape, &Device::Cpu)
            .and_then(|tensor| tensor.to_dtype(dtype)?.to_device(device))
            .map_err(|error| LoadError::wrong(&self.file, error.to_string()))
    }
}

/// The index: tensor name to file name.
fn listed(index: &Path) -> Result<BTreeMap<String, String>, LoadError> {
    let text = std::fs::read(index).map_err(|error| LoadError::unreadable(index, error))?;
    let value: Value = serde_json::from_slice(&text)
        .map_err(|error| LoadError::wrong(index, format!("it is no JSON: {error}")))?;
    let map = value.get("weight_map").and_then(Value::as_object);
    let map = map.ok_or_else(|| LoadError::wrong(index, "`weight_map` is missing"))?;
    map.iter()
        .map(|(name, file)| {
            let file = file.as_str().filter(|file| is_plain_name(file)).ok_or_else(|| {
                LoadError::wrong(index, format!("`{name}` is not in a file of this folder"))
            })?;
            Ok((name.clone(), file.to_owned()))
        })
        .collect()
}

/// Whether `name` stays in its folder.
fn is_plain_name(name: &str) -> bool {
    name.ends_with(".safetensors") && !name.contains(['/', '\\', '\0', ':'])
}

fn header(path: &Path) -> Result<Vec<(String, Stored)>, LoadError> {
    let failed = |error| LoadError::unreadable(path, error);
    let wrong = |fault: &str| LoadError::wrong(path, fault);
    let mut file = File::open(path).map_err(failed)?;
    let size = file.metadata().map_err(failed)?.len();
    let mut length = [0; 8];
    file.read_exact(&mut length).map_err(failed)?;
    let length = u64::from_le_bytes(length);
    if length > LONGEST_HEADER || length + 8 > size {
        return Err(wrong("it is cut off, or no safetensors file"));
    }
    let mut text = vec![0; usize::try_from(length).unwrap_or_default()];
    file.read_exact(&mut text).map_err(failed)?;
    let value: Value = serde_json::from_slice(&text)
        .map_err(|error| LoadError::wrong(path, format!("its header is no JSON: {error}")))?;
    let entries = value.as_object().ok_or_else(|| wrong("its header is no object"))?;
    entries
        .iter()
        .filter(|(name, _)| *name != "__metadata__")
        .map(|(name, entry)| {
            let stored = stored(path, entry, (length + 8, size))
                .map_err(|fault| LoadError::wrong(path, format!("`{name}` {fault}")))?;
            Ok((name.clone(), stored))
        })
        .collect()
}

/// One entry of a header; `from` is where data begins, `size` where the file ends.
fn stored(path: &Path, entry: &Value, (from, size): (u64, u64)) -> Result<Stored, String> {
    let dtype = match entry.get("dtype").and_then(Value::as_str) {
        Some("F32") => DType::F32,
        Some("F16") => DType::F16,
        Some("BF16") => DType::BF16,
        other => {
            let kind = other.unwrap_or("no type");
            return Err(format!(
                "is of {kind}; F32, F16 and BF16 can be read. For 8 bits use a GGUF file in Q8_0"
            ));
        }
    };
    let numbers = |field: &str| -> Option<Vec<u64>> {
        entry.get(field)?.as_array()?.iter().map(Value::as_u64).collect()
    };
    let shape: Option<Vec<usize>> = numbers("shape")
        .and_then(|shape| shape.into_iter().map(|n| usize::try_from(n).ok()).collect());
    let (Some(shape), Some(offsets)) = (shape, numbers("data_offsets")) else {
        return Err("has no shape or no offsets".to_owned());
    };
    let count = shape.iter().try_fold(dtype.size_in_bytes(), |n, side| n.checked_mul(*side));
    let &[start, end] = &offsets[..] else { return Err("has no two offsets".to_owned()) };
    let bytes = end.checked_sub(start).and_then(|bytes| usize::try_from(bytes).ok());
    match (count, bytes, from.checked_add(end)) {
        (Some(count), Some(bytes), Some(last)) if count == bytes && last <= size => {
            Ok(Stored { file: path.to_owned(), dtype, shape, start: from + start, bytes })
        }
        _ => Err("does not lie in the file as its shape says: it is cut off or damaged".to_owned()),
    }
}
