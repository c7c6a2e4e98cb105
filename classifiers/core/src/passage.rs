//! What one classification looks at.

use std::fmt;
use std::sync::Arc;

/// Who wrote a text, as the model upstream will understand it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// The operator of the application: system and developer messages.
    Operator,
    /// The person (or program) that talks to the model.
    User,
    /// The model: its answer, or what the request claims it said before.
    Assistant,
    /// Data from outside the dialogue: tool results, documents, tool definitions.
    Tool,
}

impl Role {
    /// The name used in records and output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Tool => "tool",
        }
    }
}

/// Which column of a policy governs a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Direction {
    /// What is sent to the model as dialogue.
    Input,
    /// What the model says.
    Output,
    /// Tool definitions, tool calls and tool results, in either direction.
    Tools,
}

impl Direction {
    /// Every direction.
    pub const ALL: [Self; 3] = [Self::Input, Self::Output, Self::Tools];

    /// The name used in policies and records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Output => "output",
            Self::Tools => "tools",
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Where a text came from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// Who wrote it.
    pub role: Role,
    /// The policy column that governs it.
    pub direction: Direction,
    /// JSON pointer (RFC 6901) of the text in the request or answer it was read from.
    pub at: Arc<str>,
}

/// One text to judge, whole, with its origin.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Passage {
    /// The text exactly as the model or the client will see it.
    pub text: Arc<str>,
    /// Where it came from.
    pub origin: Origin,
}

impl Passage {
    /// A passage of `text` by `role`, governed by `direction`, read from the JSON pointer `at`.
    pub fn new(
        text: impl Into<Arc<str>>,
        role: Role,
        direction: Direction,
        at: impl Into<Arc<str>>,
    ) -> Self {
        Self { text: text.into(), origin: Origin { role, direction, at: at.into() } }
    }
}
