//! The policy document a trust-and-safety team owns, and the pure function from evidence to decision.
//!
//! [`Policy::parse`] reads the YAML document and reports everything that is wrong with it at once, as
//! [`Diagnostics`]; what it returns is compiled, immutable and cheap to ask. [`decide`] turns
//! [`Evidence`] (what classifiers said, and which checks failed) into a [`Decision`]: pure, total, and
//! independent of the order in which the evidence came in. [`library`] holds the policies shipped with
//! the proxy.
//!
//! Nothing here knows a model, a wire format or a clock.

mod calibration;
mod cases;
mod compile;
mod decide;
mod diagnostics;
mod document;
mod evidence;
pub mod library;
mod messages;
mod policy;
mod reader;
mod streaming;
mod suggest;
mod vocabulary;

pub use calibration::Calibration;
pub use cases::TestOutcome;
pub use decide::decide;
pub use diagnostics::{Diagnostic, Diagnostics, Severity};
pub use evidence::{Because, Decision, Evidence, Failure, Observation, Redaction};
pub use policy::{Policy, Quota, Rule};
pub use streaming::{Streaming, StreamingMode};
pub use vocabulary::{Action, Mode, ReplyAs};
