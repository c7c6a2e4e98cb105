//! The guard: nothing passes it, in either direction, without a verdict and a decision.

mod check;
mod clearance;
mod context;
mod counts;
mod language;
mod layer;
mod lookup;
mod moderation;
mod panel;
mod request;
mod response;
mod ruling;
mod stream;
mod tally;

pub use clearance::Cleared;
pub use panel::{Check, Panel};

pub(crate) use layer::GuardLayer;
pub(crate) use stream::bounds;
