//! NeMo Guardrails' checks (`POST /v1/checks` and the microservice's `POST /v1/guardrail/checks`): would these messages
//! be blocked?
//!
//! Source of the field names: NVIDIA's documentation of both ("Running Checks with Guardrails",
//! `GuardrailCheckResponse`).

use super::messages::{MESSAGES, conversation};
use super::{Answering, Form, Said};
use crate::Json;
use crate::json::object;
use crate::table::{Shape, may, must};

use Shape::{Dropped, Object};

/// What our checks are called among the rails.
const RAIL: &str = "portcullis";

const QUESTION: Shape = Object(&[must("messages", MESSAGES), may("guardrails", Dropped)]);

pub(super) const CHECKS: Form = Form {
    name: "nemo_checks",
    path: "/v1/checks",
    question: QUESTION,
    arrange: conversation,
    answer: status,
    gives_back: is_last,
    enforced: true,
};

pub(super) const GUARDRAIL_CHECKS: Form = Form {
    name: "nemo_guardrail_checks",
    path: "/v1/guardrail/checks",
    question: QUESTION,
    arrange: conversation,
    answer: rails_status,
    gives_back: |_, _| false,
    enforced: true,
};

fn status(asked: &Answering<'_>) -> Json {
    let said = asked.said();
    if !said.passes() {
        let content = asked.message().into();
        return object([("status", "blocked".into()), ("content", content), ("rail", RAIL.into())]);
    }
    let last =
        messages(&asked.inquiry.document).last().and_then(|last| last.get("content")).cloned();
    let status = if said == Said::Redacted { "modified" } else { "passed" };
    object([("status", status.into()), ("content", last.unwrap_or(Json::Null))])
}

/// The answer holds the last message only.
fn is_last(document: &Json, at: &str) -> bool {
    let last = messages(document).len().checked_sub(1);
    last.is_some_and(|last| at == format!("/messages/{last}/content"))
}

fn messages(document: &Json) -> &[Json] {
    match document.get("messages") {
        Some(Json::Array(messages)) => messages,
        _ => &[],
    }
}

fn rails_status(asked: &Answering<'_>) -> Json {
    let status = match asked.said() {
        Said::Passed | Said::Flagged => "success",
        Said::Redacted | Said::Blocked | Said::Unavailable => "blocked",
    };
    let rail = object([("status", status.into())]);
    object([("status", status.into()), ("rails_status", object([(RAIL, rail)]))])
}
