//! The stream guard, without any input or output of its own: bytes of server-sent events in, held until they
//! are judged, cleared events out.
//!
//! [`SseDecoder`] finds the events, [`HeldAnswer`] collects what a streamed answer says, each choice and each
//! channel on its own, and gives it away only as a whole: [`HeldAnswer::release`] after a verdict that allows
//! it, [`HeldAnswer::withhold`] after one that does not.

mod event;
mod held;
mod redact;
mod sse;

pub use event::{encode, keep_alive};
pub use held::{HeldAnswer, StreamError};
pub use redact::{REDACTED, redact};
pub use sse::{SseDecoder, SseError};
