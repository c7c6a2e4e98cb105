//! OpenAI's older completions (`POST /v1/completions`): a text goes on.
//!
//! Source of the field names: OpenAI's OpenAPI document 2.3.0, and vLLM's protocol for what it adds.

mod tables;

use crate::chunk::Chunks;
use crate::dialect::{Cut, Format, Refusal, StreamFormat};
use crate::json::object;
use crate::openai_chat::{DONE, asked_for, encode_data, no_usage, read_event};
use crate::{ApiError, Json, ReadError};

pub(crate) const FORMAT: Format = Format {
    name: "openai_completions",
    path: "/completions",
    request: tables::REQUEST,
    answer: tables::ANSWER,
    stream: Some(StreamFormat {
        read: |data| read_event(data, &CHUNKS),
        last: DONE,
        blocks: "",
        cut,
        refusal: refusal_events,
        encode: encode_data,
    }),
    complete: a_prompt_at_least,
    choices,
    withhold,
    refusal: Some(refusal),
    moderation: None,
    error: ApiError::to_bytes,
};

/// Chunks are answers in which a choice has a part of its text.
const CHUNKS: Chunks = Chunks { table: tables::CHUNK, inside: None };

fn a_prompt_at_least(request: &mut Json) -> Result<(), ReadError> {
    if request.get("prompt") == Some(&Json::Array(Vec::new())) {
        return Err(ReadError::at("missing_field", "/prompt", "there is no prompt"));
    }
    Ok(())
}

/// As many for each prompt as were asked for.
fn choices(request: &Json) -> u64 {
    let prompts = match request.get("prompt") {
        Some(Json::Array(prompts)) => prompts.len() as u64,
        _ => 1,
    };
    asked_for(request).saturating_mul(prompts)
}

/// The format has no field for a refusal: its text stands where the answer would, and `finish_reason` tells.
fn withhold(document: &mut Json, text: &str) {
    let Some(Json::Array(choices)) = document.pointer_mut("/choices") else { return };
    for choice in choices {
        let index = choice.get("index").cloned().unwrap_or(Json::Null);
        *choice = refused_choice(index, text);
    }
}

fn refusal(refusal: &Refusal<'_>) -> Json {
    let choices = (0..refusal.choices).map(|index| refused_choice(index.into(), refusal.text));
    with_choices(refusal, choices.collect(), no_usage())
}

fn refusal_events(refusal: &Refusal<'_>, wants_usage: bool) -> Vec<Vec<u8>> {
    let choices = (0..refusal.choices).map(|index| refused_choice(index.into(), refusal.text));
    let mut events = vec![with_choices(refusal, choices.collect(), Json::Null).to_bytes()];
    if wants_usage {
        events.push(with_choices(refusal, Vec::new(), no_usage()).to_bytes());
    }
    events.push(DONE.to_vec());
    events
}

fn with_choices(refusal: &Refusal<'_>, choices: Vec<Json>, usage: Json) -> Json {
    object([
        ("id", format!("cmpl-{}", refusal.id).as_str().into()),
        ("object", "text_completion".into()),
        ("created", refusal.created.into()),
        ("model", refusal.model.into()),
        ("choices", Json::Array(choices)),
        ("usage", usage),
    ])
}

/// Ends what is not over with the finish reason alone: appended to a text that has begun, a refusal would read as if
/// the model had said it.
fn cut(cut: Cut<'_>) -> Vec<Vec<u8>> {
    let Some(like) = cut.like else { return vec![DONE.to_vec()] };
    let ended = cut.choices.iter().map(|choice| {
        let text = if choice.begun { "" } else { cut.text };
        refused_choice(choice.index.into(), text)
    });
    let mut events = Vec::new();
    if !cut.choices.is_empty() {
        events.push(like.with_choices(ended.collect()));
    }
    events.extend(cut.usage.map(|usage| usage.fill([""; 0])));
    events.push(DONE.to_vec());
    events
}

fn refused_choice(index: Json, text: &str) -> Json {
    object([
        ("index", index),
        ("text", text.into()),
        ("logprobs", Json::Null),
        ("finish_reason", "content_filter".into()),
    ])
}
