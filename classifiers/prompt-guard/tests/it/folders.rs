//! Folders that are not what they should be say so at the start, and what to do.

use std::fs;
use std::path::Path;

use classifiers_prompt_guard::{Options, PromptGuard};

use super::{fixture, load, options};

/// A copy of the three-label fixture, changed by `change`, and what loading it says.
fn refusal(change: impl Fn(&Path)) -> String {
    let dir = tempfile::tempdir().unwrap();
    for name in ["config.json", "tokenizer.json", "model.onnx"] {
        fs::copy(fixture("labels3").join(name), dir.path().join(name)).unwrap();
    }
    change(dir.path());
    let error = PromptGuard::load(dir.path(), options()).unwrap_err().to_string();
    error.replace(&dir.path().display().to_string(), "DIR")
}

fn edit(name: &'static str, from: &'static str, to: &'static str) -> impl Fn(&Path) {
    move |dir| {
        let path = dir.join(name);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{text}");
        fs::write(path, text.replace(from, to)).unwrap();
    }
}

#[test]
fn wrong_and_damaged_folders_are_refused_with_what_to_do() {
    // Without the library there is nothing to load at all.
    if load("labels3", options()).is_none() {
        return;
    }
    let remove = |name: &'static str| move |dir: &Path| fs::remove_file(dir.join(name)).unwrap();
    let cases: [(&str, Box<dyn Fn(&Path)>, &[&str]); 10] = [
        (
            "no folder",
            Box::new(|dir| fs::remove_dir_all(dir).unwrap()),
            &["DIR/config.json cannot be read", "export.py"],
        ),
        ("no model", Box::new(remove("model.onnx")), &["DIR has no model.onnx", "export.py"]),
        (
            "no tokenizer",
            Box::new(remove("tokenizer.json")),
            &["DIR/tokenizer.json cannot be read"],
        ),
        (
            "another model",
            Box::new(edit("config.json", "deberta-v2", "bert")),
            &["model_type is bert", "another model"],
        ),
        (
            "labels turned",
            Box::new(edit("config.json", "\"0\": \"BENIGN\"", "\"0\": \"JAILBREAK\"")),
            &["the labels by id", "in this order"],
        ),
        (
            "broken configuration",
            Box::new(|dir| fs::write(dir.join("config.json"), "{").unwrap()),
            &["config.json: it is no JSON"],
        ),
        (
            "broken tokenizer",
            Box::new(|dir| fs::write(dir.join("tokenizer.json"), "{}").unwrap()),
            &["tokenizer.json: it is no tokenizer"],
        ),
        (
            "another vocabulary",
            Box::new(edit("config.json", "\"vocab_size\": 1200", "\"vocab_size\": 200")),
            &["of different folders"],
        ),
        (
            "a model cut off",
            Box::new(|dir| {
                let model = fs::read(dir.join("model.onnx")).unwrap();
                fs::write(dir.join("model.onnx"), &model[..model.len() / 2]).unwrap();
            }),
            &["DIR/model.onnx cannot be used"],
        ),
        (
            "the other fixture's model",
            Box::new(|dir| {
                fs::copy(fixture("labels2").join("model.onnx"), dir.join("model.onnx")).unwrap();
            }),
            &["where 3 finite numbers are due", "of different folders"],
        ),
    ];
    for (name, change, wanted) in cases {
        let said = refusal(change);
        assert!(wanted.iter().all(|part| said.contains(part)), "{name}: {said}");
    }
    for bad in [Options { threads: 0, ..options() }, Options { temperature: 0.0, ..options() }] {
        assert!(PromptGuard::load(&fixture("labels3"), bad).is_err());
    }
}

#[test]
fn the_revision_follows_every_file_and_the_model_may_lie_deeper() {
    let Some(model) = load("labels3", options()) else { return };
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("onnx")).unwrap();
    for name in ["config.json", "tokenizer.json"] {
        fs::copy(fixture("labels3").join(name), dir.path().join(name)).unwrap();
    }
    fs::copy(fixture("labels3").join("model.onnx"), dir.path().join("onnx/model.onnx")).unwrap();
    let same = PromptGuard::load(dir.path(), options()).unwrap();
    assert_eq!(same.id(), model.id());
    edit("config.json", "\"pooler_dropout\": 0", "\"pooler_dropout\": 1")(dir.path());
    let other = PromptGuard::load(dir.path(), options()).unwrap();
    assert_ne!(other.id().revision, model.id().revision);
    let warmer = PromptGuard::load(dir.path(), Options { temperature: 3.0, ..options() }).unwrap();
    assert_ne!(warmer.id().revision, other.id().revision);
}
