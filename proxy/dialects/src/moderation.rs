//! OpenAI's `moderation`: a caller asks for the guard's scores along with the answer, and perhaps to be stricter with it.
//!
//! Source of the shapes: OpenAI's OpenAPI document 2.3.0, `ModerationParam`, `ChatCompletionModeration`, `Moderation`.

use classifiers_core::{Direction, Role};

use crate::dialect::Dialect;
use crate::json::object;
use crate::read::{Unknown, read};
use crate::table::{Field, Shape, Voice, may, must};
use crate::{Envelope, Json, ReadError};

use Shape::{Either, Id, Null, Object, Word};

/// What a caller asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moderation {
    /// Whether what counts in the request shall block it, whatever the policy does about it.
    pub blocks_input: bool,
    /// The same for the answer.
    pub blocks_output: bool,
}

/// What the guard says about one side of an exchange.
#[derive(Clone, Debug, PartialEq)]
pub enum Moderated {
    /// What was looked for, and how sure the classifiers are.
    Scored(Vec<Scored>),
    /// A check gave no verdict.
    Failed,
}

/// One category.
#[derive(Clone, Debug, PartialEq)]
pub struct Scored {
    /// Its name in policies.
    pub category: String,
    /// From 0 (absent) to 1 (certain).
    pub score: f32,
    /// Whether it counts under the policy.
    pub flagged: bool,
}

/// How a format says what was found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ModerationFormat {
    /// One side of an exchange.
    pub(crate) side: fn(&Moderated) -> Json,
    /// Puts it into a streamed answer, given its last events.
    pub(crate) stream: fn(Events, Option<&Envelope>, Json) -> Events,
}

/// The data of events, in order.
type Events = Vec<Vec<u8>>;

/// What the results say made them: the panel of this guard, whichever model was asked for.
const MODEL: &str = "portcullis";

const WRAPPED: &[Field] = &[may("moderation", Either(&[Object(ASKED), Null]))];
const ASKED: &[Field] = &[must("model", Id), may("policy", Either(&[Object(POLICY), Null]))];
const POLICY: &[Field] = &[
    may("input", Either(&[Object(CONFIG), Null])),
    may("output", Either(&[Object(CONFIG), Null])),
];
const CONFIG: &[Field] = &[must("mode", Word(&["score", "block"]))];

impl Moderation {
    /// What `request` asks for; nothing of that goes on.
    pub(crate) fn asked(request: &Json) -> Result<Option<Self>, ReadError> {
        let Some(asked) = request.get("moderation").filter(|asked| **asked != Json::Null) else {
            return Ok(None);
        };
        let voice = Voice { role: Role::User, direction: Direction::Input };
        let mut wrapped = object([("moderation", asked.clone())]);
        read(&mut wrapped, WRAPPED, voice, Unknown::Refuse)?;
        let blocks = |side: &str| {
            let mode = asked.get("policy").and_then(|policy| policy.get(side)?.get("mode"));
            mode.and_then(Json::as_str) == Some("block")
        };
        Ok(Some(Self { blocks_input: blocks("input"), blocks_output: blocks("output") }))
    }
}

impl Dialect {
    /// The last `events` of a streamed answer with what was found; `like` is what its events repeat.
    #[must_use]
    pub fn moderate(
        self,
        events: Vec<Vec<u8>>,
        like: Option<&Envelope>,
        (input, output): (&Moderated, &Moderated),
    ) -> Vec<Vec<u8>> {
        match self.0.moderation {
            Some(format) => (format.stream)(events, like, sides(format, input, output)),
            None => events,
        }
    }
}

/// The value of an answer's field `moderation`.
pub(crate) fn sides(format: ModerationFormat, input: &Moderated, output: &Moderated) -> Json {
    object([("input", (format.side)(input)), ("output", (format.side)(output))])
}

/// One side, as OpenAI's responses say it.
pub(crate) fn result(moderated: &Moderated) -> Json {
    let Moderated::Scored(scored) = moderated else {
        let message = "a safety check gave no verdict";
        return object([
            ("type", "error".into()),
            ("code", "guard_unavailable".into()),
            ("message", message.into()),
        ]);
    };
    let mut fields = vec![
        ("type", "moderation_result".into()),
        ("model", MODEL.into()),
        ("flagged", Json::Bool(scored.iter().any(|scored| scored.flagged))),
    ];
    fields.extend(by_category(scored));
    object(fields)
}

/// What every moderation result of OpenAI's says of each category.
pub(crate) fn by_category(scored: &[Scored]) -> [(&'static str, Json); 3] {
    let map = |value: fn(&Scored) -> Json| {
        object(scored.iter().map(|scored| (scored.category.as_str(), value(scored))))
    };
    [
        ("categories", map(|scored| Json::Bool(scored.flagged))),
        ("category_scores", map(|scored| number(scored.score))),
        ("category_applied_input_types", map(|_| Json::Array(vec!["text".into()]))),
    ]
}

/// One side, as OpenAI's chat completions say it: a list of one.
pub(crate) fn results(moderated: &Moderated) -> Json {
    match moderated {
        Moderated::Failed => result(moderated),
        Moderated::Scored(_) => object([
            ("type", "moderation_results".into()),
            ("model", MODEL.into()),
            ("results", Json::Array(vec![result(moderated)])),
        ]),
    }
}

/// A score with its four decimals.
pub(crate) fn number(score: f32) -> Json {
    let score = (f64::from(score) * 10_000.0).round() / 10_000.0;
    serde_json::Number::from_f64(score).map_or(Json::Null, Json::Number)
}
