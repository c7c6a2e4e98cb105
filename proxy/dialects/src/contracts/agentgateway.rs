//! agentgateway's guardrail webhook (`POST /request`, `POST /response`).
//!
//! Source of the field names: agentgateway's `llm/policy/webhook.rs`. What an answer means there is told by its
//! fields: a body that is an object replaces, one that is text with a status rejects, none lets pass.

use classifiers_core::{Direction, Passage, Role};

use super::messages::{MESSAGES, answers_last};
use super::{Answering, Arranged, Form, Said};
use crate::json::object;
use crate::table::{Shape, may, must};
use crate::{ApiError, Json, ReadError};

use Shape::{Either, List, Null, Object, Text};

pub(super) const REQUEST: Form = Form {
    name: "agentgateway_request",
    path: "/request",
    question: Object(&[must("body", Object(&[must("messages", MESSAGES)]))]),
    arrange: messages,
    answer,
    gives_back: |_, at| at.starts_with("/body/"),
    enforced: true,
};

pub(super) const RESPONSE: Form = Form {
    name: "agentgateway_response",
    path: "/response",
    question: Object(&[must("body", Object(&[must("choices", List(&CHOICE))]))
        .by(Role::Assistant, Direction::Output)]),
    arrange: |_, passages| Ok(Arranged::together(passages)),
    answer,
    gives_back: |_, at| at.starts_with("/body/"),
    enforced: true,
};

const CHOICE: Shape = Object(&[must("message", Object(&[may("content", Either(&[Text, Null]))]))]);

fn messages(document: &Json, mut passages: Vec<Passage>) -> Result<Arranged, ReadError> {
    let messages = document.get("body").and_then(|body| body.get("messages"));
    answers_last(messages, "/body/messages", &mut passages);
    Ok(Arranged::together(passages))
}

fn answer(asked: &Answering<'_>) -> Json {
    let said = asked.said();
    let action = match asked.field("body") {
        _ if !said.passes() => {
            let (code, status) = match said {
                Said::Unavailable => ("guard_unavailable", 503_u64),
                _ => ("content_filter", 400),
            };
            let error = ApiError::new("invalid_request_error", code, asked.message());
            let body = String::from_utf8_lossy(&error.to_bytes()).into_owned();
            object([
                ("body", body.as_str().into()),
                ("status_code", status.into()),
                ("reason", code.into()),
            ])
        }
        Some(body) if said == Said::Redacted => {
            object([("body", body.clone()), ("reason", "redacted".into())])
        }
        _ => object([]),
    };
    object([("action", action)])
}
