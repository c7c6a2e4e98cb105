//! What of a streamed response has left: from it comes what its later events repeat, and how it is cut off.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use super::events::number;
use super::{message, refusal_part, refuse, refused, started};
use crate::Json;
use crate::chunk::Frame;
use crate::dialect::{Cut, Refusal};
use crate::json::{object, set};
use crate::request::replace;

/// What of a streamed answer has left, where events are numbered and repeat what others said; empty elsewhere.
///
/// It knows only the texts that [`write`](Self::write) was given, so what it repeats has left before.
#[derive(Debug, Default)]
pub struct Transcript {
    events: u64,
    /// By the JSON pointer in the whole answer.
    texts: BTreeMap<Arc<str>, String>,
    items: BTreeMap<u64, Item>,
    size: usize,
}

/// An item, without its texts.
#[derive(Debug)]
struct Item {
    document: Json,
    /// The part of which the end has not left.
    open: Option<Part>,
    closed: bool,
}

#[derive(Clone, Copy, Debug)]
struct Part {
    list: &'static str,
    index: u64,
    /// The end of its text has left.
    said: bool,
}

impl Transcript {
    /// Nothing has left.
    #[must_use]
    pub const fn new() -> Self {
        Self { events: 0, texts: BTreeMap::new(), items: BTreeMap::new(), size: 0 }
    }

    /// About how many bytes are kept.
    #[must_use]
    pub const fn size(&self) -> usize {
        self.size
    }

    /// The data of an event as it goes to the client, with `texts` in their places. Where it repeats what has left,
    /// an empty text stands for that.
    #[must_use]
    pub fn write<T: AsRef<str>>(
        &mut self,
        frame: Frame,
        texts: impl IntoIterator<Item = T>,
    ) -> Vec<u8> {
        let Some(repeats) = frame.repeats else { return frame.fill(texts) };
        self.note(&frame.document);
        let Frame { mut document, places, .. } = frame;
        for (place, text) in places.iter().zip(texts) {
            let text = text.as_ref();
            let said = self.texts.entry(Arc::clone(&place.pointer)).or_default();
            if said.is_empty() {
                self.size += place.pointer.len();
            }
            said.push_str(text);
            self.size += text.len();
            replace(&mut document, &place.at, if repeats { said } else { text });
        }
        self.number(document)
    }

    /// The data of `event`, which is the next.
    fn number(&mut self, mut event: Json) -> Vec<u8> {
        set(&mut event, "sequence_number", self.events.into());
        self.events += 1;
        event.to_bytes()
    }

    /// Notes which items and parts begin and end with `event`, of which the texts are taken out.
    fn note(&mut self, event: &Json) {
        let index = number(event, "output_index");
        let name = event.get("type").and_then(Json::as_str).unwrap_or_default();
        match (name, event.get("item")) {
            ("response.output_item.added" | "response.output_item.done", Some(item)) => {
                self.size += item.size();
                let (document, closed) = (item.clone(), name.ends_with("done"));
                self.items.insert(index, Item { document, open: None, closed });
            }
            _ => {
                self.size += event.get("part").map_or(0, Json::size);
                if let Some(item) = self.items.get_mut(&index) {
                    item.note(name, event);
                }
            }
        }
    }

    /// The item at `index` with the texts that have left.
    fn item(&self, index: u64, item: &Item) -> Json {
        let mut document = item.document.clone();
        let inside = format!("/output/{index}/");
        let texts =
            self.texts.range::<str, _>((Bound::Included(inside.as_str()), Bound::Unbounded));
        for (pointer, text) in texts {
            let Some(place) = pointer.strip_prefix(&inside) else { break };
            replace(&mut document, &format!("/{place}"), text);
        }
        if !item.closed {
            set(&mut document, "status", "incomplete".into());
        }
        document
    }

    /// The events that end what has begun.
    fn closing(&self) -> Vec<Json> {
        let open = self.items.iter().filter(|(_, item)| !item.closed);
        open.flat_map(|(&index, item)| {
            let document = self.item(index, item);
            let mut events = item.open.map_or_else(Vec::new, |part| part.closing(index, &document));
            events.push(item_event("response.output_item.done", index, document));
            events
        })
        .collect()
    }
}

impl Item {
    fn note(&mut self, event: &str, document: &Json) {
        let list = match event {
            name if name.starts_with("response.reasoning_summary") => "summary",
            _ => "content",
        };
        let index = number(document, &format!("{list}_index"));
        match (event.rsplit_once('.'), document.get("part")) {
            (Some((_, "added")), Some(part)) => {
                self.open = Some(Part { list, index, said: false });
                self.add(list, index, part);
            }
            (Some((_, "done")), Some(_)) => self.open = None,
            (Some((_, "done")), None) => {
                self.open = self.open.map(|part| Part { said: true, ..part });
            }
            _ => {}
        }
    }

