//! One chunk of a streamed answer.

use std::sync::Arc;

use classifiers_core::{Direction, Passage, Role};

use super::tables::CHUNK;
use crate::read::{Unknown, read};
use crate::table::Voice;
use crate::{Json, ReadError};

/// One of the texts that a streamed answer is made of: they grow independently of each other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Channel {
    /// The choice, by its `index`.
    pub choice: u64,
    /// The field of that choice's message, as a JSON pointer below it: `/content`,
    /// `/tool_calls/0/function/arguments`.
    pub field: Arc<str>,
    /// Whether this is what the model says or what it asks a tool to do.
    pub direction: Direction,
}

impl Channel {
    /// Every reading of the whole text of this channel: as it stands, and for a tool call's arguments also with
    /// its escapes resolved.
    #[must_use]
    pub fn passages(&self, text: &str) -> Vec<Passage> {
        let at = format!("/choices/{}/message{}", self.choice, self.field);
        let unescaped =
            if self.field.ends_with("/arguments") { crate::unescaped(text) } else { None };
        let passage =
            |text: &str, at: &str| Passage::new(text, Role::Assistant, self.direction, at);
        std::iter::once(passage(text, &at))
            .chain(unescaped.map(|words| passage(&words, &format!("{at}#unescaped"))))
            .collect()
    }
}

/// A piece of text that a chunk adds to a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delta {
    /// Which text grows.
    pub channel: Channel,
    /// By how much.
    pub text: Arc<str>,
    /// Where the piece stands in the chunk: a JSON pointer.
    at: Arc<str>,
}

/// A strictly read chunk. Fields that the guard does not know have been removed.
#[derive(Debug)]
pub struct Chunk {
    document: Json,
    deltas: Vec<Delta>,
}

impl Chunk {
    /// Reads a chunk from an event's data.
    ///
    /// # Errors
    /// When the data is not strict JSON, or a known field is missing or of the wrong type; with code
    /// `upstream_error` if it is an error object instead of a chunk.
    pub fn parse(data: &[u8]) -> Result<Self, ReadError> {
        let mut document = Json::parse(data)?;
        if document.get("error").is_some_and(|error| *error != Json::Null) {
            return Err(ReadError::new(
                "upstream_error",
                "the upstream ended its answer with an error",
            ));
        }
        let voice = Voice { role: Role::Assistant, direction: Direction::Output };
        let passages = read(&mut document, CHUNK, voice, Unknown::Drop)?;
        let deltas = passages
            .into_iter()
            .map(|passage| delta(&document, passage))
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| ReadError::new("wrong_type", "a text stands outside every choice"))?;
        Ok(Self { document, deltas })
    }

    /// The pieces of text this chunk adds, in order.
    #[must_use]
    pub fn deltas(&self) -> &[Delta] {
        &self.deltas
    }

    /// Replaces the piece of text `number` (its index in [`deltas`](Self::deltas)).
    pub fn replace(&mut self, number: usize, text: &str) {
        if let Some(delta) = self.deltas.get_mut(number) {
            delta.text = text.into();
            crate::request::replace(&mut self.document, &delta.at, text);
        }
    }

    /// Whether this is the chunk that only carries usage.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        self.document.get("choices") == Some(&Json::Array(Vec::new()))
    }

    /// The indices of the choices that appear in this chunk.
    pub fn choices(&self) -> impl Iterator<Item = u64> {
        self.listed().iter().filter_map(index)
    }

    /// The indices of the choices that end with this chunk.
    pub fn finished(&self) -> impl Iterator<Item = u64> {
        let ended =
            |choice: &&Json| choice.get("finish_reason").is_some_and(|why| *why != Json::Null);
        self.listed().iter().filter(ended).filter_map(index)
    }

    fn listed(&self) -> &[Json] {
        match self.document.get("choices") {
            Some(Json::Array(choices)) => choices,
            _ => &[],
        }
    }

    /// A chunk of the same answer (id, model, time) with other choices.
    pub(super) fn with_choices(&self, choices: Vec<Json>) -> Json {
        let mut document = self.document.clone();
        if let Json::Object(fields) = &mut document {
            fields.retain(|(name, _)| &**name != "usage");
        }
        if let Some(value) = document.pointer_mut("/choices") {
            *value = Json::Array(choices);
        }
        document
    }

    /// The event's data as it goes to the client.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.document.to_bytes()
    }
}

fn index(value: &Json) -> Option<u64> {
    match value.get("index") {
        Some(Json::Number(n)) => n.as_u64(),
        _ => None,
    }
}

/// Which channel the passage at `/choices/{position}/delta/...` belongs to. Positions in the arrays are not
/// identities: `index` is.
fn delta(document: &Json, passage: Passage) -> Option<Delta> {
    let at = Arc::clone(&passage.origin.at);
    let mut tokens = at.split('/').skip(1);
    let (_choices, position, _delta) = (tokens.next()?, tokens.next()?, tokens.next()?);
    let Json::Array(choices) = document.get("choices")? else { return None };
    let choice = choices.get(position.parse::<usize>().ok()?)?;
    let fields: Vec<&str> = tokens.collect();
    let field = match fields.as_slice() {
        ["tool_calls", position, rest @ ..] => {
            let Json::Array(calls) = choice.get("delta")?.get("tool_calls")? else { return None };
            let call = index(calls.get(position.parse::<usize>().ok()?)?)?;
            format!("/tool_calls/{call}/{}", rest.join("/"))
        }
        fields => format!("/{}", fields.join("/")),
    };
    let channel = Channel {
        choice: index(choice)?,
        field: field.into(),
        direction: passage.origin.direction,
    };
    Some(Delta { channel, text: passage.text, at })
}
