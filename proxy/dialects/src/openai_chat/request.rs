//! A request as it was read, and as it goes on.

use classifiers_core::{Direction, Passage, Role};

use super::tables::REQUEST;
use crate::read::{Unknown, read};
use crate::table::Voice;
use crate::{Json, ReadError};

/// A strictly read chat completion request.
#[derive(Debug)]
pub struct Request {
    document: Json,
    passages: Vec<Passage>,
}

impl Request {
    /// Reads a request from the body's bytes.
    ///
    /// # Errors
    /// When the body is not strict JSON, or any field is unknown, missing, of the wrong type or not allowed.
    pub fn parse(body: &[u8]) -> Result<Self, ReadError> {
        let mut document = Json::parse(body)?;
        let voice = Voice { role: Role::User, direction: Direction::Input };
        let passages = read(&mut document, REQUEST, voice, Unknown::Refuse)?;
        if document.get("messages") == Some(&Json::Array(Vec::new())) {
            return Err(ReadError::at("missing_field", "/messages", "there is no message"));
        }
        Ok(Self { document, passages })
    }

    /// Every text in the request, with its place.
    #[must_use]
    pub fn passages(&self) -> &[Passage] {
        &self.passages
    }

    /// The model asked for.
    #[must_use]
    pub fn model(&self) -> &str {
        self.document.get("model").and_then(Json::as_str).unwrap_or_default()
    }

    /// Whether the answer shall be streamed.
    #[must_use]
    pub fn is_stream(&self) -> bool {
        self.document.get("stream").is_some_and(Json::is_true)
    }

    /// Whether a streamed answer shall end with a usage chunk.
    #[must_use]
    pub fn wants_usage(&self) -> bool {
        self.document
            .get("stream_options")
            .and_then(|options| options.get("include_usage"))
            .is_some_and(Json::is_true)
    }

    /// How many choices were asked for.
    #[must_use]
    pub fn choices(&self) -> u64 {
        match self.document.get("n") {
            Some(Json::Number(n)) => n.as_u64().unwrap_or(1),
            _ => 1,
        }
    }

    /// Replaces the text at the JSON pointer `at`. `false` if there is no text at that place.
    pub fn replace(&mut self, at: &str, text: &str) -> bool {
        replace(&mut self.document, at, text)
    }

    /// The body that goes to the upstream: what was read, never the bytes that came in.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.document.to_bytes()
    }
}

pub(super) fn replace(document: &mut Json, at: &str, text: &str) -> bool {
    match document.pointer_mut(at) {
        Some(value @ Json::String(_)) => {
            *value = text.into();
            true
        }
        _ => false,
    }
}
