//! What a wire format is made of.

use std::fmt;

use crate::table::Field;
use crate::{
    ApiError, Json, ReadError, anthropic_messages, openai_chat, openai_completions,
    openai_embeddings,
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
    /// Whether its streamed answers can be read.
    pub(crate) streams: bool,
    /// What a table cannot say about a request.
    pub(crate) check: fn(&Json) -> Result<(), ReadError>,
    /// How many choices a request asks for.
    pub(crate) choices: fn(&Json) -> u64,
    /// Takes the text out of an answer and puts a refusal in its place; usage stays.
    pub(crate) withhold: fn(&mut Json, &str),
    /// A refusal in place of an answer.
    pub(crate) refusal: fn(&Refusal<'_>) -> Json,
    /// An error as clients expect it.
    pub(crate) error: fn(&ApiError) -> Vec<u8>,
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

    /// Every one of them.
    pub const ALL: [Self; 4] = [
        Self::OPENAI_CHAT,
        Self::OPENAI_COMPLETIONS,
        Self::OPENAI_EMBEDDINGS,
        Self::ANTHROPIC_MESSAGES,
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

    /// A refusal in place of a plain answer, as bytes.
    #[must_use]
    pub fn refusal(self, refusal: &Refusal<'_>) -> Vec<u8> {
        (self.0.refusal)(refusal).to_bytes()
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
