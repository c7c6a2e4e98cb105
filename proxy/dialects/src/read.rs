//! Reading a document against its table: checks every value and collects every text.

use std::sync::Arc;

use classifiers_core::Passage;

use crate::pointer::{child, element};
use crate::table::{Field, Shape, Voice};
use crate::{Json, ReadError};

/// The longest identifier that is taken as one.
const MAX_ID: usize = 256;

/// What becomes of fields that the table does not name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unknown {
    /// The document is refused: a caller must not rely on what the guard does not understand.
    Refuse,
    /// The field is removed: a model server may send more than clients need.
    Drop,
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
    let mut reader = Reader { unknown, passages: Vec::new() };
    reader.object(document, fields, Place { at: "", voice })?;
    Ok(reader.passages)
}

#[derive(Clone, Copy)]
struct Place<'a> {
    at: &'a str,
    voice: Voice,
}

struct Reader {
    unknown: Unknown,
    passages: Vec<Passage>,
}

impl Reader {
    fn value(
        &mut self,
        value: &mut Json,
        shape: &'static Shape,
        here: Place<'_>,
    ) -> Result<(), ReadError> {
        match shape {
            Shape::Either(shapes) => match shapes.iter().find(|shape| matches_type(value, shape)) {
                Some(shape) => self.value(value, shape, here),
                None => Err(wrong_type(value, shape, here.at)),
            },
            Shape::Refused(why) => Err(ReadError::at("unsupported", here.at, *why)),
            _ if !matches_type(value, shape) => Err(wrong_type(value, shape, here.at)),
            Shape::Text => self.text(value, here),
            Shape::Id => {
                scalar(value, shape, here.at)?;
                self.id(value, here)
            }
            Shape::JsonText => self.json_text(value, here),
            Shape::Free => {
                let mut keys = String::new();
                self.free(value, &mut keys, here);
                self.examine(&keys.into(), here);
                Ok(())
            }
            Shape::List(item) => self.list(value, item, here),
            Shape::Parts(item) => self.parts(value, item, here),
            Shape::Map(item) => self.map(value, item, here),
            Shape::Object(fields) => self.object(value, fields, here),
            Shape::Tagged(tag, cases) => self.tagged(value, tag, cases, here),
            _ => scalar(value, shape, here.at),
        }
    }

    fn examine(&mut self, text: &Arc<str>, here: Place<'_>) {
        if !text.is_empty() {
            let Voice { role, direction } = here.voice;
            self.passages.push(Passage::new(Arc::clone(text), role, direction, here.at));
        }
    }

    fn text(&mut self, value: &Json, here: Place<'_>) -> Result<(), ReadError> {
        if let Json::String(text) = value {
            self.examine(text, here);
        }
        Ok(())
    }

    /// Escapes hide letters (`\u0069gnore`), so text that is JSON is also examined with them resolved. What
    /// is not valid JSON has no second reading.
    fn json_text(&mut self, value: &Json, here: Place<'_>) -> Result<(), ReadError> {
        self.text(value, here)?;
        if let Json::String(text) = value
            && let Some(words) = unescaped(text)
        {
            let at = format!("{}#unescaped", here.at);
            self.examine(&words.into(), Place { at: &at, ..here });
        }
        Ok(())
    }

    /// A caller can write a sentence with underscores, so identifiers in requests are examined as well;
    /// those in answers are made by the server, not by its model.
    fn id(&mut self, value: &Json, here: Place<'_>) -> Result<(), ReadError> {
        match self.unknown {
            Unknown::Refuse => self.text(value, here),
            Unknown::Drop => Ok(()),
        }
    }

