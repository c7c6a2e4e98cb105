//! A GGUF file says what its dequantised self says.

use std::collections::HashMap;
use std::fs::{self, File};

use candle_core::quantized::gguf_file::{self, Value};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor, safetensors};

use super::{FIXTURES, fixture};
use crate::gguf::tests::interleaved;
use crate::load::load;
use crate::{Options, Speaker, Turn};

fn own(name: &str) -> String {
    let pairs = [
        ("model.embed_tokens", "token_embd"),
        ("model.norm", "output_norm"),
        ("lm_head", "output"),
        ("model.layers", "blk"),
        ("input_layernorm", "attn_norm"),
        ("post_attention_layernorm", "ffn_norm"),
        ("self_attn.q_proj", "attn_q"),
        ("self_attn.k_proj", "attn_k"),
        ("self_attn.v_proj", "attn_v"),
        ("self_attn.o_proj", "attn_output"),
        ("mlp.gate_proj", "ffn_gate"),
        ("mlp.up_proj", "ffn_up"),
        ("mlp.down_proj", "ffn_down"),
    ];
    pairs.iter().fold(name.to_owned(), |name, (theirs, ours)| name.replace(theirs, ours))
}

#[test]
fn a_file_of_eight_bits_says_what_its_dequantised_self_says() {
    for name in FIXTURES {
        let (quantised, plain) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut weights: HashMap<String, Tensor> = HashMap::new();
        for entry in fs::read_dir(fixture(name)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|kind| kind == "safetensors") {
                weights.extend(safetensors::load(&path, &Device::Cpu).unwrap());
            } else if !path.ends_with("model.safetensors.index.json") {
                for folder in [&quantised, &plain] {
                    fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
                }
            }
        }
        let (mut stored, mut dequantised) = (Vec::new(), HashMap::new());
        for (name, weight) in weights {
            let weight = weight.to_dtype(candle_core::DType::F32).unwrap();
            let dtype = if weight.rank() == 2 { GgmlDType::Q8_0 } else { GgmlDType::F32 };
            let same = QTensor::quantize(&weight, dtype).unwrap().dequantize(&Device::Cpu).unwrap();
            let turned = name.contains("q_proj") || name.contains("k_proj");
            let weight = if turned { interleaved(&weight, 8) } else { weight };
            stored.push((own(&name), QTensor::quantize(&weight, dtype).unwrap()));
            dequantised.insert(name, same);
        }
        safetensors::save(&dequantised, plain.path().join("model.safetensors")).unwrap();
        let angles = Tensor::ones(4, candle_core::DType::F32, &Device::Cpu).unwrap();
        if name != "8b-f32" {
            stored.push((
                "rope_freqs.weight".into(),
                QTensor::quantize(&angles, GgmlDType::F32).unwrap(),
            ));
        }
        let config: serde_json::Value =
            serde_json::from_slice(&fs::read(fixture(name).join("config.json")).unwrap()).unwrap();
        let count = |key: &str| Value::U32(config[key].as_u64().unwrap() as u32);
        let metadata = [
            ("general.architecture", Value::String("llama".into())),
            ("llama.block_count", count("num_hidden_layers")),
            ("llama.embedding_length", count("hidden_size")),
            ("llama.attention.head_count", count("num_attention_heads")),
            ("llama.attention.head_count_kv", count("num_key_value_heads")),
        ];
        let metadata: Vec<(&str, &Value)> =
            metadata.iter().map(|(key, value)| (*key, value)).collect();
        let tensors: Vec<(&str, &QTensor)> = stored.iter().map(|(n, t)| (n.as_str(), t)).collect();
        let mut file = File::create(quantised.path().join("model-q8_0.gguf")).unwrap();
        gguf_file::write(&mut file, &metadata, &tensors).unwrap();
        let said = [quantised.path(), plain.path()].map(|folder| {
            let mut model = load(folder, &Options::default()).unwrap();
            let turns = [Turn::new(Speaker::User, "How do I sell forgery?")];
            let (prompt, _) = model.asker.windows(&turns, false).unwrap().remove(0);
            model.judge.judge(&[prompt]).remove(0).unwrap()
        });
        assert_eq!(said[0], said[1], "{name}");
        assert!(said[0].is_unsafe && said[0].listed == [2]);
        // Without its angles a file of a scaled model would be another one.
        if name == "8b-f32" {
            let other = fixture("1b-bf16/config.json");
            fs::copy(other, quantised.path().join("config.json")).unwrap();
            assert!(load(quantised.path(), &Options::default()).is_err());
        }
    }
}
