//! Small models with random weights, through the real ONNX Runtime, beside what Python says about them.
//!
//! The library comes from `cargo xtask onnxruntime`. Where it is missing these tests say that they are skipped, and
//! fail if PORTCULLIS_REQUIRE_ONNXRUNTIME is set, as `cargo xtask test` does when it has fetched it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::type_complexity,
    clippy::disallowed_methods,
    reason = "a test that panics has found something, and its tasks end with it"
)]

mod folders;
mod parity;
mod service;

use std::path::{Path, PathBuf};

use classifiers_prompt_guard::{LibraryError, LoadError, Options, PromptGuard};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// The model of a fixture; `None`, loudly, without ONNX Runtime.
fn load(name: &str, options: Options) -> Option<PromptGuard> {
    match PromptGuard::load(&fixture(name), options) {
        Ok(model) => Some(model),
        Err(error @ LoadError::Library(LibraryError::Missing { .. })) if !required() => {
            eprintln!("SKIPPED: {error}");
            None
        }
        Err(error) => panic!("{name}: {error}"),
    }
}

fn required() -> bool {
    std::env::var_os("PORTCULLIS_REQUIRE_ONNXRUNTIME").is_some() || std::env::var_os("CI").is_some()
}

fn options() -> Options {
    Options { threads: 1, ..Options::default() }
}
