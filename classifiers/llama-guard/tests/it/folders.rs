//! Folders that are damaged or of something else are refused, in words that say what to do. Nothing panics.

use std::fs;
use std::path::Path;

use classifiers_core::Category;
use classifiers_llama_guard::{Device, LlamaGuard, Options, Precision, Variant};
use proptest::prelude::*;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{fixture, guard, options};

fn copy(name: &str) -> TempDir {
    let folder = TempDir::new().unwrap();
    for entry in fs::read_dir(fixture(name)).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|kind| kind != "gz") {
            fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
        }
    }
    folder
}

fn refusal(folder: &Path) -> String {
    LlamaGuard::load(folder, &options()).map(drop).unwrap_err().to_string()
}

fn edit(folder: &Path, file: &str, change: impl FnOnce(&mut Value)) {
    let path = folder.join(file);
    let mut value: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    change(&mut value);
    fs::write(&path, serde_json::to_vec(&value).unwrap()).unwrap();
}

#[test]
fn a_config_that_leaves_anything_open_is_refused() {
    let cases: [(&str, Value, &str); 12] = [
        ("rope_theta", Value::Null, "`rope_theta` is missing"),
        ("rope_theta", json!(-1.0), "rope_theta is not above 0"),
        ("rope_scaling", json!({ "rope_type": "yarn", "factor": 8.0 }), "rope type `yarn`"),
        ("rope_scaling", json!({ "rope_type": "llama3", "factor": 8.0 }), "low_freq_factor"),
        ("rope_scaling", json!({ "rope_type": "default", "surprise": 1 }), "`surprise`"),
        ("rope_parameters", json!({ "rope_theta": 5e5 }), "`type` is missing"),
        ("model_type", json!("mllama"), "model_type is `mllama`"),
        ("num_key_value_heads", json!(3), "do not share"),
        ("num_hidden_layers", json!(3), "`model.layers.2.input_layernorm.weight` is missing"),
        ("num_hidden_layers", json!(1), "does not belong"),
        ("intermediate_size", json!(64), "has shape [128, 64] where"),
        ("vocab_size", json!(300), "the model only 300"),
    ];
    for (key, value, says) in cases {
        let folder = copy("8b-f32");
        edit(folder.path(), "config.json", |config| config[key] = value);
        let said = refusal(folder.path());
        assert!(said.contains(says), "{key}: {said}");
    }
}

#[test]
fn both_spellings_of_rope_settings_are_the_same_model() {
    let ours = guard("1b-bf16");
    let folder = copy("1b-bf16");
    edit(folder.path(), "config.json", |config| {
        let mut parameters = config["rope_scaling"].take();
        parameters["rope_theta"] = config["rope_theta"].take();
        config["rope_parameters"] = parameters;
    });
    let theirs = LlamaGuard::load(folder.path(), &options()).unwrap();
    assert_ne!(ours.id(), theirs.id());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let turn = [classifiers_llama_guard::Turn::new(classifiers_llama_guard::Speaker::User, "hi")];
    let verdicts = runtime.block_on(async { (ours.judge(&turn).await, theirs.judge(&turn).await) });
    assert_eq!(verdicts.0.unwrap(), verdicts.1.unwrap());
}

