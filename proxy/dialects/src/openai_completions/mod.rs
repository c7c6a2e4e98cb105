//! OpenAI's older completions (`POST /v1/completions`): a text goes on.
//!
//! Source of the field names: OpenAI's OpenAPI document 2.3.0, and vLLM's protocol for what it adds.

mod tables;

use crate::dialect::{Format, Refusal};
use crate::json::object;
use crate::openai_chat::{asked_for, no_usage};
use crate::{ApiError, Json, ReadError};

pub(crate) const FORMAT: Format = Format {
    name: "openai_completions",
    path: "/completions",
    request: tables::REQUEST,
    answer: tables::ANSWER,
    streams: false,
    check: a_prompt_at_least,
    choices,
    withhold,
    refusal,
    error: ApiError::to_bytes,
};

fn a_prompt_at_least(request: &Json) -> Result<(), ReadError> {
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
    object([
        ("id", format!("cmpl-{}", refusal.id).as_str().into()),
        ("object", "text_completion".into()),
        ("created", refusal.created.into()),
        ("model", refusal.model.into()),
        ("choices", Json::Array(choices.collect())),
        ("usage", no_usage()),
    ])
}

fn refused_choice(index: Json, text: &str) -> Json {
    object([
        ("index", index),
        ("text", text.into()),
        ("logprobs", Json::Null),
        ("finish_reason", "content_filter".into()),
    ])
}
