//! The detector interface of the FMS guardrails orchestrator and TrustyAI (`POST /api/v1/text/contents`,
//! `POST /api/v1/text/chat`).
//!
//! Source of the field names: the orchestrator's detector API document (`ContentAnalysisHttpRequest`,
//! `ContentAnalysisResponse`, `ChatAnalysisHttpRequest`). Places are counted in characters (Unicode scalar values).

use std::ops::Range;

use classifiers_core::{Category, Direction, Passage, Role};

use super::messages::{MESSAGES, conversation};
use super::{Answering, Arranged, Form, Found, Judged, Said, number};
use crate::json::object;
use crate::table::{Shape, may, must};
use crate::{Json, ReadError};

use Shape::{Dropped, Either, Free, List, Null, Object, Text};

pub(super) const CONTENTS: Form = Form {
    name: "fms_contents",
    path: "/api/v1/text/contents",
    question: Object(&[must("contents", List(&Text)), may("detector_params", Dropped)]),
    arrange: contents,
    answer: detections_in_contents,
    // It says where, and leaves the cutting to others.
    gives_back: |_, _| true,
    enforced: false,
};

pub(super) const CHAT: Form = Form {
    name: "fms_chat",
    path: "/api/v1/text/chat",
    question: Object(&[
        must("messages", MESSAGES),
        may("tools", Either(&[Free, Null])).by(Role::User, Direction::Tools),
        may("detector_params", Dropped),
    ]),
    arrange: conversation,
    answer: detections_in_chat,
    // It says where, and leaves the cutting to others.
    gives_back: |_, _| true,
    enforced: false,
};

fn contents(document: &Json, passages: Vec<Passage>) -> Result<Arranged, ReadError> {
    match document.get("contents") {
        Some(Json::Array(items)) if !items.is_empty() => {
            Ok(Arranged::each("/contents", items.len(), passages))
        }
        _ => Err(ReadError::at("missing_field", "/contents", "there is no text")),
    }
}

fn detections_in_contents(asked: &Answering<'_>) -> Json {
    let units = asked.judged.iter().zip(asked.inquiry.units());
    let found = units.map(|(judged, passages)| {
        let mut told: Vec<Json> = counting(judged).map(|found| located(found, passages)).collect();
        if told.is_empty() && judged.said != Said::Passed {
            told.extend(passages.first().map(|passage| placed(&passage.text, None, other())));
        }
        Json::Array(told)
    });
    Json::Array(found.collect())
}

fn counting(judged: &Judged) -> impl Iterator<Item = &Found> {
    judged.found.iter().filter(|found| found.counts)
}

/// A finding with its place.
fn located(found: &Found, passages: &[Passage]) -> Json {
    let passage = passages.iter().find(|passage| passage.origin.at == found.at);
    placed(passage.map_or("", |passage| &passage.text), found.span.as_ref(), named(found))
}

/// What was found where in `text`: in all of it, where no place is known or the place is not one.
fn placed(text: &str, span: Option<&Range<usize>>, named: [(&'static str, Json); 3]) -> Json {
    let place = span.and_then(|span| Some((text.get(..span.start)?, text.get(span.clone())?)));
    let (before, inside) = place.unwrap_or(("", text));
    let start = before.chars().count() as u64;
    let mut fields = vec![
        ("start", start.into()),
        ("end", (start + inside.chars().count() as u64).into()),
        ("text", inside.into()),
    ];
    fields.extend(named);
    object(fields)
}

fn detections_in_chat(asked: &Answering<'_>) -> Json {
    let found = asked.judged.iter().flat_map(counting);
    let mut told: Vec<Json> = found.map(|found| object(named(found))).collect();
    if told.is_empty() && asked.said() != Said::Passed {
        told.push(object(other()));
    }
    Json::Array(told)
}

/// What the policy minds without a finding, such as a language.
fn other() -> [(&'static str, Json); 3] {
    let score = number(1.0);
    [("detection", "policy".into()), ("detection_type", "policy".into()), ("score", score)]
}

fn named(found: &Found) -> [(&'static str, Json); 3] {
    [
        ("detection", found.category.name().into()),
        ("detection_type", kind(found.category).into()),
        ("score", number(found.score)),
    ]
}

const fn kind(category: Category) -> &'static str {
    match category {
        Category::PromptInjection | Category::Jailbreak => "prompt_attack",
        Category::InsecureCode => "insecure_code",
        Category::Secrets => "secret",
        Category::PersonalData => "pii",
        _ => "hazard",
    }
}
