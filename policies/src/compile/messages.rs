//! The texts people read.

use std::collections::BTreeSet;

use crate::document::{Node, Place, Value};
use crate::languages::Languages;
use crate::messages::{FALLBACK, Messages, Texts, normal_tag};
use crate::reader::{Entry, Reader, shorten};
use crate::suggest::closest;
use crate::{Because, ReplyAs};

use super::{hazards, words};

const REPLY_AS: &str = "reply_as";
const DEFAULT: &str = "default";
const HELPLINE: &str = "helpline";

/// What may stand in braces in a text.
const PLACEHOLDERS: [&str; 2] = ["reference", "helpline"];

/// Reads `messages`; every language that is checked should have a text.
pub(super) fn read(
    reader: &mut Reader<'_>,
    node: &Node,
    languages: Option<&Languages>,
) -> Messages {
    let mut messages = Messages::default();
    // Which languages each set has, and where it stands, to tell what is missing.
    let mut sets: Vec<(Entry<'_>, BTreeSet<String>)> = Vec::new();
    for entry in reader.entries(node, "`messages`").unwrap_or_default() {
        if entry.key == REPLY_AS {
            let reply_as =
                reader.word(entry.value, "`reply_as`", &words(ReplyAs::ALL, ReplyAs::name));
            messages.reply_as = reply_as.unwrap_or_default();
            continue;
        }
        if entry.key == HELPLINE {
            messages.helpline = reader.text(entry.value, "`helpline`").map(str::to_owned);
            continue;
        }
        let is_default = entry.key == DEFAULT;
        let reason = if is_default {
            None
        } else {
            reason(reader, entry.key, entry.at, &[REPLY_AS, HELPLINE, DEFAULT])
        };
        let Some(texts) = texts(reader, entry) else { continue };
        if !texts.is_empty() {
            sets.push((entry, texts.keys().cloned().collect()));
        }
        if is_default {
            report_unspoken(reader, entry, &texts, languages);
            messages.default = texts;
        } else if let Some(reason) = reason {
            messages.own.insert(reason, texts);
        }
    }
    report_missing(reader, &sets);
    messages
}

/// The reason called `name`; `others` are the names that mean something else there.
fn reason(
    reader: &mut Reader<'_>,
    name: &str,
    at: Place,
    others: &[&'static str],
) -> Option<Because> {
    if let Some(word) = word(name) {
        return Some(word);
    }
    let others = [&Because::WORDS, others].concat();
    hazards::category(reader, name, at, &others).map(Because::Hazard)
}

/// The reason called `name`, if it is no hazard.
pub(super) fn word(name: &str) -> Option<Because> {
    [Because::Languages, Because::OnFailure].into_iter().find(|because| because.name() == name)
}

fn texts(reader: &mut Reader<'_>, entry: Entry<'_>) -> Option<Texts> {
    if let Value::Text(_) = entry.value.value {
        reader
            .error(entry.value.at, format!("the language of `{}` is missing", entry.key))
            .expected("expected a table of languages and texts")
            .help(format!("such as `{}: {{ en: \"...\" }}`", entry.key));
        return None;
    }
    let mut texts = Texts::new();
    for line in reader.entries(entry.value, &format!("`{}`", entry.key))? {
        let tag = language(reader, line.key, line.at);
        let what = format!("the text for `{}`", shorten(line.key));
        let Some(text) = reader.text(line.value, &what) else { continue };
        placeholders(reader, line.value.at, text);
        if let Some(tag) = tag {
            texts.insert(tag, text.to_owned());
        }
    }
    Some(texts)
}

/// A tag such as `de` or `pt-BR`.
pub(super) fn language(reader: &mut Reader<'_>, written: &str, at: Place) -> Option<String> {
    let tag = normal_tag(written);
    let mut parts = tag.split('-');
    let fits = |part: &str, lengths: std::ops::RangeInclusive<usize>| {
        lengths.contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric())
    };
    let first =
        parts.next().is_some_and(|p| fits(p, 2..=3) && !p.bytes().any(|b| b.is_ascii_digit()));
    if first && parts.all(|part| fits(part, 2..=8)) {
        return Some(tag);
    }
    reader
        .error(at, format!("`{}` is not a language tag", shorten(written)))
        .expected("expected a tag such as `en`, `de` or `pt-BR`");
    None
}

/// Only known placeholders are filled in; a misspelt one would be shown to the reader as it is.
fn placeholders(reader: &mut Reader<'_>, at: Place, text: &str) {
    for piece in text.split('{').skip(1) {
        let Some((name, _)) = piece.split_once('}') else { continue };
        if !PLACEHOLDERS.contains(&name) {
            let guess = closest(name, PLACEHOLDERS).unwrap_or("reference");
            reader
                .error(at, format!("unknown placeholder `{{{}}}`", shorten(name)))
                .expected("readers would see it as written")
                .help(format!("did you mean `{{{guess}}}`?"));
        }
    }
}

/// People whose language is checked should read why something was blocked.
fn report_unspoken(
    reader: &mut Reader<'_>,
    entry: Entry<'_>,
    texts: &Texts,
    languages: Option<&Languages>,
) {
    let (Some(languages), Some(_)) = (languages, reader.context()) else { return };
    let missing: Vec<&str> = languages
        .checked
        .iter()
        .map(String::as_str)
        .filter(|tag| !texts.contains_key(*tag))
        .collect();
    if !missing.is_empty() {
        reader
            .warning(entry.at, format!("no text in: {}", shorten(&missing.join(", "))))
            .expected("these are checked languages; people get English");
    }
}

/// A set should speak every language that another one speaks, and always the one all fall back to.
fn report_missing(reader: &mut Reader<'_>, sets: &[(Entry<'_>, BTreeSet<String>)]) {
    let mut spoken: BTreeSet<String> = sets.iter().flat_map(|(_, tags)| tags).cloned().collect();
    spoken.insert(FALLBACK.to_owned());
    for (entry, tags) in sets {
        let missing: Vec<&str> = spoken.difference(tags).map(String::as_str).collect();
        if !missing.is_empty() {
            let list = shorten(&missing.join(", "));
            reader
                .warning(entry.at, format!("`{}` has no text in: {list}", entry.key))
                .expected("people who read these get a more general text");
        }
    }
}
