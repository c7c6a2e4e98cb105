//! A plain answer as it was read, and as it goes on.

use classifiers_core::{Direction, Passage, Role};

use crate::dialect::Dialect;
use crate::joined::join_flows;
use crate::json::set;
use crate::moderation::sides;
use crate::read::{Unknown, read};
use crate::request::replace;
use crate::table::Voice;
use crate::{Json, Moderated, ReadError};

/// A strictly read answer. Fields that the guard does not know have been removed.
#[derive(Debug)]
pub struct Answer {
    dialect: Dialect,
    document: Json,
    passages: Vec<Passage>,
}

impl Dialect {
    /// Reads an answer from the body's bytes.
    ///
    /// # Errors
    /// When the body is not strict JSON, or a known field is missing or of the wrong type.
    pub fn read_answer(self, body: &[u8]) -> Result<Answer, ReadError> {
        let mut document = Json::parse(body)?;
        let voice = Voice { role: Role::Assistant, direction: Direction::Output };
        let mut passages = read(&mut document, self.0.answer, voice, Unknown::Drop)?;
        join_flows(&mut passages);
        Ok(Answer { dialect: self, document, passages })
    }
}

impl Answer {
    /// Every text in the answer, with its place.
    #[must_use]
    pub fn passages(&self) -> &[Passage] {
        &self.passages
    }

    /// Replaces the text at the JSON pointer `at`. `false` if there is no text at that place.
    pub fn replace(&mut self, at: &str, text: &str) -> bool {
        replace(&mut self.document, at, text)
    }

    /// Takes the text out of every choice and puts `refusal` in its place; usage stays.
    pub fn withhold(&mut self, refusal: &str) {
        (self.dialect.0.withhold)(&mut self.document, refusal);
    }

    /// Puts what was found in the request and in the answer into it, where the format has words for that.
    pub fn moderate(&mut self, input: &Moderated, output: &Moderated) {
        if let Some(format) = self.dialect.0.moderation {
            set(&mut self.document, "moderation", sides(format, input, output));
        }
    }

    /// The body that goes to the client.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.document.to_bytes()
    }
}
