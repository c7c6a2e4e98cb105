//! Reading values out of the tree, collecting every problem on the way.

use std::collections::HashMap;

use jiff::civil::Date;

use crate::Context;
use crate::diagnostics::{Diagnostic, Excerpt, Severity};
use crate::document::{Node, Place, Value};
use crate::format::Table;
use crate::suggest::closest;

/// Collects problems. A reading method that returns `None` has reported why.
pub(crate) struct Reader<'s> {
    lines: Vec<&'s str>,
    items: Vec<Diagnostic>,
    failed: bool,
    context: Option<&'s Context<'s>>,
}

/// More problems than anyone mends in one go; a hostile document gets no more memory than this.
const MOST: usize = 500;

/// A problem just reported, to which more may be said; nothing when it was one too many.
pub(crate) struct Note<'r>(Option<&'r mut Diagnostic>);

/// One key of a table, with its value.
#[derive(Clone, Copy)]
pub(crate) struct Entry<'n> {
    pub(crate) key: &'n str,
    pub(crate) at: Place,
    pub(crate) value: &'n Node,
}

/// The entries of a table whose keys were checked.
pub(crate) struct Fields<'n> {
    at: Place,
    entries: Vec<Entry<'n>>,
}

impl<'s> Reader<'s> {
    /// Reads `source`; with a `context`, also for what is wrong on some days only.
    pub(crate) fn new(source: &'s str, context: Option<&'s Context<'s>>) -> Self {
        Self { lines: lines(source), items: Vec::new(), failed: false, context }
    }

    /// The world around the document, if this is a check.
    pub(crate) const fn context(&self) -> Option<&'s Context<'s>> {
        self.context
    }

    /// The day of the check, if this is one.
    pub(crate) fn today(&self) -> Option<Date> {
        self.context.map(|context| context.today)
    }

    pub(crate) fn into_items(self) -> Vec<Diagnostic> {
        self.items
    }

    pub(crate) const fn failed(&self) -> bool {
        self.failed
    }

