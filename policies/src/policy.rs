//! The compiled policy.

use std::num::NonZeroU32;
use std::time::Duration;

use classifiers_core::{Category, Direction};

use crate::cases::{self, Case, TestOutcome};
use crate::messages::Messages;
use crate::{Action, Because, Diagnostics, Mode, ReplyAs, Streaming, compile};

/// A policy that was read, checked and compiled. Immutable; share it in an [`Arc`](std::sync::Arc).
#[derive(Clone, Debug)]
pub struct Policy {
    pub(crate) identity: Identity,
    pub(crate) mode: Mode,
    pub(crate) test_triggers: bool,
    pub(crate) hazards: Hazards,
    pub(crate) requests: Option<Quota>,
    pub(crate) on_failure: OnFailure,
    pub(crate) streaming: Streaming,
    pub(crate) messages: Messages,
    pub(crate) cases: Vec<Case>,
}

/// Who a policy is.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) name: String,
    pub(crate) about: Option<String>,
    pub(crate) owner: Option<String>,
    pub(crate) revision: String,
    pub(crate) label: String,
}

/// What is done about one category in one direction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rule {
    /// What is done when a finding counts.
    pub action: Action,
    /// A finding counts from this score on.
    pub threshold: f32,
    /// Whether this touches traffic; shadow when the hazard or the whole policy is in shadow.
    pub mode: Mode,
}

/// So many in such a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Quota {
    /// How many.
    pub count: NonZeroU32,
    /// In how long.
    pub per: Duration,
}

/// One value for each direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ByDirection<T> {
    pub(crate) input: T,
    pub(crate) output: T,
    pub(crate) tools: T,
}

/// One compiled line of the hazard table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hazard {
    pub(crate) threshold: f32,
    pub(crate) actions: ByDirection<Action>,
    pub(crate) mode: Mode,
}

/// The hazard table: one line for each category.
#[derive(Clone, Debug)]
pub(crate) struct Hazards([Hazard; Category::ALL.len()]);

/// What is done when a check gives no verdict.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OnFailure {
    pub(crate) actions: ByDirection<Action>,
    pub(crate) timeout: Duration,
}

impl Policy {
    /// Reads and compiles the document `source`; `file` is the name diagnostics use.
    ///
    /// Returns the policy with the warnings about it.
    ///
    /// # Errors
    /// Everything that is wrong with the document, warnings included. Only a document that is not YAML at
    /// all ends the reading early.
    pub fn parse(source: &str, file: &str) -> Result<(Self, Diagnostics), Diagnostics> {
        compile::policy(source, file)
    }

    /// The name it gives itself: ASCII letters, digits, `-`, `_` and `.`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.identity.name
    }

    /// What it is for, in its owner's words.
    #[must_use]
    pub fn about(&self) -> Option<&str> {
        self.identity.about.as_deref()
    }

    /// Who answers for it.
    #[must_use]
    pub fn owner(&self) -> Option<&str> {
        self.identity.owner.as_deref()
    }

    /// A digest of the document's text, such as `b3:0123456789ab`.
    #[must_use]
    pub fn revision(&self) -> &str {
        &self.identity.revision
    }

    /// Name and revision, such as `default@b3:0123456789ab`.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.identity.label
    }

    /// Whether the policy as a whole touches traffic.
    #[must_use]
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// Whether the harmless test strings count as findings.
    #[must_use]
    pub const fn test_triggers(&self) -> bool {
        self.test_triggers
    }

    /// How long a check may take before it counts as failed.
    #[must_use]
    pub const fn timeout(&self) -> Duration {
        self.on_failure.timeout
    }

    /// How many requests one API key may send.
    #[must_use]
    pub const fn requests(&self) -> Option<Quota> {
        self.requests
    }

    /// How a streamed answer is released.
    #[must_use]
    pub const fn streaming(&self) -> Streaming {
        self.streaming
    }

    /// How a blocked request is answered.
    #[must_use]
    pub const fn reply_as(&self) -> ReplyAs {
        self.messages.reply_as
    }

    /// The text a person reads when something was blocked for these reasons.
    ///
    /// `language` is a tag such as `de` or `pt-BR`; without one, or without a text in it, the text is
    /// English. `reference` is the decision's id.
    #[must_use]
    pub fn message(&self, because: &[Because], language: Option<&str>, reference: &str) -> String {
        self.messages.text(because, language).replace("{reference}", reference)
    }

    /// What is done about `category` in `direction`.
    #[must_use]
    pub fn rule(&self, category: Category, direction: Direction) -> Rule {
        let hazard = self.hazards.get(category);
        let mode = if self.mode == Mode::Shadow { Mode::Shadow } else { hazard.mode };
        Rule { action: *hazard.actions.get(direction), threshold: hazard.threshold, mode }
    }

    /// What is done when a check of `direction` gives no verdict: block, flag or allow.
    #[must_use]
    pub const fn on_failure(&self, direction: Direction) -> Action {
        *self.on_failure.actions.get(direction)
    }

    /// Runs the tests the document contains, in its order.
    #[must_use]
    pub fn run_tests(&self) -> Vec<TestOutcome> {
        self.cases.iter().map(|case| cases::run(self, case)).collect()
    }
}

impl<T> ByDirection<T> {
    pub(crate) const fn get(&self, direction: Direction) -> &T {
        match direction {
            Direction::Input => &self.input,
            Direction::Output => &self.output,
            Direction::Tools => &self.tools,
        }
    }

    pub(crate) const fn get_mut(&mut self, direction: Direction) -> &mut T {
        match direction {
            Direction::Input => &mut self.input,
            Direction::Output => &mut self.output,
            Direction::Tools => &mut self.tools,
        }
    }
}

impl<T: Copy> ByDirection<T> {
    pub(crate) const fn all(value: T) -> Self {
        Self { input: value, output: value, tools: value }
    }
}

impl Hazard {
    /// Every finding counts and blocks.
    const STRICTEST: Self =
        Self { threshold: 0.0, actions: ByDirection::all(Action::Block), mode: Mode::Enforce };
}

impl Hazards {
    pub(crate) fn new(line: impl FnMut(Category) -> Hazard) -> Self {
        Self(Category::ALL.map(line))
    }

    // INVARIANT: `Category::ALL` is in the order of declaration, so the discriminant is the position.
    // Were it ever not, a position out of range blocks.
    fn get(&self, category: Category) -> &Hazard {
        self.0.get(category as usize).unwrap_or(&Hazard::STRICTEST)
    }
}
