//! Prompt Guard 1 and 2 through ONNX Runtime: prompt attacks in texts of any length.
//!
//! [`PromptGuard`] reads a folder that `tools/export.py` made of the published weights, checks it, and judges
//! passages: every token lies in a window, the strongest window counts, and its place is in the finding. The runtime
//! is a shared library found at start ([`LibraryError`] says where); nothing else of the program needs it.
//!
//! Scores are the model's own probabilities: the reference's numbers to 1e-4.

mod device;
mod engine;
mod folder;
mod initializers;
mod library;
mod model;
mod verify;

pub use classifiers_prompt_guard_windows::{Family, FolderError, Scores};
pub use device::{Device, UnknownDevice};
pub use library::LibraryError;
pub use model::{LoadError, Mode, Options, PromptGuard};
pub use verify::{Latency, Probe, Report};
