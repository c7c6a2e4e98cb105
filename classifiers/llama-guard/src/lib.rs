//! Llama Guard 3 through candle: hazards in a conversation's last turn, one forward pass for each verdict.
//!
//! [`LlamaGuard`] reads a folder as Hugging Face publishes it, checks it, and judges passages. The prompt is built from
//! types ([`Layout`]): nothing that a person wrote can be part of its frame. What was computed for the beginning of a
//! prompt is kept, so that a growing conversation or answer costs its new tokens and the prompt's end.

mod config;
mod device;
mod error;
mod fields;
mod folder;
mod fused;
mod gguf;
mod guard;
mod judge;
mod llama;
mod load;
mod options;
mod pages;
mod prompt;
mod rope;
mod safetensors;
mod source;
mod template;
#[cfg(test)]
mod tests;
mod tokens;
mod verify;
mod weights;

pub use device::{Device, Precision, Unknown};
pub use error::LoadError;
pub use folder::is_llama;
pub use guard::{Facts, LlamaGuard};
pub use judge::Verdict;
pub use options::{Long, Options};
pub use prompt::{Categories, Layout, Speaker, Turn, Variant};
pub use verify::{Latency, Probe, Report};
