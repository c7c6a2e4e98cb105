//! The stream guard, without any input, output or clock of its own: bytes of server-sent events in, held until they
//! are judged, cleared events out.
//!
//! [`SseDecoder`] finds the events. [`StreamGuard`] takes the text out of them, each choice and each channel on its own,
//! and asks for verdicts on it window by window ([`Examination`]). An event leaves when all of its text is cleared.
//!
//! What holds, in [`Mode::Hold`]:
//! - Text leaves only when a verdict covers it together with the `overlap` characters that follow it, or its end. A
//!   violation of up to that length is therefore known before its first character leaves, however it is spread over
//!   chunks and windows.
//! - What leaves is byte for byte what was judged, but for what is cut out. Events are written from nothing but cleared
//!   text, a type of its own.
//! - A tool call leaves only when all of it was judged as a whole.
//! - A channel that `overlap` characters of other channels of its choice have followed (thoughts, when the answer has
//!   begun) is taken as ended. Should it go on after all, what is found is still cut off; of a violation that spans the
//!   interruption, the part before it has left.
//! - Prose of one kind in several blocks or items (`/content/0/text`, `/content/2/text`) is judged block by block and, from
//!   the second on, joined in the order in which it comes, as clients print it. The end of a block waits for what
//!   follows it as the middle does.
//! - Up to 64 KiB, a channel is also judged from its beginning on, whenever it has doubled and at its end: what a plain
//!   answer would be blocked for, a streamed one is cut off for. Both cost a constant number of readings per character.

mod event;
mod examination;
mod flow;
mod guard;
mod lane;
mod redact;
mod settings;
mod sse;
mod text;

pub use event::keep_alive;
pub use examination::{Examination, Place};
pub use guard::{StreamError, StreamGuard};
pub use redact::{REDACTED, redact};
pub use settings::{Bounds, Mode, Settings};
pub use sse::{SseDecoder, SseError};
