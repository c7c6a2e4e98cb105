//! Reading a document against its table: checks every value and collects every text.

use std::sync::Arc;

use classifiers_core::Passage;

use crate::joined::{JOINED, LINES};
use crate::pointer::{Step, child};
use crate::table::{Field, Shape, Voice};
use crate::{Json, ReadError};

/// The longest identifier that is taken as one.
const MAX_ID: usize = 256;
/// The longest name of a count in `usage`, in bytes (`cache_creation_input_tokens`).
const MAX_COUNT_NAME: usize = 40;

/// What becomes of fields that the table does not name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unknown {
    /// The document is refused: a caller must not rely on what the guard does not understand.
    Refuse,
    /// The field is removed: a model server may send more than clients need.
    Drop,
    /// Every key and string in it is examined: whoever asks for a verdict may ask about more than we know of.
    Examine,
}

/// Reads `document` as an object with `fields`; texts are spoken by `voice` unless a field says otherwise.
/// Fields that the table does not name are refused or removed from `document`.
///
/// # Errors
/// At the first value that the table does not allow.
pub(crate) fn read(
    document: &mut Json,
    fields: &'static [Field],
    voice: Voice,
    unknown: Unknown,
) -> Result<Vec<Passage>, ReadError> {
    let mut reader = Reader { unknown, at: String::new(), passages: Vec::new() };
    reader.object(document, fields, voice)?;
    Ok(reader.passages)
}

/// The same for a document of any `shape`.
pub(crate) fn read_shape(
    document: &mut Json,
    shape: &'static Shape,
    voice: Voice,
    unknown: Unknown,
) -> Result<Vec<Passage>, ReadError> {
    let mut reader = Reader { unknown, at: String::new(), passages: Vec::new() };
    reader.value(document, shape, voice)?;
    Ok(reader.passages)
}

struct Reader {
    unknown: Unknown,
    /// JSON pointer of the value being read.
    at: String,
    passages: Vec<Passage>,
}

impl Reader {
    /// Does something one level further down, at `step`.
    fn at<T>(&mut self, step: Step<'_>, read: impl FnOnce(&mut Self) -> T) -> T {
        let here = self.at.len();
        step.append_to(&mut self.at);
        let result = read(self);
        self.at.truncate(here);
        result
    }

    fn value(
        &mut self,
        value: &mut Json,
        shape: &'static Shape,
        voice: Voice,
    ) -> Result<(), ReadError> {
        match shape {
            Shape::Either(shapes) => match shapes.iter().find(|shape| matches_type(value, shape)) {
                Some(shape) => self.value(value, shape, voice),
                None => Err(wrong_type(value, shape, &self.at)),
            },
            Shape::Having(field, [with, without]) => {
                let shape = if value.get(field).is_some() { with } else { without };
                self.value(value, shape, voice)
            }
            Shape::Emptied => {
                empty(value);
                Ok(())
            }
            Shape::Refused(why) => Err(ReadError::at("unsupported", &self.at, *why)),
            _ if !matches_type(value, shape) => Err(wrong_type(value, shape, &self.at)),
            Shape::Text => {
                self.text(value, voice);
                Ok(())
            }
            Shape::Id => {
                scalar(value, shape, &self.at)?;
                self.id(value, voice);
                Ok(())
            }
            Shape::JsonText => {
                self.json_text(value, voice);
                Ok(())
            }
            Shape::Free => {
                let mut keys = String::new();
                self.free(value, &mut keys, voice);
                self.examine(&keys.into(), voice);
                Ok(())
            }
            Shape::List(item) => self.list(value, item, voice),
            Shape::Parts(item) => self.parts(value, item, voice),
            Shape::Map(item) => self.map(value, item, voice),
            Shape::Object(fields) => self.object(value, fields, voice),
            Shape::Tagged(tag, cases) => self.tagged(value, tag, cases, voice),
            Shape::Numbers => {
                keep_plain_names(value);
                scalar(value, shape, &self.at)
            }
            _ => scalar(value, shape, &self.at),
        }
    }

    fn examine(&mut self, text: &Arc<str>, Voice { role, direction }: Voice) {
        if !text.is_empty() {
            self.passages.push(Passage::new(Arc::clone(text), role, direction, self.at.as_str()));
        }
    }