#[test]
fn files_that_are_missing_damaged_or_elsewhere_are_refused() {
    let shard = "model-00002-of-00004.safetensors";
    for (file, says) in
        [("config.json", "cannot be read"), ("tokenizer.json", "cannot be read"), (shard, shard)]
    {
        let folder = copy("8b-f32");
        fs::remove_file(folder.path().join(file)).unwrap();
        assert!(refusal(folder.path()).contains(says));
    }
    let folder = copy("8b-f32");
    let bytes = fs::read(folder.path().join(shard)).unwrap();
    fs::write(folder.path().join(shard), &bytes[..bytes.len() - 100]).unwrap();
    assert!(refusal(folder.path()).contains("cut off or damaged"));
    let index = "model.safetensors.index.json";
    let folder = copy("8b-f32");
    edit(folder.path(), index, |index| {
        index["weight_map"]["lm_head.weight"] = json!("../elsewhere.safetensors");
    });
    assert!(refusal(folder.path()).contains("not in a file of this folder"));
    let folder = copy("8b-f32");
    edit(folder.path(), index, |index| {
        index["weight_map"]["lm_head.weight"] = json!(shard);
    });
    assert!(refusal(folder.path()).contains("`lm_head.weight` is not in"));
    let folder = copy("8b-f32");
    edit(folder.path(), "tokenizer_config.json", |described| {
        let template =
            described["chat_template"].as_str().unwrap().replace("ONLY THE LAST", "THE LAST");
        described["chat_template"] = json!(template);
    });
    assert!(refusal(folder.path()).contains("not that of Llama Guard 3"));
    let folder = copy("8b-f32");
    edit(folder.path(), "tokenizer_config.json", |described| {
        described["chat_template"] =
            json!("{% for a in range(10000) %}{% for b in range(10000) %}{% endfor %}{% endfor %}");
    });
    assert!(refusal(folder.path()).contains("not that of Llama Guard 3"));
}

#[test]
fn a_model_that_answers_something_else_fails_its_self_test() {
    let folder = copy("1b-f16");
    let path = folder.path().join("model.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    let header = usize::try_from(u64::from_le_bytes(bytes[..8].try_into().unwrap())).unwrap();
    // Weights of another training: small, and all alike.
    bytes[header + 8..].chunks_exact_mut(2).for_each(|number| number.copy_from_slice(&[0, 0x20]));
    fs::write(&path, bytes).unwrap();
    assert!(refusal(folder.path()).contains("self-test"));
}

#[test]
fn what_the_options_ask_for_and_cannot_have_is_said() {
    let load = |options: Options| {
        LlamaGuard::load(&fixture("8b-f32"), &options).map(drop).unwrap_err().to_string()
    };
    let cuda = load(Options { device: Device::Cuda(0), ..options() });
    assert!(cfg!(feature = "cuda") || cuda.contains("build-cuda.sh"), "{cuda}");
    assert!(
        load(Options { precision: Some(Precision::Bf16), ..options() }).contains("use f32 or f16")
    );
    assert!(
        load(Options { kept_tokens: Some(100), ..options() }).contains("does not hold the prompt")
    );
    let all = Category::ALL.to_vec();
    assert!(load(Options { exclude: all, ..options() }).contains("no category is left"));
    let renamed = vec![(Category::Jailbreak, "x".to_owned())];
    assert!(load(Options { rename: renamed, ..options() }).contains("not asked about it"));
}

#[test]
fn what_is_known_about_a_model_is_said() {
    let guard = guard("8b-f32");
    let facts = guard.facts();
    assert_eq!((facts.variant, facts.capacity), (Variant::Eight, 4096));
    // 160,960 parameters and 256 numbers of four bytes for each token kept.
    assert_eq!((facts.weight_bytes, facts.store_bytes), (160_960 * 4, 4096 * 2 * 2 * 16 * 4));
    assert!(facts.files.iter().any(|(path, _)| path.ends_with("model-00001-of-00004.safetensors")));
    let other = LlamaGuard::load(
        &fixture("8b-f32"),
        &Options { exclude: vec![Category::SpecializedAdvice], ..options() },
    );
    let other = other.unwrap();
    assert!(!other.covers().contains(&Category::SpecializedAdvice) && other.covers().len() == 13);
    assert_ne!(guard.id(), other.id());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_byte_changed_anywhere_makes_it_panic(file in 0usize..5, at in any::<prop::sample::Index>(), byte: u8) {
        let name = ["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors.index.json",
            "model-00003-of-00004.safetensors"][file];
        let folder = copy("8b-f32");
        let path = folder.path().join(name);
        let mut bytes = fs::read(&path).unwrap();
        // Of weights only what describes them.
        let end = if file == 4 { 600 } else { bytes.len() };
        let at = at.index(end);
        bytes[at] = byte;
        fs::write(&path, bytes).unwrap();
        drop(LlamaGuard::load(folder.path(), &options()));
    }
}
