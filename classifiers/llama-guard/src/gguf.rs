//! Weights in a GGUF file (github.com/ggml-org/ggml/blob/master/docs/gguf.md), as llama.cpp converts them.
//!
//! They are read into the precision that is computed in: a file of 8 or 4 bits saves disk and download, not memory.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use candle_core::quantized::ggml_file::qtensor_from_ggml;
use candle_core::quantized::gguf_file::{Content, TensorInfo, Value};
use candle_core::{DType, Device, Tensor};

use crate::config::Config;
use classifiers_llama_guard_prompt::LoadError;

/// An open file.
#[derive(Debug)]
pub(crate) struct Gguf {
    pub(crate) path: PathBuf,
    content: Content,
    head_dim: usize,
}

/// llama.cpp's names within a layer, by those of Hugging Face.
const NAMES: [(&str, &str); 9] = [
    ("input_layernorm", "attn_norm"),
    ("self_attn.q_proj", "attn_q"),
    ("self_attn.k_proj", "attn_k"),
    ("self_attn.v_proj", "attn_v"),
    ("self_attn.o_proj", "attn_output"),
    ("post_attention_layernorm", "ffn_norm"),
    ("mlp.gate_proj", "ffn_gate"),
    ("mlp.up_proj", "ffn_up"),
    ("mlp.down_proj", "ffn_down"),
];

impl Gguf {
    /// Reads the head of the file at `path`, which must be of the model that `config` describes.
    pub(crate) fn open(path: &Path, config: &Config) -> Result<Self, LoadError> {
        let file = File::open(path).map_err(|error| LoadError::unreadable(path, error))?;
        let content = Content::read(&mut BufReader::new(file))
            .map_err(|error| LoadError::wrong(path, format!("it is no GGUF file: {error}")))?;
        let gguf = Self { path: path.to_owned(), content, head_dim: config.head_dim };
        gguf.fits(config).map_err(|fault| LoadError::wrong(path, fault))?;
        Ok(gguf)
    }

    /// Whether file and config.json mean the same model.
    fn fits(&self, config: &Config) -> Result<(), String> {
        let architecture = self.content.metadata.get("general.architecture");
        if !matches!(architecture, Some(Value::String(name)) if name == "llama") {
            return Err("it is not of a Llama".to_owned());
        }
        for (name, meant) in [
            ("block_count", config.layers),
            ("embedding_length", config.hidden),
            ("attention.head_count", config.heads),
            ("attention.head_count_kv", config.kv_heads),
        ] {
            let key = format!("llama.{name}");
            let value = self.content.metadata.get(&key).and_then(|value| value.to_u32().ok());
            if value.and_then(|value| usize::try_from(value).ok()) != Some(meant) {
                return Err(format!("`{key}` is not the {meant} of config.json"));
            }
        }
        // Angles come from config.json; the file has them written out if they are scaled.
        let scaled = self.content.tensor_infos.contains_key("rope_freqs.weight");
        if scaled != config.rope.scaling.is_some() {
            return Err("file and config.json disagree on rope scaling".to_owned());
        }
        Ok(())
    }

    /// How many numbers there are.
    pub(crate) fn parameters(&self) -> usize {
        self.content.tensor_infos.values().map(|info| info.shape.elem_count()).sum()
    }

    /// Reads the tensor that Hugging Face calls `name`, which must have `shape`.
    pub(crate) fn take(
        &self,
        name: &str,
        shape: &[usize],
        (dtype, device): (DType, &Device),
    ) -> Result<Tensor, LoadError> {
        let wrong = |fault: String| LoadError::wrong(&self.path, fault);
        let own = own_name(name).unwrap_or_else(|| name.to_owned());
        let info = self.content.tensor_infos.get(&own);
        let info = info.ok_or_else(|| wrong(format!("`{own}` is missing")))?;
        if info.shape.dims() != shape {
            let stored = info.shape.dims();
            return Err(wrong(format!(
                "`{own}` has shape {stored:?} where config.json means {shape:?}"
            )));
        }
        let mut bytes =
            self.bytes(info).map_err(|error| LoadError::unreadable(&self.path, error))?;
        if own.ends_with("attn_q.weight") || own.ends_with("attn_k.weight") {
            let rows = shape.first().copied().unwrap_or(1).max(1);
            bytes = side_by_side(&bytes, bytes.len() / rows, self.head_dim);
        }
        qtensor_from_ggml(info.ggml_dtype, &bytes, shape.to_vec(), &Device::Cpu)
            .and_then(|tensor| tensor.dequantize(&Device::Cpu)?.to_dtype(dtype)?.to_device(device))
            .map_err(|error| wrong(error.to_string()))
    }

