//! Answers the guard writes itself.

use crate::dialect::{Cut, CutChoice, Refusal};
use crate::json::object;
use crate::{Envelope, Json};

/// The data of the event that ends a stream.
pub(crate) const DONE: &[u8] = b"[DONE]";

/// A refusal in place of a plain answer: the text as `content` and as `refusal`, `finish_reason` is
/// `content_filter`.
pub(super) fn refusal(refusal: &Refusal<'_>) -> Json {
    let choices = (0..refusal.choices)
        .map(|index| {
            let mut choice = refused_choice(index.into(), refusal.text);
            if let Some(content) = choice.pointer_mut("/message/content") {
                *content = refusal.text.into();
            }
            choice
        })
        .collect();
    refusal.envelope("chat.completion", choices, Some(no_usage()))
}

/// Takes the text out of every choice.
pub(super) fn withhold(document: &mut Json, text: &str) {
    let Some(Json::Array(choices)) = document.pointer_mut("/choices") else { return };
    for choice in choices {
        let index = choice.get("index").cloned().unwrap_or(Json::Null);
        *choice = refused_choice(index, text);
    }
}

/// The refusal as a stream: the data of each event.
pub(super) fn refusal_events(refusal: &Refusal<'_>, wants_usage: bool) -> Vec<Vec<u8>> {
    let chunk = "chat.completion.chunk";
    let said = (0..refusal.choices)
        .map(|index| {
            let delta = [
                ("role", "assistant".into()),
                ("content", refusal.text.into()),
                ("refusal", refusal.text.into()),
            ];
            chunk_choice(index, object(delta), Json::Null)
        })
        .collect();
    let ended = (0..refusal.choices)
        .map(|index| chunk_choice(index, object([]), "content_filter".into()))
        .collect();
    let mut events = vec![
        refusal.envelope(chunk, said, None).to_bytes(),
        refusal.envelope(chunk, ended, None).to_bytes(),
    ];
    if wants_usage {
        events.push(refusal.envelope(chunk, Vec::new(), Some(no_usage())).to_bytes());
    }
    events.push(DONE.to_vec());
    events
}

impl Refusal<'_> {
    fn envelope(&self, kind: &str, choices: Vec<Json>, usage: Option<Json>) -> Json {
        let id = format!("chatcmpl-{}", self.id);
        let mut document = object([
            ("id", id.as_str().into()),
            ("object", kind.into()),
            ("created", self.created.into()),
            ("model", self.model.into()),
            ("choices", Json::Array(choices)),
        ]);
        if let (Json::Object(fields), Some(usage)) = (&mut document, usage) {
            fields.push(("usage".into(), usage));
        }
        document
    }
}

/// The events that end a streamed answer early: for each choice a refusal and the finish reason `content_filter`, then
/// the upstream's usage chunk if it sent one, then `[DONE]`.
pub(super) fn cut(cut: Cut<'_>) -> Vec<Vec<u8>> {
    let Some(like) = cut.like else { return vec![DONE.to_vec()] };
    let said = cut.choices.iter().map(|&CutChoice { index, begun, .. }| {
        // Clients join what they get of a field, the role too.
        let refusal = ("refusal", Json::from(cut.text));
        let delta = match begun {
            true => object([refusal]),
            false => object([("role", "assistant".into()), refusal]),
        };
        chunk_choice(index, delta, Json::Null)
    });
    let ended = cut
        .choices
        .iter()
        .map(|choice| chunk_choice(choice.index, object([]), "content_filter".into()));
    let mut events = Vec::new();
    if !cut.choices.is_empty() {
        events.push(like.with_choices(said.collect()));
        events.push(like.with_choices(ended.collect()));
    }
    events.extend(cut.usage.map(|usage| usage.fill([""; 0])));
    events.push(DONE.to_vec());
    events
}

/// Puts what was found into a chunk of its own, before the end.
pub(super) fn moderate(
    mut events: Vec<Vec<u8>>,
    like: Option<&Envelope>,
    moderation: Json,
) -> Vec<Vec<u8>> {
    if let Some(like) = like {
        events.insert(events.len().saturating_sub(1), like.moderated(moderation));
    }
    events
}

/// A choice of a plain answer whose text was withheld.
pub(super) fn refused_choice(index: Json, text: &str) -> Json {
    let message = [("role", "assistant".into()), ("content", Json::Null), ("refusal", text.into())];
    object([
        ("index", index),
        ("message", object(message)),
        ("logprobs", Json::Null),
        ("finish_reason", "content_filter".into()),
    ])
}

fn chunk_choice(index: u64, delta: Json, finish_reason: Json) -> Json {
    object([
        ("index", index.into()),
        ("delta", delta),
        ("logprobs", Json::Null),
        ("finish_reason", finish_reason),
    ])
}

pub(crate) fn no_usage() -> Json {
    object([
        ("prompt_tokens", 0.into()),
        ("completion_tokens", 0.into()),
        ("total_tokens", 0.into()),
    ])
}

/// The message of an error body as model servers write it, if this is one: `{"error": {"message"}}` or
/// vLLM's older `{"message"}`.
#[must_use]
pub fn upstream_error_text(body: &[u8]) -> Option<String> {
    let document = Json::parse(body).ok()?;
    let error = document.get("error").unwrap_or(&document);
    error.get("message").and_then(Json::as_str).map(str::to_owned)
}
