//! Contracts of question and answer: others show us texts, and we say what we think of them. Nothing goes on to a
//! model server.
//!
//! A contract is a file: the table of its question, and how an answer is written. What no table names is examined
//! all the same, so that a field that a gateway learns tomorrow is not a way around the guard.

use std::ops::Range;
use std::sync::Arc;

use classifiers_core::{Category, Direction, Passage, Role};

use crate::moderation::number;
use crate::read::{Unknown, read_shape};
use crate::request::replace;
use crate::table::{Shape, Voice};
use crate::{Json, ReadError};

mod agentgateway;
mod fms;
mod litellm;
mod llama_stack;
mod messages;
mod moderations;
mod nemo;
mod portkey;

pub use llama_stack::{Shield, shields};

/// A contract by which others ask for verdicts.
#[derive(Clone, Copy)]
pub struct Contract(&'static Form);

/// One contract; each has a file of its own.
struct Form {
    name: &'static str,
    path: &'static str,
    question: Shape,
    /// What a table cannot say: what is judged on its own, and who speaks.
    arrange: fn(&Json, Vec<Passage>) -> Result<Arranged, ReadError>,
    answer: fn(&Answering<'_>) -> Json,
    /// Whether the answer gives back the text at a place, so that something can be cut out of it.
    gives_back: fn(&Json, &str) -> bool,
    /// Whether who asks does what we say. Then there is always an answer, and it says to block where there is no
    /// verdict: what a gateway does with an error, we do not know.
    enforced: bool,
}

/// The texts of a question, and which of them belong together.
struct Arranged {
    passages: Vec<Passage>,
    /// Each is judged on its own.
    units: Vec<Range<usize>>,
}

impl Arranged {
    /// One verdict about all.
    fn together(passages: Vec<Passage>) -> Self {
        let all = 0..passages.len();
        Self { passages, units: Vec::from([all]) }
    }

    /// A verdict about each of the first `count` items of the array at the pointer `array`. What stands elsewhere is
    /// not what is asked about.
    fn each(array: &str, count: usize, passages: Vec<Passage>) -> Self {
        let item = |passage: &Passage| {
            passage.origin.at.strip_prefix(array)?.strip_prefix('/')?.parse::<usize>().ok()
        };
        let mut asked = passages.into_iter().filter(|passage| item(passage).is_some()).peekable();
        let mut kept = Vec::new();
        let mut units = Vec::with_capacity(count);
        for index in 0..count {
            let begin = kept.len();
            kept.extend(std::iter::from_fn(|| {
                asked.next_if(|passage| item(passage) == Some(index))
            }));
            units.push(begin..kept.len());
        }
        Self { passages: kept, units }
    }
}

/// Texts that somebody asks about.
#[derive(Debug)]
pub struct Inquiry {
    contract: Contract,
    document: Json,
    passages: Vec<Passage>,
    units: Vec<Range<usize>>,
}

/// What is said about the texts that belong together.
#[derive(Clone, Debug)]
pub struct Judged {
    /// What shall be done.
    pub said: Said,
    /// What the person behind the caller may be told.
    pub message: String,
    /// What was found, whether it counts or not.
    pub found: Vec<Found>,
}

/// What shall be done with texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Said {
    /// Nothing was found that counts.
    Passed,
    /// Something was found, and may pass.
    Flagged,
    /// What was cut out must not pass; the rest may.
    Redacted,
    /// They must not pass.
    Blocked,
    /// There is no verdict, so they must not pass.
    Unavailable,
}

impl Said {
    /// Whether the texts may pass, with or without what was cut out.
    const fn passes(self) -> bool {
        matches!(self, Self::Passed | Self::Flagged | Self::Redacted)
    }
}

/// Something that a classifier sees in a text.
#[derive(Clone, Debug)]
pub struct Found {
    /// What it is.
    pub category: Category,
    /// How sure the classifier is, 0 to 1.
    pub score: f32,
    /// Whether that is enough for the policy to care.
    pub counts: bool,
    /// JSON pointer of the text.
    pub at: Arc<str>,
    /// The bytes of the text that it is about, where the classifier says so.
    pub span: Option<Range<usize>>,
}

/// A question with what is said about it.
struct Answering<'a> {
    inquiry: &'a Inquiry,
    id: &'a str,
    judged: &'a [Judged],
}

