//! Strict JSON: one value or an error, with nothing that two parsers could read differently.

use std::cell::Cell;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use smol_str::SmolStr;

use crate::ReadError;

/// Deeper nesting than any real request has; a bound for every walk over a document.
const MAX_DEPTH: usize = 64;
/// More keys than any real request has; bounds the work per byte received.
const MAX_KEYS: usize = 10_000;
/// Room for this many fields is made with the first: most objects have no more.
const USUAL_KEYS: usize = 8;
/// Up to this many keys, comparing each with each is cheaper than hashing them.
const FEW_KEYS: usize = 16;

/// A JSON value as it was written, keys in order.
///
/// It is stricter than RFC 8259 asks for: duplicate keys (compared after unescaping), NUL characters, lone
/// surrogates, numbers beyond 64 bits and nesting deeper than 64 are errors, because the server behind us may
/// read them differently than we do.
#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A finite number.
    Number(serde_json::Number),
    /// A string; shared, because it is also a passage.
    String(Arc<str>),
    /// An array.
    Array(Vec<Json>),
    /// An object: keys are distinct and in the order written.
    Object(Vec<(Name, Json)>),
}

/// The name of a field. Most are short and need no memory of their own.
pub type Name = SmolStr;

impl Json {
    /// Parses `bytes` as exactly one strict JSON value in UTF-8.
    ///
    /// # Errors
    /// With code `invalid_json`, `duplicate_key`, `too_deep`, `too_many_keys` or `nul_character`.
    pub fn parse(bytes: &[u8]) -> Result<Self, ReadError> {
        let limits = Limits { keys: Cell::new(0), broken: Cell::new(None) };
        let mut deserializer = serde_json::Deserializer::from_slice(bytes);
        Value { limits: &limits, depth: 0 }
            .deserialize(&mut deserializer)
            .and_then(|value| deserializer.end().map(|()| value))
            .map_err(|error| match limits.broken.get() {
                Some(code) => ReadError::new(code, error.to_string()),
                None => {
                    ReadError::new("invalid_json", format!("the body is not valid JSON: {error}"))
                }
            })
    }

    /// The document as bytes: canonical spacing, the same keys in the same order.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.size());
        self.write(&mut out);
        out
    }

    /// About how many bytes it takes to write this.
    pub(crate) fn size(&self) -> usize {
        match self {
            Self::Null | Self::Bool(_) | Self::Number(_) => 8,
            Self::String(text) => text.len() + 3,
            Self::Array(items) => 2 + items.iter().map(Self::size).sum::<usize>(),
            Self::Object(fields) => {
                2 + fields.iter().map(|(name, value)| name.len() + 4 + value.size()).sum::<usize>()
            }
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Null => out.extend_from_slice(b"null"),
            Self::Bool(true) => out.extend_from_slice(b"true"),
            Self::Bool(false) => out.extend_from_slice(b"false"),
            Self::Number(number) => write_number(number, out),
            Self::String(text) => write_string(text, out),
            Self::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    out.push(if index == 0 { b'[' } else { b',' });
                    item.write(out);
                }
                out.extend_from_slice(if items.is_empty() { b"[]" } else { b"]" });
            }
            Self::Object(fields) => {
                for (index, (name, value)) in fields.iter().enumerate() {
                    out.push(if index == 0 { b'{' } else { b',' });
                    write_string(name, out);
                    out.push(b':');
                    value.write(out);
                }
                out.extend_from_slice(if fields.is_empty() { b"{}" } else { b"}" });
            }
        }
    }

    /// The value of `key`, if this is an object that has it.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Object(fields) => fields.iter().find(|(name, _)| name == key).map(|(_, v)| v),
            _ => None,
        }
    }

    /// The value behind the JSON pointer `pointer` (as this room writes them), to be changed.
    pub(crate) fn pointer_mut(&mut self, pointer: &str) -> Option<&mut Self> {
        pointer.split('/').skip(1).try_fold(self, |value, token| match value {
            Self::Array(items) => items.get_mut(token.parse::<usize>().ok()?),
            Self::Object(fields) => {
                let at = match token.strip_prefix('*') {
                    Some(number) => number.parse::<usize>().ok()?,
                    None => {
                        let key = token.replace("~1", "/").replace("~0", "~");
                        fields.iter().position(|(name, _)| *name == *key)?
                    }
                };
                fields.get_mut(at).map(|(_, value)| value)
            }
            _ => None,
        })
    }

    /// The string, if this is one.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// Whether this is `true`.
    #[must_use]
    pub const fn is_true(&self) -> bool {
        matches!(self, Self::Bool(true))
    }

    /// What kind of value this is, as an error message names it.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::String(_) => "a string",
            Self::Array(_) => "an array",
            Self::Object(_) => "an object",
        }
    }
}

