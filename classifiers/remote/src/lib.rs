//! Classifiers that run elsewhere, behind the same seam: model servers asked over HTTP.
//!
//! [`RemoteLlamaGuard`] asks vLLM, SGLang or llama.cpp, [`RemotePromptGuard`] text-embeddings-inference or any server of
//! the Open Inference Protocol, [`RemoteModerations`] any server of `/v1/moderations`. Each takes several servers: the
//! least loaded is asked, one that keeps failing is left alone for at most five seconds at a time, a slow answer is
//! asked for again elsewhere within a budget, and everything has a deadline. What is not exactly a verdict is none
//! ([`Fault`]), never a benign one.

mod client;
mod fault;
mod fleet;
mod inference;
mod llama_guard;
mod logprobs;
mod moderations;
mod predict;
mod prompt_guard;
mod ranking;
mod settings;
mod verify;

pub use client::{certificates, client_tls};
pub use fault::Fault;
pub use llama_guard::{LlamaGuardOptions, RemoteLlamaGuard};
pub use moderations::RemoteModerations;
pub use prompt_guard::{PromptGuardApi, PromptGuardOptions, RemotePromptGuard};
pub use settings::{Key, Settings, SetupError};
pub use verify::Probe;
