//! From a model to the tower service the proxy consumes.
//!
//! [`InProcess`] runs a synchronous [`Backend`](classifiers_core::Backend): short texts where the caller is, long ones
//! on a thread that may block. For models that cost more there is the [`Pool`]: engines on threads of their own behind
//! a bounded queue, which makes batches of inputs of about the same length, most urgent first, and refuses at once
//! what it could not judge in time. [`VerdictCacheLayer`] remembers verdicts by content, so that the unchanged history
//! of a growing conversation is not judged again.

mod cache;
mod in_process;
mod pool;
mod queue;

pub use cache::{VerdictCache, VerdictCacheLayer};
pub use in_process::InProcess;
pub use pool::{Engine, Input, Pool, PoolCounts, PoolOptions};
pub use queue::BatchLimits;
