//! A request as it was read, and as it goes on.

use classifiers_core::{Direction, Passage, Role};

use crate::dialect::Dialect;
use crate::read::{Unknown, read};
use crate::table::Voice;
use crate::{Json, Moderation, ReadError};

/// A strictly read request.
#[derive(Debug)]
pub struct Request {
    dialect: Dialect,
    document: Json,
    passages: Vec<Passage>,
    moderation: Option<Moderation>,
}

impl Dialect {
    /// Reads a request from the body's bytes.
    ///
    /// # Errors
    /// When the body is not strict JSON, or any field is unknown, missing, of the wrong type or not allowed.
    pub fn read_request(self, body: &[u8]) -> Result<Request, ReadError> {
        let mut document = Json::parse(body)?;
        let voice = Voice { role: Role::User, direction: Direction::Input };
        let moderation = match self.0.moderation {
            Some(_) => Moderation::asked(&document)?,
            None => None,
        };
        let passages = read(&mut document, self.0.request, voice, Unknown::Refuse)?;
        (self.0.complete)(&mut document)?;
        let request = Request { dialect: self, document, passages, moderation };
        if request.is_stream() && self.0.stream.is_none() {
            let why = "this route has no streamed answers";
            return Err(ReadError::at("unsupported", "/stream", why));
        }
        Ok(request)
    }
}

impl Request {
    /// The format it came in, and the answer goes out in.
    #[must_use]
    pub const fn dialect(&self) -> Dialect {
        self.dialect
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

    /// What the caller wants to be told about the exchange. It does not go on.
    #[must_use]
    pub const fn moderation(&self) -> Option<Moderation> {
        self.moderation
    }

    /// How many choices were asked for.
    #[must_use]
    pub fn choices(&self) -> u64 {
        (self.dialect.0.choices)(&self.document)
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

pub(crate) fn replace(document: &mut Json, at: &str, text: &str) -> bool {
    match document.pointer_mut(at) {
        Some(value @ Json::String(_)) => {
            *value = text.into();
            true
        }
        _ => false,
    }
}
