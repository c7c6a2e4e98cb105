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
mod context;
mod decide;
mod diagnostics;
mod document;
mod evidence;
mod exemption;
mod explain;
mod format;
mod forward;
mod glob;
mod languages;
pub mod library;
mod limits;
mod messages;
mod policy;
mod profile;
mod reader;
pub mod reference;
mod retention;
mod route;
mod streaming;
mod suggest;
mod vocabulary;

pub use calibration::{Calibration, ClassifierCalibration, Level};
pub use cases::{Cell, LiveTest, TestOutcome};
pub use context::Context;
pub use decide::decide;
pub use diagnostics::{Diagnostic, Diagnostics, Severity};
pub use evidence::{
    Because, CustomObservation, Decision, Evidence, Failure, Observation, Redaction, Spoken,
};
pub use exemption::Exemption;
pub use explain::{Considered, explain};
pub use forward::Forward;
pub use limits::{BlockedBudget, Limits, Quota};
pub use policy::Policy;
pub use profile::Rule;
pub use retention::{ByOutcome, Retention, TextRetention};
pub use route::Request;
pub use streaming::{Streaming, StreamingMode};
pub use vocabulary::{Action, Mode, ReplyAs};
