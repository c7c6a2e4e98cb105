//! Tests that look inside: ids, logits, and what is reused. What a user sees is tested in `tests/`.

mod gguf;
mod parity;
mod prefixes;
mod prompts;

use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::load::{Loaded, load};
use crate::{Options, Speaker, Turn};

pub(crate) const FIXTURES: [&str; 3] = ["8b-f32", "1b-bf16", "1b-f16"];

pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

pub(crate) fn loaded(name: &str, options: &Options) -> Loaded {
    load(&fixture(name), options).unwrap()
}

/// The lines of a compressed file of JSON lines.
pub(crate) fn rows(path: &Path) -> Vec<Value> {
    let mut text = String::new();
    let file = std::fs::File::open(path).unwrap();
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

pub(crate) fn turns(row: &Value) -> Vec<Turn> {
    let turns = row["turns"].as_array().unwrap().iter();
    turns
        .map(|turn| {
            let speaker = if turn[0] == "user" { Speaker::User } else { Speaker::Agent };
            Turn::new(speaker, turn[1].as_str().unwrap())
        })
        .collect()
}

pub(crate) fn ids(value: &Value) -> Vec<u32> {
    serde_json::from_value(value.clone()).unwrap()
}

pub(crate) fn numbers(value: &Value) -> Vec<f32> {
    serde_json::from_value(value.clone()).unwrap()
}
