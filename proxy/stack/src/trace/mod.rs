//! The spans of an exchange (OpenTelemetry), and the trace that it belongs to (W3C Trace Context).
//!
//! ```text
//! POST /v1/chat/completions               the exchange, from its request to the end of its record
//! ├─ examine request ─┬─ check starter    one for each classifier, and for each that judged in another's place
//! │                   ├─ check patterns
//! │                   └─ decide           the policy
//! ├─ chat MODEL                           the call to the model server, to the end of its answer
//! └─ examine answer ── ...                one for each window of a streamed answer
//! ```
//!
//! A span holds names, numbers and words of this program and of the policy: no text, and nothing that a caller wrote. The
//! one exception is the name of a model, which is an identifier that was examined; it is there only once the model
//! server has answered by it.
//!
//! Where traces are off, a [`Trace`] is nothing, and every call to it returns at once.

mod attributes;
mod call;
mod context;
mod counts;
mod examination;
mod exchange;

pub use attributes::Conventions;
pub use counts::SpanCounts;
pub use exchange::Tracing;

pub(crate) use call::Called;
pub(crate) use examination::{Checked, Decided, Examination};
pub(crate) use exchange::Trace;
