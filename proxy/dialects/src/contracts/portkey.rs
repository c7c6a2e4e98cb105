//! Portkey's webhook guardrail (here `POST /v1/checks/portkey`; its address is the operator's to choose).
//!
//! Source of the field names: the Portkey gateway's `plugins/default/webhook.ts` and `plugins/types.ts`. Portkey's own
//! `text` is only the last message; what is judged is the whole request and the whole answer.

use classifiers_core::{Direction, Passage, Role};

use super::messages::MESSAGES;
use super::{Answering, Arranged, Form, Said, code};
use crate::json::object;
use crate::table::{Field, Shape, may, must};
use crate::{Json, ReadError};

use Shape::{Bool, Dropped, Either, Free, Having, Null, Object, Text};

pub(super) const FORM: Form = Form {
    name: "portkey_webhook",
    path: "/v1/checks/portkey",
    question: Object(&[
        must("request", Object(REQUEST)),
        may("response", Either(&[Object(RESPONSE), Null])).by(Role::Assistant, Direction::Output),
        may("provider", Either(&[Text, Null])),
        may("metadata", Dropped),
    ]),
    arrange,
    answer,
    gives_back: |_, at| JSON.iter().any(|json| at.starts_with(json)),
    enforced: true,
};

const CHAT: &[Field] =
    &[must("messages", MESSAGES), may("tools", Free).by(Role::User, Direction::Tools)];
const REQUEST: &[Field] = &[
    must("json", Either(&[Having("messages", &[Object(CHAT), Free]), Null])),
    may("text", Either(&[Text, Null])),
    may("isStreamingRequest", Either(&[Bool, Null])),
    may("headers", Dropped),
];
const RESPONSE: &[Field] =
    &[may("json", Free), may("text", Either(&[Text, Null])), may("headers", Dropped)];

/// Where what can be rewritten is.
const JSON: [&str; 2] = ["/request/json/", "/response/json/"];

/// What Portkey calls `text` it takes from the JSON, so it is judged only where there is none.
fn arrange(document: &Json, mut passages: Vec<Passage>) -> Result<Arranged, ReadError> {
    for part in ["request", "response"] {
        let json = document.get(part).and_then(|part| part.get("json"));
        if matches!(json, Some(Json::Object(fields)) if !fields.is_empty()) {
            let text = format!("/{part}/text");
            passages.retain(|passage| *passage.origin.at != *text);
        }
    }
    Ok(Arranged::together(passages))
}

fn answer(asked: &Answering<'_>) -> Json {
    let said = asked.said();
    let kinds = asked.reasons().into_iter().map(|kind| code(kind).into()).collect();
    let data = object([
        ("decision_id", asked.id.into()),
        ("reasons", Json::Array(kinds)),
        ("explanation", if said.passes() { Json::Null } else { asked.message().into() }),
    ]);
    let mut fields = vec![("verdict", Json::Bool(said.passes())), ("data", data)];
    if said == Said::Redacted {
        let part = |name: &str| {
            let json = asked.field(name).and_then(|part| part.get("json")).cloned();
            object([("json", json.unwrap_or(Json::Null))])
        };
        let transformed = object([("request", part("request")), ("response", part("response"))]);
        fields.push(("transformedData", transformed));
    }
    object(fields)
}