    pub(crate) fn error(&mut self, at: Place, message: impl Into<String>) -> Note<'_> {
        self.report(Severity::Error, at, message.into())
    }

    pub(crate) fn warning(&mut self, at: Place, message: impl Into<String>) -> Note<'_> {
        self.report(Severity::Warning, at, message.into())
    }

    fn report(&mut self, severity: Severity, at: Place, message: String) -> Note<'_> {
        self.failed |= severity == Severity::Error;
        // Warnings leave room for the errors that explain why there is no policy.
        let room = if severity == Severity::Error { 2 * MOST } else { MOST };
        if self.items.len() >= room {
            return Note(None);
        }
        let item = self.diagnostic(severity, at, message);
        self.items.push(item);
        Note(self.items.last_mut())
    }

    fn diagnostic(&self, severity: Severity, at: Place, message: String) -> Diagnostic {
        // A document that ends too early is wrong after its last line; show the last one there is.
        let line = at.line.min(self.lines.len()).max(1);
        let text = self.lines.get(line - 1).copied().unwrap_or_default();
        let column = if line == at.line { at.column } else { usize::MAX };
        let excerpt = Excerpt::new(text, column, at.length);
        Diagnostic {
            severity,
            line,
            column: excerpt.column,
            length: excerpt.length,
            message,
            expected: None,
            help: None,
            excerpt,
        }
    }

    // === tables ===

    /// The entries of the table `name`, repeated keys reported and left out.
    pub(crate) fn entries<'n>(&mut self, node: &'n Node, name: &str) -> Option<Vec<Entry<'n>>> {
        let Value::Map(map) = &node.value else {
            let kind = node.value.kind();
            self.error(node.at, format!("{name} must be a table of keys and values"))
                .expected(format!("this is {kind}"));
            return None;
        };
        let mut entries: Vec<Entry<'n>> = Vec::new();
        let mut first_line = HashMap::new();
        for (key, value) in map {
            let Value::Text(text) = &key.value else {
                self.error(key.at, format!("a key in {name} must be a name"))
                    .expected(format!("this is {}", key.value.kind()));
                continue;
            };
            if let Some(line) = first_line.get(text.as_str()) {
                self.error(key.at, format!("`{text}` is set twice in {name}"))
                    .expected("again here")
                    .help(format!("the first is on line {line}; keep one of them"));
                continue;
            }
            first_line.insert(text.as_str(), key.at.line);
            entries.push(Entry { key: text, at: key.at, value });
        }
        Some(entries)
    }

    /// The entries of a table whose keys are all known beforehand.
    pub(crate) fn fields<'n>(&mut self, node: &'n Node, table: &Table) -> Option<Fields<'n>> {
        let entries = self.entries(node, table.name)?;
        let (good, bad): (Vec<_>, Vec<_>) =
            entries.into_iter().partition(|entry| table.knows(entry.key));
        for entry in bad {
            let message = format!("unknown key `{}` in {}", shorten(entry.key), table.name);
            self.unknown(entry.at, message, entry.key, table.keys.iter().map(|key| key.name));
        }
        Some(Fields { at: node.at, entries: good })
    }

    /// Reports a name that does not exist.
    pub(crate) fn unknown<'k>(
        &mut self,
        at: Place,
        message: String,
        written: &str,
        known: impl Iterator<Item = &'k str> + Clone,
    ) {
        let help = match closest(written, known.clone()) {
            Some(guess) => format!("did you mean `{guess}`?"),
            None => format!("known: {}", known.collect::<Vec<_>>().join(", ")),
        };
        self.error(at, message).help(help);
    }

    // === values ===

    /// A text that says something.
    pub(crate) fn text<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n str> {
        match &node.value {
            Value::Text(text) if !text.trim().is_empty() => Some(text),
            Value::Text(_) | Value::Null => {
                self.error(node.at, format!("{what} is empty")).expected("expected a text");
                None
            }
            Value::Bool(_) | Value::Number(_) => {
                self.error(node.at, format!("{what} must be a text"))
                    .expected(format!("this is {}", node.value.kind()))
                    .help("put it in quotes");
                None
            }
            value => {
                let kind = value.kind();
                self.error(node.at, format!("{what} must be a text"))
                    .expected(format!("this is {kind}"));
                None
            }
        }
    }

    /// One of a few words.
    pub(crate) fn word<T: Copy>(
        &mut self,
        node: &Node,
        what: &str,
        words: &[(&'static str, T)],
    ) -> Option<T> {
        self.word_or(node, what, words, "")
    }

    /// One of a few words; `also` tells what else is accepted, by whoever asks.
    pub(crate) fn word_or<T: Copy>(
        &mut self,
        node: &Node,
        what: &str,
        words: &[(&'static str, T)],
        also: &str,
    ) -> Option<T> {
        let names = words.iter().map(|(name, _)| *name);
        let mut guess = None;
        let message = match &node.value {
            Value::Text(text) => {
                if let Some((_, value)) = words.iter().find(|(name, _)| name == text) {
                    return Some(*value);
                }
                guess = closest(text, names.clone());
                format!("{what} cannot be `{}`", shorten(text))
            }
            Value::Bool(value) => format!("{what} cannot be `{value}`"),
            Value::Number(value) => format!("{what} cannot be `{value}`"),
            Value::Null => format!("{what} is empty"),
            value => format!("{what} cannot be {}", value.kind()),
        };
        let expected = format!("expected {}{also}", alternatives(names));
        let note = self.error(node.at, message).expected(expected);
        if let Some(guess) = guess {
            note.help(format!("did you mean `{guess}`?"));
        }
        None
    }

    /// The items of a list that says something.
    pub(crate) fn list<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n [Node]> {
        match &node.value {
            Value::List(list) if !list.is_empty() => Some(list),
            Value::List(_) => {
                self.error(node.at, format!("{what} is empty")).expected("expected at least one");
                None
            }
            value => {
                let kind = value.kind();
                self.error(node.at, format!("{what} must be a list"))
                    .expected(format!("this is {kind}"));
                None
            }
        }
    }

    /// The texts of a list.
    pub(crate) fn texts<'n>(&mut self, node: &'n Node, what: &str) -> Vec<(&'n str, Place)> {
        let items = self.list(node, what).unwrap_or_default();
        let each = format!("an entry of {what}");
        items.iter().filter_map(|item| Some((self.text(item, &each)?, item.at))).collect()
    }

    /// `true` or `false`, in these letters.
    pub(crate) fn truth(&mut self, node: &Node, what: &str) -> Option<bool> {
        let meant = match &node.value {
            Value::Bool(value) => return Some(*value),
            Value::Text(text) => match text.to_lowercase().as_str() {
                "on" | "yes" | "y" | "true" => Some("true"),
                "off" | "no" | "n" | "false" => Some("false"),
                _ => None,
            },
            _ => None,
        };
        let note = self
            .error(node.at, format!("{what} must be a truth value"))
            .expected("expected `true` or `false`");
        if let Some(meant) = meant {
            note.help(format!("write `{meant}`"));
        }
        None
    }
}

impl<'n> Fields<'n> {
    /// Where the table stands.
    pub(crate) const fn at(&self) -> Place {
        Place { length: 1, ..self.at }
    }

    /// The value of `key`, where it is set.
    pub(crate) fn get(&self, key: &str) -> Option<&'n Node> {
        self.entry(key).map(|entry| entry.value)
    }

    /// The entry of `key`, where it is set.
    pub(crate) fn entry(&self, key: &str) -> Option<Entry<'n>> {
        self.entries.iter().find(|entry| entry.key == key).copied()
    }

    /// The value of `key`, which must be set.
    pub(crate) fn require(
        &self,
        reader: &mut Reader<'_>,
        key: &str,
        help: &str,
    ) -> Option<&'n Node> {
        let found = self.get(key);
        if found.is_none() {
            reader.error(self.at(), format!("`{key}` is missing")).help(help);
        }
        found
    }
}

impl Note<'_> {
    /// What was expected there.
    pub(crate) fn expected(mut self, expected: impl Into<String>) -> Self {
        if let Some(item) = &mut self.0 {
            item.expected = Some(expected.into());
        }
        self
    }

    /// What to do about it.
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        if let Some(item) = &mut self.0 {
            item.help = Some(help.into());
        }
        self
    }
}

/// `a`, `b` or `c`.
pub(crate) fn alternatives<'w>(words: impl Iterator<Item = &'w str>) -> String {
    let mut quoted: Vec<String> = words.map(|word| format!("`{word}`")).collect();
    let Some(last) = quoted.pop() else { return String::new() };
    if quoted.is_empty() { last } else { format!("{} or {last}", quoted.join(", ")) }
}

/// What somebody wrote, short enough for a message.
pub(crate) fn shorten(text: &str) -> String {
    const SHOWN: usize = 60;
    let mut short: String = text.chars().take(SHOWN).collect();
    if text.chars().nth(SHOWN).is_some() {
        short.push_str("...");
    }
    short
}

/// Lines as YAML counts them: a carriage return alone ends one too.
fn lines(source: &str) -> Vec<&str> {
    source
        .split('\n')
        .map(|l| l.strip_suffix('\r').unwrap_or(l))
        .flat_map(|l| l.split('\r'))
        .collect()
}
