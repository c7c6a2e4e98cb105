//! The document as written: a tree of values that remember their place.
//!
//! The only file that knows serde and YAML. Types are not checked here, so that a wrong type is one more
//! problem to report and not the end of the reading. What ends it is a text that is no YAML document, or one
//! that is built to exhaust its reader.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::options::{DuplicateKeyPolicy, MergeKeyPolicy};
use serde_saphyr::{Error, Location, MessageFormatter, Options, Spanned, UserMessageFormatter};

/// A value and its place.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) value: Value,
    pub(crate) at: Place,
}

/// A value of the YAML core schema.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
}

/// A place in the source: line and column from 1, both in characters, and how many are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) line: usize,
    pub(crate) column: usize,
    pub(crate) length: usize,
}

/// Why there is no document.
#[derive(Debug)]
pub(crate) struct Unreadable {
    pub(crate) at: Place,
    pub(crate) message: String,
    pub(crate) help: Option<&'static str>,
}

/// A policy is written by people; this is far beyond what they write.
const MAX_BYTES: usize = 1 << 20;
/// Values in the whole document, before and after aliases are filled in.
const MAX_NODES: usize = 50_000;
/// Aliases used, and values they may stand for in total.
const MAX_ALIASES: usize = 1_000;
/// The deepest policy has four levels.
const MAX_DEPTH: usize = 16;

/// Reads `source` into a tree.
pub(crate) fn read(source: &str) -> Result<Node, Unreadable> {
    if source.len() > MAX_BYTES {
        return Err(Unreadable {
            at: Place::START,
            message: format!("the document is larger than {} KiB", MAX_BYTES / 1024),
            help: None,
        });
    }
    serde_saphyr::from_str_with_options::<Spanned<Value>>(source, options())
        .map(Node::from)
        .map_err(|error| Unreadable::new(&error))
}

fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: 2 * MAX_NODES,
            max_nodes: MAX_NODES,
            max_aliases: MAX_ALIASES,
            max_anchors: MAX_ALIASES,
            max_depth: MAX_DEPTH,
            flow_nesting_limit: MAX_DEPTH,
            // A second document is then reported as what it is.
            max_documents: 2,
            max_total_scalar_bytes: MAX_BYTES,
            max_total_comment_bytes: MAX_BYTES,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: MAX_NODES,
            max_replay_stack_depth: MAX_DEPTH,
        },
        // Repeated keys are reported with both places, and with everything else that is wrong.
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        merge_keys: MergeKeyPolicy::Error,
        reject_unsupported_tags: true,
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        non_finite_float_policy: serde_saphyr::options::NonFiniteFloatPolicy::AsString,
        emit_comments: false,
        with_snippet: false,
    }
}

// === impl Deserialize ===

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    #[expect(clippy::cast_precision_loss, reason = "no number in a policy is that large")]
    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value as f64))
    }

    #[expect(clippy::cast_precision_loss, reason = "no number in a policy is that large")]
    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value as f64))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Number(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element::<Spanned<Value>>()? {
            list.push(item.into());
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Vec::new();
        while let Some((key, value)) = entries.next_entry::<Spanned<Value>, Spanned<Value>>()? {
            map.push((key.into(), value.into()));
        }
        Ok(Value::Map(map))
    }
}

impl From<Spanned<Value>> for Node {
    fn from(spanned: Spanned<Value>) -> Self {
        Self { value: spanned.value, at: spanned.referenced.into() }
    }
}

// === impl Value ===

impl Value {
    /// What it is, in words.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "a truth value",
            Self::Number(_) => "a number",
            Self::Text(_) => "a text",
            Self::List(_) => "a list",
            Self::Map(_) => "a table of keys and values",
        }
    }
}

// === impl Place ===

impl Place {
    pub(crate) const START: Self = Self { line: 1, column: 1, length: 1 };
}

impl From<Location> for Place {
    fn from(location: Location) -> Self {
        let number = |n: u64| usize::try_from(n).unwrap_or(usize::MAX).max(1);
        Self {
            line: number(location.line()),
            column: number(location.column()),
            length: number(location.span().len()),
        }
    }
}

// === impl Unreadable ===

impl Unreadable {
    fn new(error: &Error) -> Self {
        let at = error.location().map_or(Place::START, Place::from);
        let (message, help) = explain(innermost(error));
        Self { at: Place { length: 1, ..at }, message, help }
    }
}

fn innermost(error: &Error) -> &Error {
    match error {
        Error::AliasError { error, .. } | Error::WithSnippet { error, .. } => innermost(error),
        error => error,
    }
}

fn explain(error: &Error) -> (String, Option<&'static str>) {
    match error {
        Error::Eof { .. } => ("the document is empty".to_owned(), None),
        Error::Budget { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => (
            "the document is too large, too deep, or uses too many aliases".to_owned(),
            Some("no policy needs this much; write out what the aliases stand for"),
        ),
        Error::MergeKeyNotAllowed { .. } => (
            "merge keys (`<<`) are not supported".to_owned(),
            Some("write the keys out, so that a reader sees what applies"),
        ),
        Error::MultipleDocuments { .. } => (
            "there is more than one document in this file".to_owned(),
            Some("remove the line `---` and what follows it"),
        ),
        Error::UnsupportedTag { .. } => (
            "tags (words that start with `!`) are not supported".to_owned(),
            Some("put a text that starts with `!` in quotes"),
        ),
        Error::InvalidScalar { .. } => {
            ("a value is not what its tag (`!!...`) says".to_owned(), Some("remove the tag"))
        }
        error => {
            let said = UserMessageFormatter.format_message(error);
            (format!("this is not valid YAML: {said}"), way_out(&said))
        }
    }
}

/// Help for the mistakes people make most, by the parser's words; without a match there is no help.
fn way_out(said: &str) -> Option<&'static str> {
    const WAYS: [(&str, &str); 5] = [
        ("recursion limit", "nothing in a policy is nested this deep"),
        ("tabs", "indent with spaces"),
        ("mapping values are not allowed", "put a text that contains a colon in quotes"),
        ("',' or '}'", "a `{` before this is not closed"),
        ("',' or ']'", "a `[` before this is not closed"),
    ];
    WAYS.iter().find(|(words, _)| said.contains(words)).map(|(_, help)| *help)
}
