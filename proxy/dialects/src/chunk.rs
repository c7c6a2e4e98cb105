//! One event of a streamed answer.

use std::sync::Arc;

use classifiers_core::{Direction, Passage, Role};

use crate::joined::{flow, is_prose};
use crate::json::set;
use crate::read::{Unknown, read};
use crate::table::{Field, Voice};
use crate::{Json, ReadError};

/// One of the texts that a streamed answer is made of: they grow independently of each other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Channel {
    /// The choice, by its index; 0 where the format has no choices.
    pub choice: u64,
    /// JSON pointer of the text in the whole answer: `/choices/0/message/content`.
    pub pointer: Arc<str>,
    /// Whether this is what the model says or what it asks a tool to do.
    pub direction: Direction,
}

impl Channel {
    fn field(&self) -> &str {
        self.pointer.rsplit('/').next().unwrap_or_default()
    }

    /// Whether its parts can be read on their own, like a sentence and unlike half a JSON object: what the model says
    /// to a person. A name, an id or a tool's arguments mean something only as a whole.
    #[must_use]
    pub fn is_prose(&self) -> bool {
        is_prose(&self.pointer, self.direction)
    }

    /// What clients show one after the other as one text: prose of the same kind, in whatever block or item of the answer
    /// it comes, such as `/content/text`. None where it is no prose.
    #[must_use]
    pub fn flow(&self) -> Option<String> {
        flow(&self.pointer, self.direction)
    }

    /// The stretch `text` of this channel as a passage; `at` says where it came from.
    #[must_use]
    pub fn passage(&self, text: &str, at: Arc<str>) -> Passage {
        Passage::new(text, Role::Assistant, self.direction, at)
    }

    /// A tool call's whole arguments with their escapes resolved, where that is another text.
    #[must_use]
    pub fn unescaped(&self, text: &str) -> Option<Passage> {
        let is_json = matches!(self.field(), "arguments" | "input");
        let words = is_json.then(|| crate::unescaped(text)).flatten()?;
        Some(self.passage(&words, format!("{}#unescaped", self.pointer).into()))
    }
}

/// What the data of an event is.
#[derive(Debug)]
pub enum Event {
    /// A part of the answer.
    Chunk(Chunk),
    /// The stream is over.
    End,
    /// Nothing that the client needs.
    Nothing,
}

/// A piece of text that a chunk adds to a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delta {
    /// Which text grows.
    pub channel: Channel,
    /// By how much.
    pub text: Arc<str>,
    /// Where the piece stands in the chunk: a JSON pointer.
    pub(crate) at: Arc<str>,
}

impl Delta {
    fn place(&self) -> Place {
        Place { at: Arc::clone(&self.at), pointer: Arc::clone(&self.channel.pointer) }
    }
}

/// Refuses an error object in place of a chunk.
///
/// # Errors
/// With code `upstream_error`.
pub(crate) fn no_error(document: &Json) -> Result<(), ReadError> {
    match document.get("error") {
        None | Some(Json::Null) => Ok(()),
        Some(_) => {
            Err(ReadError::new("upstream_error", "the upstream ended its answer with an error"))
        }
    }
}

/// Reads an event's document against its table; `channel` says which text of the answer a passage belongs to.
///
/// # Errors
/// When a known field is missing or of the wrong type, or a text belongs to no channel.
pub(crate) fn deltas(
    document: &mut Json,
    table: &'static [Field],
    channel: impl Fn(&Json, &Passage) -> Option<Channel>,
) -> Result<Vec<Delta>, ReadError> {
    let voice = Voice { role: Role::Assistant, direction: Direction::Output };
    let passages = read(document, table, voice, Unknown::Drop)?;
    let delta = |passage: Passage| {
        let channel = channel(document, &passage)?;
        Some(Delta { channel, text: passage.text, at: passage.origin.at })
    };
    let deltas: Option<Vec<Delta>> = passages.into_iter().map(delta).collect();
    deltas.ok_or_else(|| ReadError::new("wrong_type", "a text stands where none can be"))
}

/// Puts the `type` first, so that [`encode_named`] finds it.
pub(crate) fn type_first(document: &mut Json) {
    if let Json::Object(fields) = document {
        fields.sort_by_key(|(name, _)| name != "type");
    }
}

