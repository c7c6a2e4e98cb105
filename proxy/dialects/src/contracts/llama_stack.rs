//! Llama Stack's safety interface (`POST /v1/safety/run-shield`, `GET /v1/shields`).
//!
//! Source of the field names: `llama-stack-client` 0.2.12 (`types/safety_run_shield_params.py`,
//! `types/shared/safety_violation.py`, `types/shield.py`). All checks together are one shield.

use classifiers_core::Passage;

use super::messages::{MESSAGES, conversation};
use super::{Answering, Arranged, Form, Said, code};
use crate::json::object;
use crate::table::{Shape, may, must};
use crate::{Json, ReadError};

use Shape::{Dropped, Object, Text};

/// What the shield is called.
const SHIELD: &str = "portcullis";

pub(super) const FORM: Form = Form {
    name: "llama_stack_run_shield",
    path: "/v1/safety/run-shield",
    question: Object(&[
        must("shield_id", Text),
        must("messages", MESSAGES),
        may("params", Dropped),
    ]),
    arrange,
    answer,
    gives_back: |_, _| false,
    enforced: false,
};

fn arrange(document: &Json, passages: Vec<Passage>) -> Result<Arranged, ReadError> {
    if document.get("shield_id").and_then(Json::as_str) != Some(SHIELD) {
        let why = format!("there is one shield here, `{SHIELD}`");
        return Err(ReadError::at("unknown_shield", "/shield_id", why));
    }
    conversation(document, passages)
}

fn answer(asked: &Answering<'_>) -> Json {
    let level = match asked.said() {
        Said::Passed => return object([("violation", Json::Null)]),
        Said::Flagged => "warn",
        Said::Redacted | Said::Blocked | Said::Unavailable => "error",
    };
    let kinds: Vec<&str> = asked.reasons().into_iter().map(code).collect();
    let metadata =
        [("violation_type", kinds.join(",").as_str().into()), ("decision_id", asked.id.into())];
    let violation = object([
        ("violation_level", level.into()),
        ("user_message", asked.message().into()),
        ("metadata", object(metadata)),
    ]);
    object([("violation", violation)])
}

/// What `GET /v1/shields` is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shield {
    /// All of them.
    All,
    /// The one there is.
    One,
}

impl Shield {
    /// What is asked for at `path`, if it is about shields.
    #[must_use]
    pub fn at(path: &str) -> Option<Self> {
        match path.strip_prefix("/v1/shields")? {
            "" => Some(Self::All),
            one if one.strip_prefix('/') == Some(SHIELD) => Some(Self::One),
            _ => None,
        }
    }
}

/// The shields there are, as bytes of JSON; `policy` is what decides.
#[must_use]
pub fn shields(which: Shield, policy: &str) -> Vec<u8> {
    let shield = object([
        ("identifier", SHIELD.into()),
        ("provider_id", SHIELD.into()),
        ("provider_resource_id", policy.into()),
        ("type", "shield".into()),
        ("params", object([])),
    ]);
    match which {
        Shield::One => shield,
        Shield::All => object([("data", Json::Array(vec![shield]))]),
    }
    .to_bytes()
}
