//! Wire formats: the only room that knows the field names of anybody's JSON.
//!
//! A request, an answer or a stream chunk is parsed once and strictly ([`Json`]), read field by field against
//! a closed table (every field is examined, validated, dropped or refused; there is no "other"), and
//! what goes on is written from that same value. What the table calls text becomes a
//! [`Passage`](classifiers_core::Passage).
//!
//! A passage that is not in the document as it stands, but is what the model may make of it (parts joined,
//! escapes resolved), has `#` and a word after its pointer: it can be judged, but nothing can be replaced there.
//!
//! A wire format is a folder: its tables, and how the guard speaks in it ([`Dialect`]). Beside them [`openai_models`],
//! which has no text, and the contracts by which others ask for verdicts ([`Contract`]).

mod answer;
mod anthropic_messages;
mod chunk;
mod contracts;
mod dialect;
mod error;
mod joined;
mod json;
mod moderation;
pub mod openai_chat;
mod openai_completions;
mod openai_embeddings;
pub mod openai_models;
mod openai_responses;
mod pointer;
#[cfg(test)]
mod posture;
mod read;
mod request;
mod table;

pub use answer::Answer;
pub use chunk::{Block, Channel, Chunk, Delta, Envelope, Event, Frame};
pub use contracts::{Contract, Found, Inquiry, Judged, Said, Shield, shields};
pub use dialect::{Cut, CutChoice, Dialect, Refusal};
pub use error::{ApiError, ReadError};
pub use joined::joins;
pub use json::{Json, Name};
pub use moderation::{Moderated, Moderation, Scored};
pub use openai_responses::Transcript;
pub use read::unescaped;
pub use request::Request;