impl From<&str> for Json {
    fn from(text: &str) -> Self {
        Self::String(text.into())
    }
}

impl From<u64> for Json {
    fn from(number: u64) -> Self {
        Self::Number(number.into())
    }
}

/// An object with the given fields.
pub(crate) fn object<'a>(fields: impl IntoIterator<Item = (&'a str, Json)>) -> Json {
    Json::Object(fields.into_iter().map(|(name, value)| (name.into(), value)).collect())
}

/// Gives a field its value, whether it is there or not.
pub(crate) fn set(document: &mut Json, name: &str, value: Json) {
    let Json::Object(fields) = document else { return };
    match fields.iter_mut().find(|(field, _)| field == name) {
        Some((_, place)) => *place = value,
        None => fields.push((name.into(), value)),
    }
}

struct Limits {
    keys: Cell<usize>,
    broken: Cell<Option<&'static str>>,
}

impl Limits {
    fn broken<E: Error>(&self, code: &'static str, message: impl fmt::Display) -> E {
        self.broken.set(Some(code));
        E::custom(message)
    }

    fn text<'t, E: Error, T: From<&'t str>>(&self, text: &'t str) -> Result<T, E> {
        if memchr::memchr(0, text.as_bytes()).is_some() {
            return Err(self.broken("nul_character", "a string holds a NUL character"));
        }
        Ok(text.into())
    }
}

#[derive(Clone, Copy)]
struct Value<'l> {
    limits: &'l Limits,
    depth: usize,
}