    fn bytes(&self, info: &TensorInfo) -> std::io::Result<Vec<u8>> {
        let count = info.shape.elem_count() / info.ggml_dtype.block_size();
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(self.content.tensor_data_offset.saturating_add(info.offset)))?;
        let length = count.saturating_mul(info.ggml_dtype.type_size());
        let mut bytes = Vec::new();
        file.take(length as u64).read_to_end(&mut bytes)?;
        match bytes.len() == length {
            true => Ok(bytes),
            false => Err(std::io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

/// The rows of queries or keys in the order of Hugging Face. llama.cpp turns neighbours together where the published
/// weights turn the first half of a head with the second. Rows are quantised each on its own, so moving them is exact.
fn side_by_side(bytes: &[u8], row: usize, head_dim: usize) -> Vec<u8> {
    let rows: Vec<&[u8]> = bytes.chunks_exact(row.max(1)).collect();
    let heads = rows.chunks(head_dim);
    let ordered = heads.flat_map(|head| {
        let (even, odd) = (head.iter().step_by(2), head.iter().skip(1).step_by(2));
        even.chain(odd).copied().collect::<Vec<_>>()
    });
    ordered.flatten().copied().collect()
}

/// What llama.cpp calls the tensor `name` of Hugging Face.
fn own_name(name: &str) -> Option<String> {
    match name {
        "model.embed_tokens.weight" => return Some("token_embd.weight".to_owned()),
        "model.norm.weight" => return Some("output_norm.weight".to_owned()),
        "lm_head.weight" => return Some("output.weight".to_owned()),
        _ => {}
    }
    let inside = name.strip_prefix("model.layers.")?.strip_suffix(".weight")?;
    let (layer, part) = inside.split_once('.')?;
    let (_, own) = NAMES.iter().find(|(theirs, _)| *theirs == part)?;
    Some(format!("blk.{layer}.{own}.weight"))
}

#[cfg(test)]
pub(crate) mod tests {
    use candle_core::quantized::{GgmlDType, QTensor, gguf_file};

    use super::*;

    /// The opposite of [`side_by_side`], as llama.cpp's converter does it.
    pub(crate) fn interleaved(weight: &Tensor, head_dim: usize) -> Tensor {
        let (rows, columns) = weight.dims2().unwrap();
        let heads = weight.reshape((rows / head_dim, 2, head_dim / 2, columns)).unwrap();
        heads.transpose(1, 2).unwrap().contiguous().unwrap().reshape((rows, columns)).unwrap()
    }

    #[test]
    fn rows_of_queries_come_back_in_order_in_every_format() {
        let weight = Tensor::randn(0f32, 1f32, (32, 256), &Device::Cpu).unwrap();
        for dtype in [GgmlDType::F32, GgmlDType::F16, GgmlDType::Q8_0, GgmlDType::Q4K] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("one.gguf");
            let stored = QTensor::quantize(&interleaved(&weight, 8), dtype).unwrap();
            let mut file = File::create(&path).unwrap();
            gguf_file::write(&mut file, &[], &[("blk.0.attn_q.weight", &stored)]).unwrap();
            let content = Content::read(&mut File::open(&path).unwrap()).unwrap();
            let gguf = Gguf { path, content, head_dim: 8 };
            let name = "model.layers.0.self_attn.q_proj.weight";
            let read = gguf.take(name, &[32, 256], (DType::F32, &Device::Cpu)).unwrap();
            let plain =
                QTensor::quantize(&weight, dtype).unwrap().dequantize(&Device::Cpu).unwrap();
            let rows = |tensor: &Tensor| tensor.to_vec2::<f32>().unwrap();
            assert_eq!(rows(&read), rows(&plain), "{dtype:?}");
        }
    }
}