    fn text(&mut self, value: &Json, voice: Voice) {
        if let Json::String(text) = value {
            self.examine(text, voice);
        }
    }

    /// Escapes hide letters (`\u0069gnore`), so text that is JSON is also examined with them resolved. What
    /// is not valid JSON has no second reading.
    fn json_text(&mut self, value: &Json, voice: Voice) {
        self.text(value, voice);
        if let Json::String(text) = value
            && let Some(words) = unescaped(text)
        {
            self.at(Step::Note("#unescaped"), |reader| reader.examine(&words.into(), voice));
        }
    }

    /// A caller can write a sentence with underscores, so identifiers in requests are examined as well;
    /// those in answers are made by the server, not by its model.
    fn id(&mut self, value: &Json, voice: Voice) {
        match self.unknown {
            Unknown::Refuse | Unknown::Examine => self.text(value, voice),
            Unknown::Drop => {}
        }
    }

    /// Examines every string below `value` and gathers the keys: single words, judged together.
    fn free(&mut self, value: &Json, keys: &mut String, voice: Voice) {
        match value {
            Json::String(text) => self.examine(text, voice),
            Json::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.at(Step::Index(index), |reader| reader.free(item, keys, voice));
                }
            }
            Json::Object(fields) => {
                for (index, (key, item)) in fields.iter().enumerate() {
                    if !keys.is_empty() {
                        keys.push('\n');
                    }
                    keys.push_str(key);
                    self.at(Step::chosen(index, key), |reader| reader.free(item, keys, voice));
                }
            }
            Json::Null | Json::Bool(_) | Json::Number(_) => {}
        }
    }

    fn list(
        &mut self,
        value: &mut Json,
        item: &'static Shape,
        voice: Voice,
    ) -> Result<(), ReadError> {
        let Json::Array(items) = value else { return Ok(()) };
        items.iter_mut().enumerate().try_for_each(|(index, value)| {
            self.at(Step::Index(index), |reader| reader.value(value, item, voice))
        })
    }

    /// A sentence cut into parts reaches the model whole, so the parts are also examined together, as
    /// model servers join them (vLLM with a line break, others without anything).
    fn parts(
        &mut self,
        value: &mut Json,
        item: &'static Shape,
        voice: Voice,
    ) -> Result<(), ReadError> {
        let before = self.passages.len();
        self.list(value, item, voice)?;
        let texts: Vec<&str> =
            self.passages.iter().skip(before).map(|passage| &*passage.text).collect();
        if texts.len() > 1 {
            let joined: [(_, Arc<str>); 2] =
                [(LINES, texts.join("\n").into()), (JOINED, texts.concat().into())];
            for (note, text) in joined {
                self.at(Step::Note(note), |reader| reader.examine(&text, voice));
            }
        }
        Ok(())
    }

    fn map(
        &mut self,
        value: &mut Json,
        item: &'static Shape,
        voice: Voice,
    ) -> Result<(), ReadError> {
        let Json::Object(fields) = value else { return Ok(()) };
        fields.iter_mut().enumerate().try_for_each(|(index, (key, value))| {
            if !is_id(key) {
                return Err(ReadError::at("wrong_type", &self.at, "a key is not an identifier"));
            }
            self.at(Step::Entry(index), |reader| {
                // A note, so that it is not taken for the value: nothing can be replaced there.
                reader.at(Step::Note("#key"), |reader| reader.examine(&key.as_str().into(), voice));
                reader.value(value, item, voice)
            })
        })
    }

    fn tagged(
        &mut self,
        value: &mut Json,
        tag: &'static str,
        cases: &'static [(&'static str, &'static [Field])],
        voice: Voice,
    ) -> Result<(), ReadError> {
        let word = value.get(tag).ok_or_else(|| missing(&self.at, tag))?;
        let fields = cases
            .iter()
            .find(|(name, _)| word.as_str() == Some(name))
            .map(|(_, fields)| *fields)
            .ok_or_else(|| {
                let names: Vec<&str> = cases.iter().map(|(name, _)| *name).collect();
                let message = format!("`{tag}` must be one of {}", names.join(", "));
                ReadError::at("unsupported", &child(&self.at, tag), message)
            })?;
        // Why this kind is refused says more than which of its fields came first.
        let kind = fields.iter().find(|field| field.name == tag);
        if let Some(Field { shape: Shape::Refused(why), .. }) = kind {
            return Err(ReadError::at("unsupported", &child(&self.at, tag), *why));
        }
        self.object(value, fields, voice)
    }

    fn object(
        &mut self,
        value: &mut Json,
        fields: &'static [Field],
        voice: Voice,
    ) -> Result<(), ReadError> {
        let Json::Object(entries) = value else {
            return Err(ReadError::at("wrong_type", &self.at, "an object was expected"));
        };
        for field in fields.iter().filter(|field| field.required) {
            if !entries.iter().any(|(name, _)| name == field.name) {
                return Err(missing(&self.at, field.name));
            }
        }
        let (mut result, mut kept) = (Ok(()), 0);
        entries.retain_mut(|(name, value)| {
            if result.is_err() {
                return true;
            }
            let field = fields.iter().find(|field| field.name == name);
            if self.drops(field, value) {
                return false;
            }
            let step = match field {
                None if self.unknown == Unknown::Examine => Step::Entry(kept),
                // Who named a field that is refused is told which.
                _ => Step::Key(name),
            };
            result = self.at(step, |reader| match field {
                Some(field) => reader.value(value, &field.shape, field.voice.unwrap_or(voice)),
                None if reader.unknown == Unknown::Examine => {
                    reader.value(value, &Shape::Free, voice)
                }
                None => Err(unknown_field(&reader.at)),
            });
            kept += 1;
            true
        });
        result
    }

    /// Whether an entry is removed from the document.
    fn drops(&self, field: Option<&Field>, value: &Json) -> bool {
        match field {
            // `null` is as good as absent, so it may as well stay.
            Some(field) => matches!(field.shape, Shape::Dropped) && *value != Json::Null,
            None => self.unknown == Unknown::Drop,
        }
    }
}

