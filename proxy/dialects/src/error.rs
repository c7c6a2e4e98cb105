//! What went wrong with a document, and how callers are told.

use serde::Serialize;

use crate::pointer::param;

/// A document that is not what the wire format allows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code} at `{}`: {message}", .at.as_deref().unwrap_or("/"))]
pub struct ReadError {
    /// A stable word for records and for the caller's `code`, such as `unknown_field`.
    pub code: &'static str,
    /// One sentence for a person; names fields and limits, never quotes text.
    pub message: String,
    /// JSON pointer of the offending place, where there is one.
    pub at: Option<String>,
}

impl ReadError {
    pub(crate) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), at: None }
    }

    pub(crate) fn at(code: &'static str, at: &str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), at: Some(at.to_owned()) }
    }
}

/// OpenAI's error object: all four fields are always present, `code` is a string
/// (OpenAI's API document, schema `Error`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ApiError {
    message: String,
    r#type: &'static str,
    param: Option<String>,
    code: Option<&'static str>,
}

impl ApiError {
    /// An error of `kind`, such as `invalid_request_error`, with a stable `code`.
    pub fn new(kind: &'static str, code: &'static str, message: impl Into<String>) -> Self {
        Self { message: message.into(), r#type: kind, param: None, code: Some(code) }
    }

    /// The same, pointing at the request's field behind the JSON pointer `at`.
    #[must_use]
    pub fn pointing_at(mut self, at: &str) -> Self {
        self.param = Some(param(at));
        self
    }

    /// What is told to the person.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// The kind of error.
    pub(crate) const fn kind(&self) -> &'static str {
        self.r#type
    }

    /// The field it is about.
    pub(crate) fn param(&self) -> Option<&str> {
        self.param.as_deref()
    }

    /// The stable word for it.
    pub(crate) const fn code(&self) -> Option<&'static str> {
        self.code
    }

    /// The body: `{"error": {"message", "type", "param", "code"}}`.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        #[derive(Serialize)]
        struct Envelope<'a> {
            error: &'a ApiError,
        }
        // Strings and options of strings: writing them to memory cannot fail.
        serde_json::to_vec(&Envelope { error: self }).unwrap_or_default()
    }
}

impl From<&ReadError> for ApiError {
    fn from(error: &ReadError) -> Self {
        let api = Self::new("invalid_request_error", error.code, error.message.clone());
        match &error.at {
            // The document as a whole is no field.
            Some(at) if !at.is_empty() => api.pointing_at(at),
            _ => api,
        }
    }
}
