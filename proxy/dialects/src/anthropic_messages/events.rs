//! Streamed messages: each event says in its data, too, what it is.

use classifiers_core::Passage;

use super::tables::{BLOCK_DELTA, BLOCK_START, BLOCK_STOP, MESSAGE_DELTA, MESSAGE_START};
use crate::chunk::{Block, Channel, Chunk, Event, deltas, no_error, type_first};
use crate::dialect::{Cut, CutChoice, Refusal};
use crate::json::object;
use crate::{Json, ReadError};

/// The data of the event that ends a stream.
pub(super) const LAST: &[u8] = br#"{"type":"message_stop"}"#;

pub(super) fn read(data: &[u8]) -> Result<Event, ReadError> {
    let mut document = Json::parse(data)?;
    no_error(&document)?;
    let kind = document.get("type").and_then(Json::as_str).unwrap_or_default().to_owned();
    let index = match document.get("index") {
        Some(Json::Number(index)) => index.as_u64().unwrap_or_default(),
        _ => 0,
    };
    let (table, block) = match kind.as_str() {
        "message_start" => (MESSAGE_START, Block::Answer { ends: false }),
        "content_block_start" => (BLOCK_START, Block::Opens(index)),
        "content_block_delta" if is_citation(&document) => return Ok(Event::Nothing),
        "content_block_delta" => (BLOCK_DELTA, Block::Grows),
        "content_block_stop" => (BLOCK_STOP, Block::Closes(index)),
        "message_delta" => (MESSAGE_DELTA, Block::Answer { ends: true }),
        "message_stop" => return Ok(Event::End),
        "ping" => return Ok(Event::Nothing),
        _ => return Err(ReadError::at("unsupported", "/type", "an event of an unknown kind")),
    };
    let input = document.get("content_block").and_then(|block| block.get("input"));
    if input.is_some_and(|input| *input != Json::Object(Vec::new())) {
        let why = "the input of a tool must come piece by piece";
        return Err(ReadError::at("unsupported", "/content_block/input", why));
    }
    let channel = |_: &Json, passage: &Passage| Some(channel(passage, index));
    let deltas = deltas(&mut document, table, channel)?;
    type_first(&mut document);
    Ok(Event::Chunk(Chunk { document, deltas, block: Some(block), repeats: None }))
}

/// Where a cited text comes from is not passed on.
fn is_citation(event: &Json) -> bool {
    let delta = event.get("delta").and_then(|delta| delta.get("type"));
    delta.and_then(Json::as_str) == Some("citations_delta")
}

fn channel(passage: &Passage, index: u64) -> Channel {
    let field = passage.origin.at.rsplit('/').next().unwrap_or_default();
    let pointer = match field {
        "stop_sequence" => "/stop_sequence".to_owned(),
        "explanation" => "/stop_details/explanation".to_owned(),
        "partial_json" => format!("/content/{index}/input"),
        field => format!("/content/{index}/{field}"),
    };
    Channel { choice: 0, pointer: pointer.into(), direction: passage.origin.direction }
}

/// Closes the block that is open, says the refusal in one of its own, and ends with the stop reason `refusal`.
pub(super) fn cut(cut: Cut<'_>) -> Vec<Vec<u8>> {
    let Some(choice) = cut.choices.first() else { return vec![LAST.to_vec()] };
    let mut events = Vec::new();
    match cut.like {
        Some(start) if !choice.begun => events.push(start.document.to_bytes()),
        None if !choice.begun => return vec![LAST.to_vec()],
        _ => {}
    }
    let CutChoice { open, next, .. } = *choice;
    events.extend(open.map(|index| block_stop(index).to_bytes()));
    events.extend(refused(next, cut.text).iter().map(Json::to_bytes));
    events.push(LAST.to_vec());
    events
}

pub(super) fn refusal(refusal: &Refusal<'_>, _: bool) -> Vec<Vec<u8>> {
    let mut message = super::refusal(refusal);
    for (at, value) in [("/content", Json::Array(Vec::new())), ("/stop_reason", Json::Null)] {
        if let Some(place) = message.pointer_mut(at) {
            *place = value;
        }
    }
    let start = object([("type", "message_start".into()), ("message", message)]);
    let mut events = vec![start.to_bytes()];
    events.extend(refused(0, refusal.text).iter().map(Json::to_bytes));
    events.push(LAST.to_vec());
    events
}

/// A block that says `text`, and why the answer ends.
fn refused(index: u64, text: &str) -> [Json; 4] {
    let empty = object([("type", "text".into()), ("text", "".into())]);
    let event = |kind: &str, name: &str, value: Json| {
        object([("type", kind.into()), ("index", index.into()), (name, value)])
    };
    let delta = object([("type", "text_delta".into()), ("text", text.into())]);
    let stop = object([("stop_reason", "refusal".into()), ("stop_sequence", Json::Null)]);
    [
        event("content_block_start", "content_block", empty),
        event("content_block_delta", "delta", delta),
        block_stop(index),
        object([
            ("type", "message_delta".into()),
            ("delta", stop),
            ("usage", object([("output_tokens", 0.into())])),
        ]),
    ]
}

fn block_stop(index: u64) -> Json {
    object([("type", "content_block_stop".into()), ("index", index.into())])
}
