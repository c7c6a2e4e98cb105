//! From a synchronous [`Backend`](classifiers_core::Backend) to the tower service the proxy consumes.
//!
//! [`InProcess`] runs a backend: short texts where the caller is, long ones on a thread that may block.
//! [`VerdictCacheLayer`] remembers verdicts by content, so that the unchanged history of a growing conversation
//! is not judged again.

mod cache;
mod in_process;

pub use cache::{VerdictCache, VerdictCacheLayer};
pub use in_process::InProcess;
