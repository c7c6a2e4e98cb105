//! OpenAI's list of models (`GET /v1/models`, `GET /v1/models/{id}`): no text, only names and numbers.
//!
//! Source of the field names: OpenAI's OpenAPI document 2.3.0 (schemas `ListModelsResponse`, `Model`), and vLLM for
//! `max_model_len`. What else servers add (where a model's files are, who may use it) does not reach the client.

use classifiers_core::{Direction, Role};

use crate::read::{Unknown, read};
use crate::table::{Field, Shape, Voice, may, must};
use crate::{Json, ReadError};

use Shape::{Either, Id, Int, List, Null, Object, Word};

const MODELS: &[Field] = &[must("object", Word(&["list"])), must("data", List(&Object(MODEL)))];

const MODEL: &[Field] = &[
    must("id", Id),
    must("object", Word(&["model"])),
    may("created", Int(0, i64::MAX)),
    may("owned_by", Id),
    may("shutdown_date", Either(&[Id, Null])),
    may("max_model_len", Either(&[Int(0, i64::MAX), Null])),
];

/// A strictly read list of models.
#[derive(Debug)]
pub struct Models {
    document: Json,
}

impl Models {
    /// Reads a list from the body's bytes.
    ///
    /// # Errors
    /// When the body is not strict JSON, or a known field is missing or of the wrong type.
    pub fn parse(body: &[u8]) -> Result<Self, ReadError> {
        let mut document = Json::parse(body)?;
        let voice = Voice { role: Role::Assistant, direction: Direction::Output };
        let _names = read(&mut document, MODELS, voice, Unknown::Drop)?;
        Ok(Self { document })
    }

    /// The list as it goes to the client.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.document.to_bytes()
    }

    /// The one model of this name as it goes to the client, if it is listed.
    #[must_use]
    pub fn one(&self, id: &str) -> Option<Vec<u8>> {
        let Some(Json::Array(models)) = self.document.get("data") else { return None };
        let named = |model: &&Json| model.get("id").and_then(Json::as_str) == Some(id);
        models.iter().find(named).map(Json::to_bytes)
    }
}
