//! What a wire format is made of.

use std::fmt;

use crate::chunk::{Envelope, Event, Frame};
use crate::moderation::ModerationFormat;
use crate::table::Field;
use crate::{
    ApiError, Json, ReadError, Transcript, anthropic_messages, openai_chat, openai_completions,
    openai_embeddings, openai_responses,
};

/// A wire format: the tables of its messages, and how the guard speaks in it. The guard itself does not know which
/// one it serves.
#[derive(Clone, Copy)]
pub struct Dialect(pub(crate) &'static Format);

/// One wire format; each has a folder of its own.
pub(crate) struct Format {
    pub(crate) name: &'static str,
    /// Where requests are sent, below the base URL.
    pub(crate) path: &'static str,
    pub(crate) request: &'static [Field],
    pub(crate) answer: &'static [Field],
    /// How its answers are streamed, if they are.
    pub(crate) stream: Option<StreamFormat>,
    /// What a table cannot say about a request: checks that something is asked, and says what must not be left open.
    pub(crate) complete: fn(&mut Json) -> Result<(), ReadError>,
    /// How many choices a request asks for.
    pub(crate) choices: fn(&Json) -> u64,
    /// Takes the text out of an answer and puts a refusal in its place; usage stays.
    pub(crate) withhold: fn(&mut Json, &str),
    /// A refusal in place of an answer, if the format has words for one.
    pub(crate) refusal: Option<fn(&Refusal<'_>) -> Json>,
    /// How it says what the guard found, if callers may ask for that.
    pub(crate) moderation: Option<ModerationFormat>,
    /// An error as clients expect it.
    pub(crate) error: fn(&ApiError) -> Vec<u8>,
}

/// How a format streams its answers.
pub(crate) struct StreamFormat {
    /// Reads the data of an event.
    pub(crate) read: fn(&[u8]) -> Result<Event, ReadError>,
    /// The data of the event that ends a stream; empty where the last part of the answer does.
    pub(crate) last: &'static [u8],
    /// Where the blocks of an answer are, as a JSON pointer, if it has some.
    pub(crate) blocks: &'static str,
    /// The data of the events that end an answer early.
    pub(crate) cut: fn(Cut<'_>) -> Vec<Vec<u8>>,
    /// A refusal in place of a streamed answer, with a usage chunk or without: the data of each event.
    pub(crate) refusal: fn(&Refusal<'_>, bool) -> Vec<Vec<u8>>,
    /// An event as it is written, given its data.
    pub(crate) encode: fn(&[u8]) -> Vec<u8>,
}

/// A streamed answer that ends early.
#[derive(Debug)]
pub struct Cut<'a> {
    /// What every event of it repeats, if one has come.
    pub like: Option<&'a Envelope>,
    /// What is not over.
    pub choices: &'a [CutChoice],
    /// What the person reads.
    pub text: &'a str,
    /// The upstream's own account of tokens, if it came in an event of its own.
    pub usage: Option<Frame>,
    /// What has left.
    pub transcript: &'a Transcript,
}

/// A choice of a streamed answer that is cut off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CutChoice {
    /// Its `index`.
    pub index: u64,
    /// Whether the client has seen some of it.
    pub begun: bool,
    /// The block that the client has seen the beginning of and not the end.
    pub open: Option<u64>,
    /// The first block that the client has seen nothing of.
    pub next: u64,
}

/// A refusal in place of a model's answer.
#[derive(Clone, Copy, Debug)]
pub struct Refusal<'a> {
    /// The id of the answer: the decision's.
    pub id: &'a str,
    /// The model that was asked for.
    pub model: &'a str,
    /// When, in seconds since 1970.
    pub created: u64,
    /// How many choices were asked for; each is refused.
    pub choices: u64,
    /// What the person reads.
    pub text: &'a str,
}

impl Dialect {
    /// OpenAI's chat completions, with what vLLM adds.
    pub const OPENAI_CHAT: Self = Self(&openai_chat::FORMAT);
    /// OpenAI's older completions.
    pub const OPENAI_COMPLETIONS: Self = Self(&openai_completions::FORMAT);
    /// OpenAI's embeddings.
    pub const OPENAI_EMBEDDINGS: Self = Self(&openai_embeddings::FORMAT);
    /// Anthropic's messages.
    pub const ANTHROPIC_MESSAGES: Self = Self(&anthropic_messages::FORMAT);

    /// OpenAI's responses.
    pub const OPENAI_RESPONSES: Self = Self(&openai_responses::FORMAT);

    /// Every one of them.
    pub const ALL: [Self; 5] = [
        Self::OPENAI_CHAT,
        Self::OPENAI_COMPLETIONS,
        Self::OPENAI_EMBEDDINGS,
        Self::ANTHROPIC_MESSAGES,
        Self::OPENAI_RESPONSES,
    ];

    /// The format that is spoken at `path`, such as `/v1/chat/completions`. Compared byte by byte: a path that merely
    /// decodes to it is not it.
    #[must_use]
    pub fn at(path: &str) -> Option<Self> {
        let below = path.strip_prefix("/v1")?;
        Self::ALL.into_iter().find(|dialect| dialect.path() == below)
    }

    /// Where its requests are sent, below the base URL (`/v1`): `/chat/completions`.
    #[must_use]
    pub const fn path(self) -> &'static str {
        self.0.path
    }

    /// Its name in records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.0.name
    }

    /// A refusal in place of a plain answer, as bytes; `None` where the format has no words, only an error can say no.
    #[must_use]
    pub fn refusal(self, refusal: &Refusal<'_>) -> Option<Vec<u8>> {
        Some((self.0.refusal?)(refusal).to_bytes())
    }

    /// Reads the data of an event of a streamed answer.
    ///
    /// # Errors
    /// When the data is not strict JSON, or a known field is missing or of the wrong type; with code
    /// `upstream_error` if it is an error instead of a part of the answer.
    pub fn read_event(self, data: &[u8]) -> Result<Event, ReadError> {
        let unstreamed = || ReadError::new("unsupported", "this format is not streamed");
        (self.0.stream.as_ref().ok_or_else(unstreamed)?.read)(data)
    }

    /// The data of the event that ends a stream; empty where the last part of the answer does.
    #[must_use]
    pub fn last_event(self) -> &'static [u8] {
        self.0.stream.as_ref().map_or(b"", |stream| stream.last)
    }

    /// What the pointers of all texts of a block of a streamed answer begin with.
    #[must_use]
    pub fn block(self, block: u64) -> String {
        let blocks = self.0.stream.as_ref().map_or("", |stream| stream.blocks);
        format!("{blocks}/{block}/")
    }

    /// The data of the events that end a streamed answer early.
    #[must_use]
    pub fn cut(self, cut: Cut<'_>) -> Vec<Vec<u8>> {
        self.0.stream.as_ref().map_or_else(Vec::new, |stream| (stream.cut)(cut))
    }

    /// A refusal in place of a streamed answer: the data of each event.
    #[must_use]
    pub fn refusal_events(self, refusal: &Refusal<'_>, wants_usage: bool) -> Vec<Vec<u8>> {
        let stream = self.0.stream.as_ref();
        stream.map_or_else(Vec::new, |stream| (stream.refusal)(refusal, wants_usage))
    }

    /// An event as it is written: one canonical form of server-sent events. `data` holds no line break, as JSON without
    /// white space never does.
    #[must_use]
    pub fn encode_event(self, data: &[u8]) -> Vec<u8> {
        self.0.stream.as_ref().map_or_else(Vec::new, |stream| (stream.encode)(data))
    }

    /// An error's body.
    #[must_use]
    pub fn error(self, error: &ApiError) -> Vec<u8> {
        (self.0.error)(error)
    }
}

impl fmt::Debug for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl PartialEq for Dialect {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Dialect {}
