//! The detector interface of the FMS guardrails orchestrator and TrustyAI (`POST /api/v1/text/contents`,
//! `POST /api/v1/text/chat`).
//!
//! Source of the field names: the orchestrator's detector API document (`ContentAnalysisHttpRequest`,
//! `ContentAnalysisResponse`, `ChatAnalysisHttpRequest`). Places are counted in characters (Unicode scalar values).

use classifiers_core::{Category, Direction, Passage, Role};

use super::messages::{MESSAGES, conversation};
use super::{Answering, Arranged, Form, Found, number};
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
        let counting = judged.found.iter().filter(|found| found.counts);
        Json::Array(counting.filter_map(|found| located(found, passages)).collect())
    });
    Json::Array(found.collect())
}

/// A finding with its place: the whole text, where the classifier names none.
fn located(found: &Found, passages: &[Passage]) -> Option<Json> {
    let text = &passages.iter().find(|passage| passage.origin.at == found.at)?.text;
    let span = found.span.clone().unwrap_or(0..text.len());
    let before = text.get(..span.start)?.chars().count() as u64;
    let inside = text.get(span)?;
    let mut fields = vec![
        ("start", before.into()),
        ("end", (before + inside.chars().count() as u64).into()),
        ("text", inside.into()),
    ];
    fields.extend(named(found));
    Some(object(fields))
}

fn detections_in_chat(asked: &Answering<'_>) -> Json {
    let found = asked.judged.iter().flat_map(|judged| &judged.found);
    Json::Array(found.filter(|found| found.counts).map(|found| object(named(found))).collect())
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