impl Value<'_> {
    fn deeper<E: Error>(self) -> Result<Self, E> {
        if self.depth >= MAX_DEPTH {
            let message = format!("nested deeper than {MAX_DEPTH} levels");
            return Err(self.limits.broken("too_deep", message));
        }
        Ok(Self { depth: self.depth + 1, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for Value<'_> {
    type Value = Json;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value<'_> {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Json, E> {
        serde_json::Number::from_f64(value)
            .map(Json::Number)
            .ok_or_else(|| E::custom("a number is out of range"))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Json, E> {
        self.limits.text(text).map(Json::String)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let inner = self.deeper()?;
        let mut array = Vec::new();
        while let Some(item) = items.next_element_seed(inner)? {
            array.push(item);
        }
        Ok(Json::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Json, A::Error> {
        let inner = self.deeper()?;
        let mut fields: Vec<(Name, Json)> = Vec::new();
        let mut seen = HashSet::new();
        while let Some(key) = entries.next_key_seed(Key(self.limits))? {
            let count = self.limits.keys.get() + 1;
            self.limits.keys.set(count);
            if count > MAX_KEYS {
                let message = format!("more than {MAX_KEYS} keys");
                return Err(self.limits.broken("too_many_keys", message));
            }
            if is_duplicate(&key, &fields, &mut seen) {
                return Err(self
                    .limits
                    .broken("duplicate_key", "a key appears twice in an object"));
            }
            let value = entries.next_value_seed(inner)?;
            if fields.is_empty() {
                fields.reserve(USUAL_KEYS);
            }
            fields.push((key, value));
        }
        Ok(Json::Object(fields))
    }
}

/// Whether `key` is among `fields`; `seen` takes over once there are many.
fn is_duplicate(key: &Name, fields: &[(Name, Json)], seen: &mut HashSet<Name>) -> bool {
    if fields.len() < FEW_KEYS {
        return fields.iter().any(|(name, _)| name == key);
    }
    if seen.is_empty() {
        seen.extend(fields.iter().map(|(name, _)| name.clone()));
    }
    !seen.insert(key.clone())
}

struct Key<'l>(&'l Limits);

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = Name;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Name, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = Name;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Name, E> {
        self.0.text(text)
    }
}

/// Writes a number as it was read.
fn write_number(number: &serde_json::Number, out: &mut Vec<u8>) {
    match number.as_u64() {
        Some(number) => out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes()),
        None => out.extend_from_slice(number.to_string().as_bytes()),
    }
}

/// Writes a string with its quotes. Most hold nothing to escape, which is seen many bytes at a time.
fn write_string(text: &str, out: &mut Vec<u8>) {
    let plain =
        text.bytes().fold(true, |plain, b| plain & (b >= b' ') & (b != b'"') & (b != b'\\'));
    out.push(b'"');
    if plain {
        out.extend_from_slice(text.as_bytes());
    } else {
        escape(text, out);
    }
    out.push(b'"');
}

fn escape(text: &str, out: &mut Vec<u8>) {
    for &byte in text.as_bytes() {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0..=0x1f => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            byte => out.push(byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn code(bytes: &[u8]) -> &'static str {
        Json::parse(bytes).map_or_else(|e| e.code, |_| "ok")
    }

    #[test]
    fn what_two_parsers_could_read_differently_is_refused() {
        let deep = [vec![b'['; 65], vec![b']'; 65]].concat();
        let wide = format!("[{}]", vec![r#"{"a":1}"#; 10_001].join(","));
        let many_then_twice = format!(
            "{{{},\"k3\":1}}",
            (0..40).map(|i| format!("\"k{i}\":1")).collect::<Vec<_>>().join(",")
        );
        let cases: &[(&[u8], &str)] = &[
            (br#"{"a":1,"b":[true,null,"x",-1.5e3]}"#, "ok"),
            (br#"{"a":1,"a":2}"#, "duplicate_key"),
            (br#"{"content":1,"c\u006fntent":2}"#, "duplicate_key"),
            (many_then_twice.as_bytes(), "duplicate_key"),
            (&deep, "too_deep"),
            (wide.as_bytes(), "too_many_keys"),
            (br#"["\u0000"]"#, "nul_character"),
            (br#"{"a\u0000":1}"#, "nul_character"),
            (br#"["\ud800"]"#, "invalid_json"),
            (b"[\"\xed\xa0\x80\"]", "invalid_json"),
            (b"\xef\xbb\xbf{}", "invalid_json"),
            (b"\xff\xfe{\0}\0", "invalid_json"),
            (b"[NaN]", "invalid_json"),
            (b"[1e400]", "invalid_json"),
            (b"{} {}", "invalid_json"),
            (b"{'a':1}", "invalid_json"),
            (b"[1,]", "invalid_json"),
            (b"{}//", "invalid_json"),
            (b"", "invalid_json"),
        ];
        for (bytes, expected) in cases {
            assert_eq!(code(bytes), *expected, "{}", String::from_utf8_lossy(bytes));
        }
    }

    proptest! {
        #[test]
        fn every_string_comes_back_and_others_read_the_same(text in "[^\0]{0,40}", key in "[^\0]{0,10}") {
            let value = object([(key.as_str(), Json::Array(vec![text.as_str().into(), Json::Null]))]);
            prop_assert_eq!(Json::parse(&value.to_bytes()).unwrap(), value.clone());
            let theirs: serde_json::Value = serde_json::from_slice(&value.to_bytes()).unwrap();
            prop_assert_eq!(theirs, serde_json::json!({ key: [text, null] }));
        }
    }

    #[test]
    fn what_was_read_is_what_is_written() {
        let text = r#"{"z":"é\n\u2028","a":[1,2.5,-0.0,18446744073709551615,{"":null}],"b":false}"#;
        let value = Json::parse(text.as_bytes()).unwrap();
        let again = Json::parse(&value.to_bytes()).unwrap();
        assert_eq!(value, again);
        assert!(String::from_utf8(value.to_bytes()).unwrap().starts_with(r#"{"z":"#));
    }
}