    /// Examines every string below `value` and gathers the keys: single words, judged together.
    fn free(&mut self, value: &Json, keys: &mut String, here: Place<'_>) {
        match value {
            Json::String(text) => self.examine(text, here),
            Json::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.free(item, keys, Place { at: &element(here.at, index), ..here });
                }
            }
            Json::Object(fields) => {
                for (key, item) in fields {
                    if !keys.is_empty() {
                        keys.push('\n');
                    }
                    keys.push_str(key);
                    self.free(item, keys, Place { at: &child(here.at, key), ..here });
                }
            }
            Json::Null | Json::Bool(_) | Json::Number(_) => {}
        }
    }

    fn list(
        &mut self,
        value: &mut Json,
        item: &'static Shape,
        here: Place<'_>,
    ) -> Result<(), ReadError> {
        if let Json::Array(items) = value {
            for (index, value) in items.iter_mut().enumerate() {
                self.value(value, item, Place { at: &element(here.at, index), ..here })?;
            }
        }
        Ok(())
    }

    /// A sentence cut into parts reaches the model whole, so the parts are also examined together, as
    /// model servers join them (vLLM with a line break, others without anything).
    fn parts(
        &mut self,
        value: &mut Json,
        item: &'static Shape,
        here: Place<'_>,
    ) -> Result<(), ReadError> {
        let before = self.passages.len();
        self.list(value, item, here)?;
        let texts: Vec<&str> =
            self.passages.iter().skip(before).map(|passage| &*passage.text).collect();
        if texts.len() > 1 {
            let joined: [Arc<str>; 2] = [texts.join("\n").into(), texts.concat().into()];
            let at = format!("{}#joined", here.at);
            for text in &joined {
                self.examine(text, Place { at: &at, ..here });
            }
        }
        Ok(())
    }

    fn map(
        &mut self,
        value: &mut Json,
        item: &'static Shape,
        here: Place<'_>,
    ) -> Result<(), ReadError> {
        if let Json::Object(fields) = value {
            for (key, value) in fields.iter_mut() {
                let at = child(here.at, key);
                if !is_id(key) {
                    return Err(ReadError::at("wrong_type", here.at, "a key is not an identifier"));
                }
                self.examine(key, Place { at: &at, ..here });
                self.value(value, item, Place { at: &at, ..here })?;
            }
        }
        Ok(())
    }

    fn tagged(
        &mut self,
        value: &mut Json,
        tag: &'static str,
        cases: &'static [(&'static str, &'static [Field])],
        here: Place<'_>,
    ) -> Result<(), ReadError> {
        let at = child(here.at, tag);
        let word = value
            .get(tag)
            .ok_or_else(|| ReadError::at("missing_field", &at, format!("`{tag}` is missing")))?;
        let fields = cases
            .iter()
            .find(|(name, _)| word.as_str() == Some(name))
            .map(|(_, fields)| *fields)
            .ok_or_else(|| {
                let names: Vec<&str> = cases.iter().map(|(name, _)| *name).collect();
                let message = format!("`{tag}` must be one of {}", names.join(", "));
                ReadError::at("unsupported", &at, message)
            })?;
        self.object(value, fields, here)
    }

    fn object(
        &mut self,
        value: &mut Json,
        fields: &'static [Field],
        here: Place<'_>,
    ) -> Result<(), ReadError> {
        let Json::Object(entries) = value else {
            return Err(ReadError::at("wrong_type", here.at, "an object was expected"));
        };
        for field in fields.iter().filter(|field| field.required) {
            if !entries.iter().any(|(name, _)| &**name == field.name) {
                let at = child(here.at, field.name);
                let message = format!("`{}` is missing", field.name);
                return Err(ReadError::at("missing_field", &at, message));
            }
        }
        let dropped = |name: &str, value: &Json| {
            match fields.iter().find(|field| field.name == name) {
                // `null` is as good as absent, so it may as well stay.
                Some(field) => matches!(field.shape, Shape::Dropped) && *value != Json::Null,
                None => self.unknown == Unknown::Drop,
            }
        };
        entries.retain(|(name, value)| !dropped(name, value));
        for (name, value) in entries {
            let at = child(here.at, name);
            let Some(field) = fields.iter().find(|field| field.name == &**name) else {
                return Err(unknown_field(&at));
            };
            let voice = field.voice.unwrap_or(here.voice);
            self.value(value, &field.shape, Place { at: &at, voice })?;
        }
        Ok(())
    }
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
        Shape::Id | Shape::Tag | Shape::Word(_) | Shape::Text | Shape::JsonText => {
            matches!(value, Json::String(_))
        }
        Shape::List(_) | Shape::Parts(_) => matches!(value, Json::Array(_)),
        Shape::Numbers | Shape::Map(_) | Shape::Object(_) | Shape::Tagged(..) => {
            matches!(value, Json::Object(_))
        }
        Shape::Either(shapes) => shapes.iter().any(|shape| matches_type(value, shape)),
        Shape::Free | Shape::Dropped | Shape::Refused(_) => true,
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
        Shape::Id | Shape::Tag | Shape::Word(_) | Shape::Text | Shape::JsonText => "a string",
        Shape::List(_) | Shape::Parts(_) => "an array",
        Shape::Numbers | Shape::Map(_) | Shape::Object(_) | Shape::Tagged(..) => "an object",
        Shape::Free | Shape::Dropped | Shape::Refused(_) => "a value",
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
        (Shape::Word(words), Json::String(text)) if !words.contains(&&**text) => {
            out_of_range(format!("must be one of {}", words.join(", ")))
        }
        _ => Ok(()),
    }
}

fn only_numbers(value: &Json) -> bool {
    match value {
        Json::Null | Json::Number(_) => true,
        Json::Object(fields) => fields.iter().all(|(key, value)| is_id(key) && only_numbers(value)),
        _ => false,
    }
}

fn is_id(text: &str) -> bool {
    text.len() <= MAX_ID
        && text.bytes().all(|b| b.is_ascii_graphic() && !b"\"'`<>{}[]\\".contains(&b))
}
