//! OpenAI's chat completions (`POST /v1/chat/completions`): requests, plain answers and stream chunks.
//!
//! Source of the field names: OpenAI's OpenAPI document 2.3.0, and vLLM's protocol for what it adds.

mod reply;
pub(crate) mod tables;

pub use reply::upstream_error_text;

pub(crate) use reply::{DONE, no_usage};

use crate::chunk::{Chunk, Chunks, Event};
use crate::dialect::{Format, StreamFormat};
use crate::moderation::{self, ModerationFormat};
use crate::{ApiError, Json, ReadError};

pub(crate) const FORMAT: Format = Format {
    name: "openai_chat",
    path: "/chat/completions",
    request: tables::REQUEST,
    answer: tables::ANSWER,
    stream: Some(StreamFormat {
        read: |data| read_event(data, &CHUNKS),
        last: DONE,
        blocks: "",
        cut: reply::cut,
        refusal: reply::refusal_events,
        encode: encode_data,
    }),
    complete: a_message_at_least,
    choices: asked_for,
    withhold: reply::withhold,
    refusal: Some(reply::refusal),
    moderation: Some(ModerationFormat { side: moderation::results, stream: reply::moderate }),
    error: ApiError::to_bytes,
};

const CHUNKS: Chunks = Chunks { table: tables::CHUNK, inside: Some(("delta", "message")) };

/// An event of OpenAI's streams: a chunk, or their end.
pub(crate) fn read_event(data: &[u8], chunks: &Chunks) -> Result<Event, ReadError> {
    if data == DONE {
        return Ok(Event::End);
    }
    Chunk::parse(data, chunks).map(Event::Chunk)
}

/// An event without a name.
pub(crate) fn encode_data(data: &[u8]) -> Vec<u8> {
    [b"data: ", data, b"\n\n"].concat()
}

pub(crate) fn a_message_at_least(request: &mut Json) -> Result<(), ReadError> {
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
