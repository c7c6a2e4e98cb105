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

/// The latest turns of a conversation before a passage, oldest first. Each is judged as a passage of its own; here they
/// are only what gives the passage its sense.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Context {
    /// All turns of the conversation.
    turns: Option<Arc<[Turn]>>,
    /// How many of them come before.
    until: usize,
}

/// Who said what.
pub type Turn = (Role, Arc<str>);

/// The context goes back to a multiple of this many turns, so that it begins the same for as many turns in a row: what
/// was computed for it can be used again.
const STRIDE: usize = 8;

impl Context {
    /// What comes before the turn number `until` of `turns`.
    #[must_use]
    pub const fn new(turns: Arc<[Turn]>, until: usize) -> Self {
        Self { turns: Some(turns), until }
    }

    /// At least the last eight turns, if there are as many, and never more than fifteen.
    #[must_use]
    pub fn turns(&self) -> &[Turn] {
        let turns = self.turns.as_deref().unwrap_or_default();
        let from = (self.until / STRIDE).saturating_sub(1) * STRIDE;
        turns.get(from..self.until.min(turns.len())).unwrap_or_default()
    }
}

/// One text to judge, whole, with its origin.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Passage {
    /// The text exactly as the model or the client will see it.
    pub text: Arc<str>,
    /// Where it came from.
    pub origin: Origin,
    /// What was said before; empty where it is no part of a dialogue.
    pub context: Context,
}

impl Passage {
    /// A passage of `text` by `role`, governed by `direction`, read from the JSON pointer `at`.
    pub fn new(
        text: impl Into<Arc<str>>,
        role: Role,
        direction: Direction,
        at: impl Into<Arc<str>>,
    ) -> Self {
        let origin = Origin { role, direction, at: at.into() };
        Self { text: text.into(), origin, context: Context::default() }
    }

    /// The same passage after `context`.
    #[must_use]
    pub fn after(self, context: Context) -> Self {
        Self { context, ..self }
    }

    /// The same passage on its own, for classifiers that look at nothing else.
    #[must_use]
    pub fn alone(self) -> Self {
        self.after(Context::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_begins_the_same_for_eight_turns_and_ends_before_the_passage() {
        let turns: Arc<[Turn]> = (0..40).map(|n: u32| (Role::User, n.to_string().into())).collect();
        for until in 0..=40 {
            let context = Context::new(Arc::clone(&turns), until);
            let seen: Vec<usize> = context.turns().iter().map(|t| t.1.parse().unwrap()).collect();
            let from = if until < 16 { 0 } else { until / 8 * 8 - 8 };
            assert_eq!(seen, (from..until).collect::<Vec<_>>());
        }
    }
}
