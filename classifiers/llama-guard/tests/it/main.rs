//! Llama Guard as the proxy uses it, on small folders.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::type_complexity,
    reason = "a test that panics has found something"
)]

mod folders;
mod service;

use std::path::{Path, PathBuf};

use classifiers_llama_guard::{LlamaGuard, Options};

pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

pub(crate) fn options() -> Options {
    Options { kept_tokens: Some(4096), ..Options::default() }
}

pub(crate) fn guard(name: &str) -> LlamaGuard {
    LlamaGuard::load(&fixture(name), &options()).unwrap()
}
