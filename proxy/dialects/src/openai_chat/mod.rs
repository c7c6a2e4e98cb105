//! OpenAI's chat completions (`POST /v1/chat/completions`): requests, plain answers and stream chunks.
//!
//! Source of the field names: OpenAI's OpenAPI document 2.3.0, and vLLM's protocol for what it adds.

mod chunk;
mod reply;
pub(crate) mod tables;

pub use chunk::{Channel, Chunk, Delta, Envelope, Frame};
pub use reply::{CutChoice, DONE, cut_events, upstream_error_text};

pub(crate) use reply::no_usage;

use crate::dialect::Format;
use crate::{ApiError, Json, ReadError};

pub(crate) const FORMAT: Format = Format {
    name: "openai_chat",
    path: "/chat/completions",
    request: tables::REQUEST,
    answer: tables::ANSWER,
    streams: true,
    check: a_message_at_least,
    choices: asked_for,
    withhold: reply::withhold,
    refusal: reply::refusal,
    error: ApiError::to_bytes,
};

pub(crate) fn a_message_at_least(request: &Json) -> Result<(), ReadError> {
    if request.get("messages") == Some(&Json::Array(Vec::new())) {
        return Err(ReadError::at("missing_field", "/messages", "there is no message"));
    }
    Ok(())
}

/// The field `n`.
pub(crate) fn asked_for(request: &Json) -> u64 {
    match request.get("n") {
        Some(Json::Number(n)) => n.as_u64().unwrap_or(1),
        _ => 1,
    }
}
