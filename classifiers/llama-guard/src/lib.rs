//! Llama Guard 3 through candle: hazards in a conversation's last turn, one forward pass for each verdict.
//!
//! [`LlamaGuard`] reads a folder as Hugging Face publishes it, checks it, and judges passages. The prompt is built from
//! types ([`Layout`]): nothing that a person wrote can be part of its frame. What was computed for the beginning of a
//! prompt is kept, so that a growing conversation or answer costs its new tokens and the prompt's end.

mod config;
mod device;
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
mod rope;
mod safetensors;
mod source;
#[cfg(test)]
mod tests;
mod verify;
mod weights;

pub use classifiers_llama_guard_prompt::{
    Categories, Layout, LoadError, Long, Speaker, Turn, Variant, Verdict,
};
pub use device::{Device, Precision, Unknown};
pub use folder::is_llama;
pub use guard::{Facts, LlamaGuard};
pub use options::Options;
pub use verify::{Latency, Probe, Report};
