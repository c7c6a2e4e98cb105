//! Streamed responses: what each kind of event is.

use classifiers_core::Passage;

use super::answer::{
    ARGUMENTS_DONE, CALL_DELTA, DELTA, INPUT_DONE, ITEM_EVENT, PART_EVENT, REFUSAL_DONE,
    RESPONSE_ENDED, RESPONSE_STARTED, SUMMARY_DELTA, SUMMARY_DONE, SUMMARY_PART_EVENT, TEXT_DONE,
};
use crate::chunk::{Block, Channel, Chunk, Event, deltas, no_error, type_first};
use crate::table::Field;
use crate::{Json, ReadError};

/// One kind of event.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) table: &'static [Field],
    place: Place,
    /// Whether its texts repeat what others said.
    repeats: bool,
}

/// Where in the answer an event's texts belong.
#[derive(Clone, Copy)]
enum Place {
    /// Into the whole answer, which is over or not.
    Response { ends: bool },
    /// Into an item that begins.
    Opens,
    /// Into an item that is over.
    Closes,
    /// Into a part of an item's list.
    Part(&'static str),
    /// Into a field of such a part.
    Text(&'static str, &'static str),
    /// Into a field of an item.
    Call(&'static str),
}

/// Every kind that says something.
#[rustfmt::skip]
pub(crate) const KINDS: &[Kind] = &[
    said("response.created", RESPONSE_STARTED, Place::Response { ends: false }),
    said("response.in_progress", RESPONSE_STARTED, Place::Response { ends: false }),
    repeated("response.completed", RESPONSE_ENDED, Place::Response { ends: true }),
    repeated("response.incomplete", RESPONSE_ENDED, Place::Response { ends: true }),
    said("response.output_item.added", ITEM_EVENT, Place::Opens),
    repeated("response.output_item.done", ITEM_EVENT, Place::Closes),
    said("response.content_part.added", PART_EVENT, Place::Part("content")),
    repeated("response.content_part.done", PART_EVENT, Place::Part("content")),
    said("response.output_text.delta", DELTA, Place::Text("content", "text")),
    repeated("response.output_text.done", TEXT_DONE, Place::Text("content", "text")),
    said("response.refusal.delta", DELTA, Place::Text("content", "refusal")),
    repeated("response.refusal.done", REFUSAL_DONE, Place::Text("content", "refusal")),
    said("response.function_call_arguments.delta", CALL_DELTA, Place::Call("arguments")),
    repeated("response.function_call_arguments.done", ARGUMENTS_DONE, Place::Call("arguments")),
    said("response.custom_tool_call_input.delta", CALL_DELTA, Place::Call("input")),
    repeated("response.custom_tool_call_input.done", INPUT_DONE, Place::Call("input")),
    said("response.reasoning_text.delta", DELTA, Place::Text("content", "text")),
    repeated("response.reasoning_text.done", TEXT_DONE, Place::Text("content", "text")),
    said("response.reasoning_summary_part.added", SUMMARY_PART_EVENT, Place::Part("summary")),
    repeated("response.reasoning_summary_part.done", SUMMARY_PART_EVENT, Place::Part("summary")),
    said("response.reasoning_summary_text.delta", SUMMARY_DELTA, Place::Text("summary", "text")),
    repeated("response.reasoning_summary_text.done", SUMMARY_DONE, Place::Text("summary", "text")),
    // vLLM
    said("response.reasoning_part.added", PART_EVENT, Place::Part("content")),
    repeated("response.reasoning_part.done", PART_EVENT, Place::Part("content")),
];

const fn said(name: &'static str, table: &'static [Field], place: Place) -> Kind {
    Kind { name, table, place, repeats: false }
}

const fn repeated(name: &'static str, table: &'static [Field], place: Place) -> Kind {
    Kind { name, table, place, repeats: true }
}

pub(super) fn read(data: &[u8]) -> Result<Event, ReadError> {
    if data == b"[DONE]" {
        return Ok(Event::End);
    }
    let mut document = Json::parse(data)?;
    no_error(&document)?;
    let name = document.get("type").and_then(Json::as_str).unwrap_or_default();
    let kind = match name {
        "error" | "response.failed" => {
            let why = "the upstream ended its answer with an error";
            return Err(ReadError::new("upstream_error", why));
        }
        // Where a cited text comes from is not passed on.
        "response.output_text.annotation.added" | "response.queued" | "keepalive" | "ping" => {
            return Ok(Event::Nothing);
        }
        name => KINDS.iter().find(|kind| kind.name == name),
    };
    let unknown = || ReadError::at("unsupported", "/type", "an event of an unknown kind");
    let Kind { table, place, repeats, .. } = *kind.ok_or_else(unknown)?;
    let item = number(&document, "output_index");
    let channel = |document: &Json, passage: &Passage| {
        let pointer = place.pointer(document, &passage.origin.at)?.into();
        Some(Channel { choice: 0, pointer, direction: passage.origin.direction })
    };
    let deltas = deltas(&mut document, table, channel)?;
    type_first(&mut document);
    let block = match place {
        Place::Response { ends } => Block::Answer { ends },
        Place::Opens => Block::Opens(item),
        Place::Closes => Block::Closes(item),
        Place::Part(_) | Place::Text(..) | Place::Call(_) => Block::Grows,
    };
    Ok(Event::Chunk(Chunk { document, deltas, block: Some(block), repeats: Some(repeats) }))
}

impl Place {
    /// Where in the answer the text stands that stands `at` this place of `event`.
    fn pointer(self, event: &Json, at: &str) -> Option<String> {
        let item = number(event, "output_index");
        Some(match self {
            Self::Response { .. } => at.strip_prefix("/response")?.to_owned(),
            Self::Opens | Self::Closes => format!("/output/{item}{}", at.strip_prefix("/item")?),
            Self::Part(list) => {
                let part = number(event, &format!("{list}_index"));
                format!("/output/{item}/{list}/{part}{}", at.strip_prefix("/part")?)
            }
            Self::Text(list, field) => {
                let part = number(event, &format!("{list}_index"));
                format!("/output/{item}/{list}/{part}/{field}")
            }
            Self::Call(_) if at == "/name" => format!("/output/{item}/name"),
            Self::Call(field) => format!("/output/{item}/{field}"),
        })
    }
}

/// A number of the event; its table says that it is there.
pub(super) fn number(event: &Json, name: &str) -> u64 {
    match event.get(name) {
        Some(Json::Number(number)) => number.as_u64().unwrap_or_default(),
        _ => 0,
    }
}