fn empty(value: &mut Json) {
    *value = match value {
        Json::Array(_) => Json::Array(Vec::new()),
        Json::Object(_) => Json::Object(Vec::new()),
        _ => Json::Null,
    };
}

fn missing(at: &str, name: &str) -> ReadError {
    ReadError::at("missing_field", &child(at, name), format!("`{name}` is missing"))
}

fn unknown_field(at: &str) -> ReadError {
    let message = "this field is not known to the guard, so it is not forwarded; remove it";
    ReadError::at("unknown_field", at, message)
}

/// The strings of a JSON document that is itself a text, with their escapes resolved. `None` where that adds
/// nothing: there is no escape, or the text is not JSON and so has no second reading.
#[must_use]
pub fn unescaped(text: &str) -> Option<String> {
    if !text.contains('\\') {
        return None;
    }
    let mut words = Vec::new();
    plain_words(&serde_json::from_str(text).ok()?, &mut words);
    Some(words.join("\n"))
}

fn plain_words(value: &serde_json::Value, words: &mut Vec<String>) {
    match value {
        serde_json::Value::String(text) => words.push(text.clone()),
        serde_json::Value::Array(items) => items.iter().for_each(|item| plain_words(item, words)),
        serde_json::Value::Object(fields) => {
            for (key, item) in fields {
                words.push(key.clone());
                plain_words(item, words);
            }
        }
        _ => {}
    }
}

/// Whether `value` has the JSON type that `shape` is about.
fn matches_type(value: &Json, shape: &Shape) -> bool {
    match shape {
        Shape::Null => *value == Json::Null,
        Shape::Bool | Shape::Never(_) => matches!(value, Json::Bool(_)),
        Shape::Int(..) | Shape::Number(..) => matches!(value, Json::Number(_)),
        Shape::Id | Shape::Base64 | Shape::Tag | Shape::Word(_) | Shape::Text | Shape::JsonText => {
            matches!(value, Json::String(_))
        }
        Shape::List(_) | Shape::Parts(_) => matches!(value, Json::Array(_)),
        Shape::Numbers
        | Shape::Map(_)
        | Shape::Object(_)
        | Shape::Tagged(..)
        | Shape::Having(..) => {
            matches!(value, Json::Object(_))
        }
        Shape::Either(shapes) => shapes.iter().any(|shape| matches_type(value, shape)),
        Shape::Free | Shape::Dropped | Shape::Emptied | Shape::Refused(_) => true,
    }
}