    /// Adds a part, if it is the next of its list.
    fn add(&mut self, list: &str, index: u64, part: &Json) {
        if !matches!(self.document.get(list), Some(Json::Array(_))) {
            set(&mut self.document, list, Json::Array(Vec::new()));
        }
        if let Some(Json::Array(parts)) = self.document.pointer_mut(&format!("/{list}"))
            && parts.len() as u64 == index
        {
            parts.push(part.clone());
        }
    }
}

impl Part {
    /// The events that end it; `item` is its item as it has left.
    fn closing(self, output: u64, item: &Json) -> Vec<Json> {
        let Self { list, index, said } = self;
        let parts = match item.get(list) {
            Some(Json::Array(parts)) => parts.as_slice(),
            _ => &[],
        };
        let place = usize::try_from(index).ok();
        let Some(part) = place.and_then(|place| parts.get(place)) else { return Vec::new() };
        let (done, field, ended) = match part.get("type").and_then(Json::as_str) {
            Some("refusal") => ("refusal", "refusal", "content_part"),
            Some("reasoning_text") => ("reasoning_text", "text", "content_part"),
            Some("summary_text") => ("reasoning_summary_text", "text", "reasoning_summary_part"),
            _ => ("output_text", "text", "content_part"),
        };
        let id = item.get("id").cloned().unwrap_or_else(|| "".into());
        let event = |kind: &str, name: &str, value: Json| {
            let place = (format!("{list}_index"), Json::from(index));
            part_event(&format!("response.{kind}.done"), (id.clone(), output), place, (name, value))
        };
        let text = part.get(field).cloned().unwrap_or_else(|| "".into());
        let mut events = Vec::new();
        if !said {
            events.push(event(done, field, text));
        }
        events.push(event(ended, "part", part.clone()));
        events
    }
}

fn item_event(kind: &str, index: u64, item: Json) -> Json {
    object([("type", kind.into()), ("output_index", index.into()), ("item", item)])
}

fn part_event(
    kind: &str,
    (id, output): (Json, u64),
    (index, place): (String, Json),
    (name, value): (&str, Json),
) -> Json {
    object([
        ("type", kind.into()),
        ("item_id", id),
        ("output_index", output.into()),
        (index.as_str(), place),
        (name, value),
    ])
}

/// The events of a message that refuses.
fn refusing(id: &str, output: u64, text: &str) -> Vec<Json> {
    let event = |kind: &str, name: &str, value: Json| {
        part_event(kind, (id.into(), output), ("content_index".to_owned(), 0.into()), (name, value))
    };
    let begun = message(id, "in_progress", Vec::new());
    vec![
        item_event("response.output_item.added", output, begun),
        event("response.content_part.added", "part", refusal_part("")),
        event("response.refusal.delta", "delta", text.into()),
        event("response.refusal.done", "refusal", text.into()),
        event("response.content_part.done", "part", refusal_part(text)),
        item_event("response.output_item.done", output, refused(id, text)),
    ]
}

fn response_event(kind: &str, response: Json) -> Json {
    object([("type", kind.into()), ("response", response)])
}

/// Ends what has begun, says the refusal in a message of its own, and ends with `response.incomplete`.
pub(super) fn cut(cut: Cut<'_>) -> Vec<Vec<u8>> {
    if cut.choices.is_empty() {
        return Vec::new();
    }
    let transcript = cut.transcript;
    let Some(response) = cut.like.and_then(|like| like.document.get("response")) else {
        return vec![error(transcript.events, cut.text).to_bytes()];
    };
    let mut events = Vec::new();
    if transcript.events == 0 {
        events.push(response_event("response.created", response.clone()));
    }
    let next = transcript.items.last_key_value().map_or(0, |(last, _)| last + 1);
    let items = transcript.items.iter().map(|(&index, item)| transcript.item(index, item));
    let output = items.chain([refused(REFUSAL, cut.text)]).collect();
    let mut response = response.clone();
    refuse(&mut response, Json::Array(output));
    events.extend(transcript.closing());
    events.extend(refusing(REFUSAL, next, cut.text));
    events.push(response_event("response.incomplete", response));
    numbered(events, transcript.events)
}

/// The id of the message that takes the place of what was cut off.
const REFUSAL: &str = "msg_refusal";

pub(super) fn refusal(refusal: &Refusal<'_>, _: bool) -> Vec<Vec<u8>> {
    let id = format!("msg_{}", refusal.id);
    let mut events = vec![
        response_event("response.created", started(refusal)),
        response_event("response.in_progress", started(refusal)),
    ];
    events.extend(refusing(&id, 0, refusal.text));
    events.push(response_event("response.incomplete", super::refusal(refusal)));
    numbered(events, 0)
}

/// The data of `events`, of which the first is the `first`th of its stream.
fn numbered(events: Vec<Json>, first: u64) -> Vec<Vec<u8>> {
    let mut transcript = Transcript { events: first, ..Transcript::new() };
    events.into_iter().map(|event| transcript.number(event)).collect()
}

/// What there is to say where no answer has begun.
fn error(number: u64, text: &str) -> Json {
    object([
        ("type", "error".into()),
        ("code", "content_filter".into()),
        ("message", text.into()),
        ("param", Json::Null),
        ("sequence_number", number.into()),
    ])
}