impl Contract {
    /// Every one of them.
    pub const ALL: [Self; 10] = [
        Self(&moderations::FORM),
        Self(&llama_stack::FORM),
        Self(&litellm::FORM),
        Self(&fms::CONTENTS),
        Self(&fms::CHAT),
        Self(&nemo::CHECKS),
        Self(&nemo::GUARDRAIL_CHECKS),
        Self(&agentgateway::REQUEST),
        Self(&agentgateway::RESPONSE),
        Self(&portkey::FORM),
    ];

    /// The contract that is spoken at `path`, compared byte by byte.
    #[must_use]
    pub fn at(path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|contract| contract.path() == path)
    }

    /// Where questions are asked.
    #[must_use]
    pub const fn path(self) -> &'static str {
        self.0.path
    }

    /// Whether who asks does what we say, so that not knowing must be said as a block.
    #[must_use]
    pub const fn is_enforced(self) -> bool {
        self.0.enforced
    }

    /// Reads a question from the body's bytes.
    ///
    /// # Errors
    /// When the body is not strict JSON, a field that the contract needs is missing or of the wrong type, or
    /// there is something that nobody here can judge, such as an image.
    pub fn read(self, body: &[u8]) -> Result<Inquiry, ReadError> {
        let mut document = Json::parse(body)?;
        let voice = Voice { role: Role::User, direction: Direction::Input };
        let passages = read_shape(&mut document, &self.0.question, voice, Unknown::Examine)?;
        let Arranged { passages, units } = (self.0.arrange)(&document, passages)?;
        Ok(Inquiry { contract: self, document, passages, units })
    }
}

impl std::fmt::Debug for Contract {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.name)
    }
}

impl PartialEq for Contract {
    fn eq(&self, other: &Self) -> bool {
        self.0.path == other.0.path
    }
}

impl Eq for Contract {}

impl Inquiry {
    /// The contract by which it is asked.
    #[must_use]
    pub const fn contract(&self) -> Contract {
        self.contract
    }

    /// Every text that is asked about.
    #[must_use]
    pub fn passages(&self) -> &[Passage] {
        &self.passages
    }

    /// What is judged on its own, in order; some may be without text.
    pub fn units(&self) -> impl Iterator<Item = &[Passage]> {
        self.units.iter().map(|unit| self.passages.get(unit.clone()).unwrap_or_default())
    }

    /// The model that the text is for, or the shield that is asked, if one is named.
    #[must_use]
    pub fn model(&self) -> Option<&str> {
        ["model", "shield_id"].into_iter().find_map(|name| self.document.get(name)?.as_str())
    }

    /// Replaces the text at the JSON pointer `at`. `false` if there is no text at that place, or the answer would not
    /// tell what was cut out.
    pub fn replace(&mut self, at: &str, text: &str) -> bool {
        (self.contract.0.gives_back)(&self.document, at) && replace(&mut self.document, at, text)
    }

    /// The answer, as bytes of JSON. `id` is the decision's; `judged` has an entry for each of [`Self::units`].
    #[must_use]
    pub fn answer(&self, id: &str, judged: &[Judged]) -> Vec<u8> {
        (self.contract.0.answer)(&Answering { inquiry: self, id, judged }).to_bytes()
    }
}

impl Answering<'_> {
    fn field(&self, name: &str) -> Option<&Json> {
        self.inquiry.document.get(name)
    }

    /// The strongest of what is said.
    fn said(&self) -> Said {
        self.judged.iter().map(|judged| judged.said).max().unwrap_or(Said::Unavailable)
    }

    /// What the person is told about the first text that may not pass.
    fn message(&self) -> &str {
        let strongest = self.judged.iter().find(|judged| judged.said == self.said());
        strongest.map_or("", |judged| &judged.message)
    }

    /// What counts, each once, strongest first.
    fn reasons(&self) -> Vec<Category> {
        let mut found: Vec<&Found> = self
            .judged
            .iter()
            .flat_map(|judged| &judged.found)
            .filter(|found| found.counts)
            .collect();
        found.sort_by(|a, b| b.score.total_cmp(&a.score));
        let mut reasons = Vec::new();
        for found in found {
            if !reasons.contains(&found.category) {
                reasons.push(found.category);
            }
        }
        reasons
    }
}

/// By what a category is known where hazards have codes: `S1` to `S14`, else its name.
fn code(category: Category) -> &'static str {
    category.code().unwrap_or_else(|| category.name())
}
