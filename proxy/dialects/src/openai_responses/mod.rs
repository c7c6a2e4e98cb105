//! OpenAI's responses (`POST /v1/responses`).
//!
//! Source of the field names: OpenAI's OpenAPI document 2.3.0.
//!
//! The events of a stream repeat what was said: when a text is over, when its item is, and when the answer is. What
//! leaves there is not what the upstream repeats, but what has left before ([`Transcript`]): cleared, and without what
//! was cut out.

mod answer;
mod events;
mod request;
mod transcript;

pub use transcript::Transcript;

use crate::chunk::encode_named;
use crate::dialect::{Format, Refusal, StreamFormat};
use crate::json::{object, set};
use crate::moderation::{self, ModerationFormat};
use crate::{ApiError, Envelope, Json, ReadError};

#[cfg(test)]
pub(crate) use events::{KINDS, Kind};

pub(crate) const FORMAT: Format = Format {
    name: "openai_responses",
    path: "/responses",
    request: request::REQUEST,
    answer: answer::ANSWER,
    stream: Some(StreamFormat {
        read: events::read,
        last: b"",
        blocks: "/output",
        cut: transcript::cut,
        refusal: transcript::refusal,
        encode: encode_named,
    }),
    complete,
    choices: |_| 1,
    withhold,
    refusal: Some(refusal),
    moderation: Some(ModerationFormat { side: moderation::result, stream: moderate }),
    error: ApiError::to_bytes,
};

/// Nobody says `store` and most servers store then, where the guard cannot watch over the answer. So the request goes
/// on with `false`.
fn complete(request: &mut Json) -> Result<(), ReadError> {
    if request.get("input") == Some(&Json::Array(Vec::new())) {
        return Err(ReadError::at("missing_field", "/input", "there is no item"));
    }
    set(request, "store", Json::Bool(false));
    Ok(())
}

fn withhold(document: &mut Json, text: &str) {
    refuse(document, Json::Array(vec![refused("msg_refusal", text)]));
    set(document, "error", Json::Null);
}

fn refusal(refusal: &Refusal<'_>) -> Json {
    let mut response = started(refusal);
    let item = refused(&format!("msg_{}", refusal.id), refusal.text);
    refuse(&mut response, Json::Array(vec![item]));
    let (none, details) = (|| Json::from(0), |name| object([(name, 0.into())]));
    let usage = object([
        ("input_tokens", none()),
        ("input_tokens_details", details("cached_tokens")),
        ("output_tokens", none()),
        ("output_tokens_details", details("reasoning_tokens")),
        ("total_tokens", none()),
    ]);
    set(&mut response, "usage", usage);
    response
}

/// A response in which nothing is said yet.
fn started(refusal: &Refusal<'_>) -> Json {
    object([
        ("id", format!("resp_{}", refusal.id).as_str().into()),
        ("object", "response".into()),
        ("created_at", refusal.created.into()),
        ("status", "in_progress".into()),
        ("error", Json::Null),
        ("incomplete_details", Json::Null),
        ("instructions", Json::Null),
        ("model", refusal.model.into()),
        ("output", Json::Array(Vec::new())),
        ("parallel_tool_calls", Json::Bool(true)),
        ("metadata", object([])),
        ("tool_choice", "auto".into()),
        ("tools", Json::Array(Vec::new())),
        ("temperature", Json::Null),
        ("top_p", Json::Null),
        ("usage", Json::Null),
    ])
}

/// The response ends with `output` because of what it would have said.
fn refuse(response: &mut Json, output: Json) {
    set(response, "output", output);
    set(response, "status", "incomplete".into());
    set(response, "incomplete_details", object([("reason", "content_filter".into())]));
}

/// A message that refuses.
fn refused(id: &str, text: &str) -> Json {
    message(id, "completed", vec![refusal_part(text)])
}

fn message(id: &str, status: &str, content: Vec<Json>) -> Json {
    object([
        ("id", id.into()),
        ("type", "message".into()),
        ("status", status.into()),
        ("role", "assistant".into()),
        ("content", Json::Array(content)),
    ])
}

fn refusal_part(text: &str) -> Json {
    object([("type", "refusal".into()), ("refusal", text.into())])
}

/// Puts what was found into the last event, which says the whole answer.
fn moderate(mut events: Vec<Vec<u8>>, _: Option<&Envelope>, moderation: Json) -> Vec<Vec<u8>> {
    if let Some(last) = events.last_mut()
        && let Ok(mut event) = Json::parse(last)
        && let Some(response) = event.pointer_mut("/response")
    {
        set(response, "moderation", moderation);
        *last = event.to_bytes();
    }
    events
}
