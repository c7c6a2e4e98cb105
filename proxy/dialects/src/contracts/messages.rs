//! Messages as contracts carry them: OpenAI's, Llama Stack's and what gateways make of both.

use classifiers_core::{Direction, Passage, Role};

use super::Arranged;
use crate::openai_chat::tables::MEDIA;
use crate::table::{Field, Shape, may, must};
use crate::{Json, ReadError};

use Shape::{Either, Free, JsonText, List, Null, Object, Parts, Tag, Tagged, Text};

pub(super) const MESSAGES: Shape = List(&MESSAGE);

const MESSAGE: Shape = Tagged(
    "role",
    &[
        ("system", OPERATOR),
        ("developer", OPERATOR),
        ("user", USER),
        ("assistant", MODEL),
        ("tool", TOOL),
        ("function", TOOL),
    ],
);

const OPERATOR: &[Field] =
    &[must("role", Tag), must("content", CONTENT).by(Role::Operator, Direction::Input)];
const USER: &[Field] = &[must("role", Tag), must("content", CONTENT)];
const MODEL: &[Field] = &[
    must("role", Tag),
    may("content", CONTENT),
    may("tool_calls", Either(&[List(&CALL), Null])).by(Role::Assistant, Direction::Tools),
    may("function_call", Either(&[Object(CALLED), Null])).by(Role::Assistant, Direction::Tools),
];
const TOOL: &[Field] =
    &[must("role", Tag), must("content", CONTENT).by(Role::Tool, Direction::Tools)];

const CALL: Shape = Object(&[may("function", Object(CALLED)), may("arguments", ARGUMENTS)]);
const CALLED: &[Field] = &[may("arguments", ARGUMENTS)];
const ARGUMENTS: Shape = Either(&[JsonText, Free]);

const CONTENT: Shape = Either(&[Text, Parts(&PART), PART, Null]);

/// A part of a message. A kind that is not listed is refused: nobody knows what it holds.
pub(super) const PART: Shape = Tagged(
    "type",
    &[
        ("text", &[must("type", Tag), must("text", Text)]),
        ("refusal", &[must("type", Tag), must("refusal", Text)]),
        ("image", UNREADABLE),
        ("image_url", UNREADABLE),
        ("input_audio", UNREADABLE),
        ("video_url", UNREADABLE),
        ("file", UNREADABLE),
    ],
);
const UNREADABLE: &[Field] = &[must("type", MEDIA)];

/// What the model says at the end of `messages` is an answer; what it is said to have said before is not.
pub(super) fn answers_last(messages: Option<&Json>, at: &str, passages: &mut [Passage]) {
    let Some(Json::Array(messages)) = messages else { return };
    let role = messages.last().and_then(|last| last.get("role")?.as_str());
    if role != Some("assistant") {
        return;
    }
    let last = format!("{at}/{}/", messages.len() - 1);
    for passage in passages.iter_mut().filter(|passage| passage.origin.at.starts_with(&last)) {
        passage.origin.role = Role::Assistant;
        if passage.origin.direction == Direction::Input {
            passage.origin.direction = Direction::Output;
        }
    }
}

/// One verdict about a conversation in the field `messages`.
pub(super) fn conversation(
    document: &Json,
    mut passages: Vec<Passage>,
) -> Result<Arranged, ReadError> {
    let messages = document.get("messages");
    if messages == Some(&Json::Array(Vec::new())) {
        return Err(ReadError::at("missing_field", "/messages", "there is no message"));
    }
    answers_last(messages, "/messages", &mut passages);
    Ok(Arranged::together(passages))
}