fn wrong_type(value: &Json, shape: &Shape, at: &str) -> ReadError {
    ReadError::at(
        "wrong_type",
        at,
        format!("{} was expected, not {}", expected(shape), value.kind()),
    )
}

fn expected(shape: &Shape) -> String {
    let name = match shape {
        Shape::Null => "null",
        Shape::Bool | Shape::Never(_) => "a boolean",
        Shape::Int(..) => "a whole number",
        Shape::Number(..) => "a number",
        Shape::Id | Shape::Base64 | Shape::Tag | Shape::Word(_) | Shape::Text | Shape::JsonText => {
            "a string"
        }
        Shape::List(_) | Shape::Parts(_) => "an array",
        Shape::Numbers
        | Shape::Map(_)
        | Shape::Object(_)
        | Shape::Tagged(..)
        | Shape::Having(..) => "an object",
        Shape::Free | Shape::Dropped | Shape::Emptied | Shape::Refused(_) => "a value",
        Shape::Either(shapes) => {
            return shapes.iter().map(expected).collect::<Vec<_>>().join(" or ");
        }
    };
    name.to_owned()
}

/// Checks a value that holds no text; its JSON type is already known to be right.
fn scalar(value: &Json, shape: &Shape, at: &str) -> Result<(), ReadError> {
    let out_of_range = |message: String| Err(ReadError::at("out_of_range", at, message));
    match (shape, value) {
        (Shape::Never(why), Json::Bool(true)) => Err(ReadError::at("unsupported", at, *why)),
        (Shape::Int(low, high), Json::Number(number)) => match number.as_i64() {
            Some(n) if (*low..=*high).contains(&n) => Ok(()),
            Some(_) => out_of_range(format!("must be between {low} and {high}")),
            None => Err(wrong_type(value, shape, at)),
        },
        (Shape::Number(low, high), Json::Number(number)) => match number.as_f64() {
            Some(n) if (*low..=*high).contains(&n) => Ok(()),
            _ => out_of_range(format!("must be between {low} and {high}")),
        },
        (Shape::Numbers, _) if !only_numbers(value) => {
            Err(ReadError::at("wrong_type", at, "only numbers were expected"))
        }
        (Shape::Id, Json::String(text)) if !is_id(text) => {
            let message = format!(
                "must be an identifier: at most {MAX_ID} letters, digits or punctuation, no spaces or quotes"
            );
            Err(ReadError::at("invalid_identifier", at, message))
        }
        (Shape::Base64, Json::String(text)) if !is_base64(text) => {
            Err(ReadError::at("wrong_type", at, "must be Base64"))
        }
        (Shape::Word(words), Json::String(text)) if !words.contains(&&**text) => {
            out_of_range(format!("must be one of {}", words.join(", ")))
        }
        _ => Ok(()),
    }
}

/// Removes what is counted under names that no server gives to counts: nobody looks at those names, so they must not
/// have room for more.
fn keep_plain_names(value: &mut Json) {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    if let Json::Object(fields) = value {
        fields.retain(|(name, _)| name.len() <= MAX_COUNT_NAME && name.bytes().all(plain));
        fields.iter_mut().for_each(|(_, value)| keep_plain_names(value));
    }
}

fn only_numbers(value: &Json) -> bool {
    match value {
        Json::Null | Json::Number(_) => true,
        Json::Object(fields) => fields.iter().all(|(_, value)| only_numbers(value)),
        _ => false,
    }
}

fn is_base64(text: &str) -> bool {
    let digits = text.trim_end_matches('=');
    text.len() - digits.len() <= 2
        && digits.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/".contains(&b))
}

fn is_id(text: &str) -> bool {
    text.len() <= MAX_ID && text.bytes().all(|byte| ID_BYTES.get(usize::from(byte)) == Some(&true))
}

/// What an identifier is made of.
#[expect(clippy::indexing_slicing, reason = "checked when it is compiled")]
const ID_BYTES: [bool; 128] = {
    let mut allowed = [false; 128];
    let mut byte = 0;
    while byte < allowed.len() {
        let refused = b"\"'`<>{}[]\\";
        let mut fits = (byte as u8).is_ascii_graphic();
        let mut index = 0;
        while index < refused.len() {
            fits &= refused[index] != byte as u8;
            index += 1;
        }
        allowed[byte] = fits;
        byte += 1;
    }
    allowed
};
