//! Anthropic's messages (`POST /v1/messages`).
//!
//! Source of the field names: Anthropic's API reference (version 2023-06-01), as vLLM serves it too.

mod events;
mod tables;

use crate::chunk::encode_named;
use crate::dialect::{Format, Refusal, StreamFormat};
use crate::json::object;
use crate::openai_chat::a_message_at_least;
use crate::{ApiError, Json};

pub(crate) const FORMAT: Format = Format {
    name: "anthropic_messages",
    path: "/messages",
    request: tables::REQUEST,
    answer: tables::ANSWER,
    stream: Some(StreamFormat {
        read: events::read,
        last: events::LAST,
        blocks: "/content",
        cut: events::cut,
        refusal: events::refusal,
        encode: encode_named,
    }),
    complete: a_message_at_least,
    choices: |_| 1,
    withhold,
    refusal: Some(refusal),
    moderation: None,
    error,
};

fn withhold(document: &mut Json, text: &str) {
    let put = |document: &mut Json, at: &str, value: Json| {
        if let Some(place) = document.pointer_mut(at) {
            *place = value;
        }
    };
    put(document, "/content", said(text));
    put(document, "/stop_reason", "refusal".into());
    put(document, "/stop_sequence", Json::Null);
    put(document, "/stop_details", Json::Null);
}

fn refusal(refusal: &Refusal<'_>) -> Json {
    object([
        ("id", format!("msg_{}", refusal.id).as_str().into()),
        ("type", "message".into()),
        ("role", "assistant".into()),
        ("model", refusal.model.into()),
        ("content", said(refusal.text)),
        ("stop_reason", "refusal".into()),
        ("stop_sequence", Json::Null),
        ("usage", object([("input_tokens", 0.into()), ("output_tokens", 0.into())])),
    ])
}

fn said(text: &str) -> Json {
    Json::Array(vec![object([("type", "text".into()), ("text", text.into())])])
}

/// `{"type": "error", "error": {"type", "message"}}`; the place and the code become part of the message.
fn error(error: &ApiError) -> Vec<u8> {
    let kind = match error.code() {
        Some("rate_limit_exceeded") => "rate_limit_error",
        Some("request_too_large") => "request_too_large",
        Some("unknown_route") => "not_found_error",
        Some("overloaded" | "guard_unavailable" | "audit_unavailable") => "overloaded_error",
        _ => match error.kind() {
            kind @ ("invalid_request_error"
            | "authentication_error"
            | "permission_error"
            | "not_found_error") => kind,
            _ => "api_error",
        },
    };
    let place = error.param().map(|param| format!("{param}: ")).unwrap_or_default();
    let code = error.code().map(|code| format!(" ({code})")).unwrap_or_default();
    let message = format!("{place}{}{code}", error.message());
    let said = [("type", kind.into()), ("message", message.as_str().into())];
    let details =
        error.param().filter(|param| *param == "thread").map(|_| ("details", no_thread()));
    object([("type", "error".into()), ("error", object(said.into_iter().chain(details)))])
        .to_bytes()
}

/// By this, clients that would rather have the server hold the conversation know to send all of it.
fn no_thread() -> Json {
    let unsupported = Json::Array(vec!["thread".into()]);
    object([("error_code", "thread_unsupported_request".into()), ("unsupported", unsupported)])
}