/// An event whose name is what its data says it is.
pub(crate) fn encode_named(data: &[u8]) -> Vec<u8> {
    let kind = data
        .strip_prefix(br#"{"type":""#)
        .and_then(|rest| rest.split(|byte| *byte == b'"').next())
        .unwrap_or(b"error");
    [b"event: ", kind, b"\ndata: ", data, b"\n\n"].concat()
}

/// How the chunks of a format with choices look.
pub(crate) struct Chunks {
    pub(crate) table: &'static [Field],
    /// The field of a choice that a chunk has in place of the answer's: `delta` for `message`.
    pub(crate) inside: Option<(&'static str, &'static str)>,
}

/// A strictly read chunk. Fields that the guard does not know have been removed.
#[derive(Debug)]
pub struct Chunk {
    pub(crate) document: Json,
    pub(crate) deltas: Vec<Delta>,
    /// Where the format has no choices: what the event does to the blocks of the answer.
    pub(crate) block: Option<Block>,
    /// Where events repeat what was said: whether this one does.
    pub(crate) repeats: Option<bool>,
}

/// What an event does to the blocks of an answer that consists of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block {
    /// The answer begins or is over.
    Answer {
        /// It is over.
        ends: bool,
    },
    /// A block begins.
    Opens(u64),
    /// A block goes on.
    Grows,
    /// A block is over.
    Closes(u64),
}

impl Chunk {
    /// Reads a chunk from an event's data.
    ///
    /// # Errors
    /// When the data is not strict JSON, or a known field is missing or of the wrong type; with code
    /// `upstream_error` if it is an error object instead of a chunk.
    pub(crate) fn parse(data: &[u8], chunks: &Chunks) -> Result<Self, ReadError> {
        let mut document = Json::parse(data)?;
        no_error(&document)?;
        let channel =
            |document: &Json, passage: &Passage| channel(document, passage, chunks.inside);
        let deltas = deltas(&mut document, chunks.table, channel)?;
        Ok(Self { document, deltas, block: None, repeats: None })
    }

    /// The pieces of text this chunk adds, in order.
    #[must_use]
    pub fn deltas(&self) -> &[Delta] {
        &self.deltas
    }

    /// The indices of the choices that appear in this chunk.
    pub fn choices(&self) -> impl Iterator<Item = u64> {
        self.listed().iter().filter_map(index)
    }

    fn listed(&self) -> &[Json] {
        match self.document.get("choices") {
            Some(Json::Array(choices)) => choices,
            _ => &[],
        }
    }

    /// What the chunk says about the answer as a whole. No text, wherever it stands.
    #[must_use]
    pub fn envelope(&self) -> Envelope {
        let mut document = self.document.clone();
        empty(&mut document, &self.deltas);
        if let Json::Object(fields) = &mut document {
            fields.retain(|(name, _)| &**name != "usage");
        }
        set_choices(&mut document, Vec::new());
        Envelope { document }
    }

    /// Takes the text out: for each choice in the chunk the frame that is left, and the pieces of text that belong
    /// into it. A chunk without choices is one frame.
    #[must_use]
    pub fn into_frames(self) -> Vec<(Frame, Vec<Delta>)> {
        let Self { mut document, mut deltas, block, repeats } = self;
        empty(&mut document, &deltas);
        if let Some(block) = block {
            let frame = Frame { repeats, ..Frame::of_block(document, &deltas, block) };
            return vec![(frame, deltas)];
        }
        let choices = match document.pointer_mut("/choices") {
            Some(Json::Array(choices)) if choices.len() > 1 => std::mem::take(choices),
            _ => return vec![(Frame::of(document, &deltas), deltas)],
        };
        let (mut frames, last) = (Vec::new(), choices.len() - 1);
        for (position, choice) in choices.into_iter().enumerate() {
            let mut single = document.clone();
            if let Json::Object(fields) = &mut single
                && position < last
            {
                // It counts for all choices, so it comes with the last.
                fields.retain(|(name, _)| &**name != "usage");
            }
            set_choices(&mut single, vec![choice]);
            let inside = format!("/choices/{position}/");
            let (own, others): (Vec<Delta>, Vec<Delta>) =
                deltas.into_iter().partition(|delta| delta.at.starts_with(&inside));
            deltas = others;
            let moved = |delta: Delta| {
                let rest = delta.at.strip_prefix(&inside).unwrap_or_default();
                Delta { at: format!("/choices/0/{rest}").into(), ..delta }
            };
            let own: Vec<Delta> = own.into_iter().map(moved).collect();
            frames.push((Frame::of(single, &own), own));
        }
        frames
    }
}

/// Takes the text of `deltas` out.
fn empty(document: &mut Json, deltas: &[Delta]) {
    for delta in deltas {
        crate::request::replace(document, &delta.at, "");
    }
}

/// Where a piece of text belongs.
#[derive(Debug)]
pub(crate) struct Place {
    /// In the event.
    pub(crate) at: Arc<str>,
    /// In the whole answer.
    pub(crate) pointer: Arc<str>,
}

