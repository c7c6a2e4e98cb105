//! LiteLLM's generic guardrail (`POST /beta/litellm_basic_guardrail_api`).
//!
//! Source of the field names: LiteLLM 1.106 (`types/proxy/guardrails/guardrail_hooks/generic_guardrail_api.py`).
//! LiteLLM shows every text twice: in `texts`, which may be rewritten, and with its role in `structured_messages`.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use classifiers_core::{Direction, Origin, Passage, Role};

use super::messages::MESSAGES;
use super::{Answering, Arranged, Form, Said};
use crate::json::object;
use crate::openai_chat::tables::MEDIA;
use crate::table::{Field, Shape, may, must};
use crate::{Json, ReadError};

use Shape::{Dropped, Either, Free, List, Null, Tag, Tagged, Text};

pub(super) const FORM: Form = Form {
    name: "litellm_guardrail",
    path: "/beta/litellm_basic_guardrail_api",
    question: Tagged("input_type", &[("request", REQUEST), ("response", RESPONSE)]),
    arrange,
    answer,
    gives_back: |_, at| at.starts_with(TEXTS_AT),
    enforced: true,
};

/// Where the texts are that may be rewritten.
const TEXTS_AT: &str = "/texts/";

const TEXTS: Shape = Either(&[List(&Text), Null]);
const IMAGES: Shape = Either(&[List(&MEDIA), Null]);
const HISTORY: Shape = Either(&[MESSAGES, Null]);

const REQUEST: &[Field] = &envelope(may("texts", TEXTS));
const RESPONSE: &[Field] = &envelope(may("texts", TEXTS).by(Role::Assistant, Direction::Output));

/// What LiteLLM sends, with the texts of either kind.
const fn envelope(texts: Field) -> [Field; 13] {
    [
        must("input_type", Tag),
        texts,
        may("images", IMAGES),
        may("structured_messages", HISTORY),
        may("tools", Free).by(Role::User, Direction::Tools),
        may("tool_calls", Free).by(Role::Assistant, Direction::Tools),
        may("model", Either(&[Text, Null])),
        may("litellm_call_id", Dropped),
        may("litellm_trace_id", Dropped),
        may("litellm_version", Dropped),
        // Who asks, not what is asked.
        may("request_data", Dropped),
        may("request_headers", Dropped),
        may("additional_provider_specific_params", Dropped),
    ]
}

/// What is in `texts` is judged there, so that it can be cut out, but as who says it in the messages. What is only in the
/// messages is judged there.
fn arrange(document: &Json, mut passages: Vec<Passage>) -> Result<Arranged, ReadError> {
    if document.get("input_type").and_then(Json::as_str) == Some("request") {
        let mut origins: HashMap<Arc<str>, Origin> = HashMap::new();
        for passage in passages.iter().filter(|passage| !is_text(passage)) {
            // Of several who say the same the operator comes last: everybody else is judged more strictly.
            let known = origins.get(&passage.text);
            if known.is_none_or(|known| known.role == Role::Operator) {
                origins.insert(Arc::clone(&passage.text), passage.origin.clone());
            }
        }
        for passage in passages.iter_mut().filter(|passage| is_text(passage)) {
            if let Some(origin) = origins.get(&passage.text) {
                passage.origin.role = origin.role;
                passage.origin.direction = origin.direction;
            }
        }
        let told = passages.iter().filter(|passage| is_text(passage)).map(said_by);
        let told: HashSet<_> = told.collect();
        // Who else says the same is judged for it too.
        passages.retain(|passage| is_text(passage) || !told.contains(&said_by(passage)));
    }
    Ok(Arranged::together(passages))
}

/// What is said, by whom, in which column of the policy.
fn said_by(passage: &Passage) -> (Arc<str>, Role, Direction) {
    (Arc::clone(&passage.text), passage.origin.role, passage.origin.direction)
}

fn is_text(passage: &Passage) -> bool {
    passage.origin.at.starts_with(TEXTS_AT)
}

fn answer(asked: &Answering<'_>) -> Json {
    let said = asked.said();
    if !said.passes() {
        let reason = asked.message();
        return object([("action", "BLOCKED".into()), ("blocked_reason", reason.into())]);
    }
    match asked.field("texts") {
        Some(texts) if said == Said::Redacted => {
            object([("action", "GUARDRAIL_INTERVENED".into()), ("texts", texts.clone())])
        }
        _ => object([("action", "NONE".into())]),
    }
}
