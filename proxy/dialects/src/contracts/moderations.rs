//! OpenAI's moderations (`POST /v1/moderations`): one result for each input.
//!
//! Source of the field names: OpenAI's OpenAPI document 2.3.0 (schemas `CreateModerationRequest`,
//! `CreateModerationResponse`). Results carry our own categories beside OpenAI's, as that document allows, and
//! `user_message` and `metadata`, which Llama Stack's clients expect.

use classifiers_core::{Category, Passage};

use super::messages::PART;
use super::{Answering, Arranged, Form, Judged, Said};
use crate::json::object;
use crate::moderation::{Scored, by_category};
use crate::table::{Shape, may, must};
use crate::{Json, ReadError};

use Shape::{Either, Id, Null, Object, Parts, Text};

pub(super) const FORM: Form = Form {
    name: "openai_moderations",
    path: "/v1/moderations",
    question: Object(&[
        must("input", Either(&[Text, Parts(&Either(&[Text, PART]))])),
        may("model", Either(&[Id, Null])),
    ]),
    arrange,
    answer,
    // It says what was found, not what to do.
    gives_back: |_, _| true,
    enforced: false,
};

/// A list of texts has a verdict for each; a list of parts is one input.
fn arrange(document: &Json, passages: Vec<Passage>) -> Result<Arranged, ReadError> {
    let is_text = |item: &Json| item.as_str().is_some();
    match document.get("input") {
        Some(Json::Array(items)) if items.is_empty() => {
            Err(ReadError::at("missing_field", "/input", "there is no text"))
        }
        Some(Json::Array(items)) if items.iter().all(is_text) => {
            Ok(Arranged::each("/input", items.len(), passages))
        }
        Some(Json::Array(items)) if items.iter().any(is_text) => {
            let why = "either texts or parts were expected, not both";
            Err(ReadError::at("wrong_type", "/input", why))
        }
        _ => Ok(Arranged::together(passages)),
    }
}

fn answer(asked: &Answering<'_>) -> Json {
    let model = asked.field("model").and_then(Json::as_str).unwrap_or("portcullis");
    object([
        ("id", format!("modr-{}", asked.id).as_str().into()),
        ("model", model.into()),
        ("results", Json::Array(asked.judged.iter().map(result).collect())),
    ])
}

fn result(judged: &Judged) -> Json {
    let mut scored: Vec<Scored> = Vec::new();
    for category in Category::ALL {
        let about = || judged.found.iter().filter(|found| found.category == category);
        // What nobody looked for is left out, and not called clean.
        let Some(score) = about().map(|found| found.score).max_by(f32::total_cmp) else { continue };
        let flagged = about().any(|found| found.counts);
        scored.push(Scored { category: category.name().to_owned(), score, flagged });
    }
    let kinds = Category::ALL.into_iter().filter(|category| {
        judged.found.iter().any(|found| found.counts && found.category == *category)
    });
    let kinds: Vec<Json> = kinds.map(|category| super::code(category).into()).collect();
    // Not every reason has a category: a policy may refuse a language.
    let flagged = judged.said != Said::Passed || !kinds.is_empty();
    // `hate` is a name of both, and says the same.
    let theirs = OPENAI.iter().filter(|(name, _)| !scored.iter().any(|own| own.category == *name));
    let openai: Vec<_> = theirs.map(|(name, ours)| openai(&scored, name, ours)).collect();
    scored.extend(openai);
    let metadata: Vec<_> =
        flagged.then_some(("violation_type", Json::Array(kinds))).into_iter().collect();
    let mut fields = vec![("flagged", Json::Bool(flagged))];
    fields.extend(by_category(&scored));
    fields.extend([
        ("user_message", if flagged { judged.message.as_str().into() } else { Json::Null }),
        ("metadata", object(metadata)),
    ]);
    object(fields)
}

/// OpenAI's categories, and which of ours say the most about each. Where OpenAI tells kinds apart that ours do not, all
/// of them have the same score: too much rather than too little.
const OPENAI: [(&str, &[Category]); 13] = [
    ("harassment", &[Category::Hate]),
    ("harassment/threatening", &[Category::Hate, Category::ViolentCrimes]),
    ("hate", &[Category::Hate]),
    ("hate/threatening", &[Category::Hate]),
    ("illicit", &[Category::NonViolentCrimes, Category::IndiscriminateWeapons]),
    ("illicit/violent", &[Category::ViolentCrimes, Category::IndiscriminateWeapons]),
    ("self-harm", &[Category::SuicideSelfHarm]),
    ("self-harm/intent", &[Category::SuicideSelfHarm]),
    ("self-harm/instructions", &[Category::SuicideSelfHarm]),
    ("sexual", &[Category::SexualContent, Category::SexRelatedCrimes]),
    ("sexual/minors", &[Category::ChildSexualExploitation]),
    ("violence", &[Category::ViolentCrimes]),
    ("violence/graphic", &[Category::ViolentCrimes]),
];

fn openai(ours: &[Scored], name: &str, from: &[Category]) -> Scored {
    let same = |scored: &&Scored| from.iter().any(|category| category.name() == scored.category);
    let about = || ours.iter().filter(same);
    Scored {
        category: name.to_owned(),
        score: about().map(|scored| scored.score).fold(0.0, f32::max),
        flagged: about().any(|scored| scored.flagged),
    }
}