/// What is left of a chunk, for one of its choices, when its text is taken out.
#[derive(Debug)]
pub struct Frame {
    pub(crate) document: Json,
    pub(crate) places: Vec<Place>,
    choice: Option<u64>,
    ends: bool,
    block: Option<Block>,
    pub(crate) repeats: Option<bool>,
}

impl Frame {
    fn of_block(document: Json, deltas: &[Delta], block: Block) -> Self {
        let places = deltas.iter().map(Delta::place).collect();
        let ends = block == Block::Answer { ends: true };
        Self { document, places, choice: Some(0), ends, block: Some(block), repeats: None }
    }

    fn of(document: Json, deltas: &[Delta]) -> Self {
        let places = deltas.iter().map(Delta::place).collect();
        let listed = match document.get("choices") {
            Some(Json::Array(choices)) => choices.first(),
            _ => None,
        };
        let why = listed.and_then(|choice| choice.get("finish_reason"));
        let (choice, ends) = (listed.and_then(index), why.is_some_and(|why| *why != Json::Null));
        Self { document, places, choice, ends, block: None, repeats: None }
    }

    /// The choice it is about, by its `index`; none for a chunk that only carries usage.
    #[must_use]
    pub const fn choice(&self) -> Option<u64> {
        self.choice
    }

    /// Whether the choice ends with it.
    #[must_use]
    pub const fn ends_choice(&self) -> bool {
        self.ends
    }

    /// What it does to the blocks of the answer, where the format has blocks.
    #[must_use]
    pub const fn block(&self) -> Option<Block> {
        self.block
    }

    /// Whether its texts repeat what other events said.
    #[must_use]
    pub fn repeats(&self) -> bool {
        self.repeats == Some(true)
    }

    /// The event's data as it goes to the client, with `texts` in their places; a place without a text stays empty.
    #[must_use]
    pub fn fill<T: AsRef<str>>(mut self, texts: impl IntoIterator<Item = T>) -> Vec<u8> {
        for (place, text) in self.places.iter().zip(texts) {
            crate::request::replace(&mut self.document, &place.at, text.as_ref());
        }
        self.document.to_bytes()
    }
}

/// What every chunk of an answer repeats: id, model, time. No text.
#[derive(Clone, Debug)]
pub struct Envelope {
    pub(crate) document: Json,
}

impl Envelope {
    pub(crate) fn with_choices(&self, choices: Vec<Json>) -> Vec<u8> {
        let mut document = self.document.clone();
        set_choices(&mut document, choices);
        document.to_bytes()
    }

    pub(crate) fn moderated(&self, moderation: Json) -> Vec<u8> {
        let mut document = self.document.clone();
        set_choices(&mut document, Vec::new());
        set(&mut document, "moderation", moderation);
        document.to_bytes()
    }
}

fn set_choices(document: &mut Json, choices: Vec<Json>) {
    if let Some(value) = document.pointer_mut("/choices") {
        *value = Json::Array(choices);
    }
}

fn index(value: &Json) -> Option<u64> {
    match value.get("index") {
        Some(Json::Number(n)) => n.as_u64(),
        _ => None,
    }
}

/// Which channel the passage at `/choices/{position}/...` belongs to. Positions in the arrays are not identities:
/// `index` is.
fn channel(
    document: &Json,
    passage: &Passage,
    inside: Option<(&'static str, &'static str)>,
) -> Option<Channel> {
    let mut tokens = passage.origin.at.split('/').skip(1);
    let (_choices, position) = (tokens.next()?, tokens.next()?);
    let Json::Array(choices) = document.get("choices")? else { return None };
    let choice = choices.get(position.parse::<usize>().ok()?)?;
    let (place, whole) = match inside {
        Some((part, whole)) => {
            tokens.next().filter(|token| *token == part)?;
            (choice.get(part)?, format!("/{whole}"))
        }
        None => (choice, String::new()),
    };
    let fields: Vec<&str> = tokens.collect();
    let field = match fields.as_slice() {
        ["tool_calls", position, rest @ ..] => {
            let Json::Array(calls) = place.get("tool_calls")? else { return None };
            let call = index(calls.get(position.parse::<usize>().ok()?)?)?;
            format!("tool_calls/{call}/{}", rest.join("/"))
        }
        fields => fields.join("/"),
    };
    let index = index(choice)?;
    Some(Channel {
        choice: index,
        pointer: format!("/choices/{index}{whole}/{field}").into(),
        direction: passage.origin.direction,
    })
}
