//! OpenAI's embeddings (`POST /v1/embeddings`): text goes in, numbers come out.
//!
//! Source of the field names: OpenAI's OpenAPI document 2.3.0, and vLLM's protocol for what it adds.

use crate::dialect::Format;
use crate::openai_chat::tables::{
    MAX_TOKENS, NOT_GUARDED, OPTIONAL_ID, SERVERS_OWN, TEMPLATE_SWITCH, TRUNCATED, USAGE,
};
use crate::table::{Field, Shape, may, must};
use crate::{ApiError, Json, ReadError};

use Shape::{Base64, Either, Id, Int, List, Null, Number, Object, Refused, Text, Word};

pub(crate) const FORMAT: Format = Format {
    name: "openai_embeddings",
    path: "/embeddings",
    request: REQUEST,
    answer: ANSWER,
    stream: None,
    complete: a_text_at_least,
    choices: |_| 1,
    withhold,
    // It has no words.
    refusal: None,
    moderation: None,
    error: ApiError::to_bytes,
};

const INPUT: Shape =
    Either(&[Text, Refused("token ids cannot be read, so they are not forwarded; send text")]);

const REQUEST: &[Field] = &[
    must("model", Id),
    must("input", Either(&[List(&INPUT), INPUT])),
    may("dimensions", Either(&[Int(1, MAX_TOKENS), Null])),
    may("encoding_format", Either(&[Word(&["float", "base64"]), Null])),
    may("user", OPTIONAL_ID),
    // vLLM
    may("priority", Either(&[Int(i64::MIN, i64::MAX), Null])),
    may("add_special_tokens", TEMPLATE_SWITCH),
    may("truncate_prompt_tokens", TRUNCATED),
    may("truncation_side", TRUNCATED),
    may("normalize", NOT_GUARDED),
    may("embed_dtype", NOT_GUARDED),
    may("endianness", NOT_GUARDED),
    may("request_id", SERVERS_OWN),
];

const ANSWER: &[Field] = &[
    must("object", Word(&["list"])),
    must("data", List(&Object(EMBEDDING))),
    must("model", Id),
    must("usage", USAGE),
    may("id", Id),
    may("created", Int(0, i64::MAX)),
];

const EMBEDDING: &[Field] = &[
    must("object", Word(&["embedding"])),
    must("index", Int(0, MAX_TOKENS)),
    must("embedding", Either(&[List(&Number(f64::MIN, f64::MAX)), Base64])),
];

fn a_text_at_least(request: &mut Json) -> Result<(), ReadError> {
    if request.get("input") == Some(&Json::Array(Vec::new())) {
        return Err(ReadError::at("missing_field", "/input", "there is no text"));
    }
    Ok(())
}

/// There is no text in it, so there is no violation either; were there one, nothing would be left.
fn withhold(document: &mut Json, _: &str) {
    if let Some(data) = document.pointer_mut("/data") {
        *data = Json::Array(Vec::new());
    }
}
