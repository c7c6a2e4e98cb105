//! Where in a text there is code.

use std::ops::Range;

use crate::Language;

/// A stretch of a text that may be code.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    pub(crate) span: Range<usize>,
    /// The languages it may be in; empty if that cannot be told.
    pub(crate) languages: Vec<Language>,
    /// Between fences. What is not may be prose.
    pub(crate) fenced: bool,
}

/// Cuts `text` at its Markdown fences. A fence that never closes goes on to the end.
pub(crate) fn blocks(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut start = 0;
    let mut open: Option<(&str, &str)> = None;
    let mut place = 0;
    for line in text.split_inclusive('\n') {
        let next = place + line.len();
        if let Some((fence, tag)) = fence(line) {
            match open {
                None => {
                    push(&mut blocks, text, start..place, None);
                    (open, start) = (Some((fence, tag)), next);
                }
                Some((opened, name)) if fence.starts_with(opened) && tag.is_empty() => {
                    push(&mut blocks, text, start..place, Some(name));
                    (open, start) = (None, next);
                }
                // Code that shows a fence.
                Some(_) => {}
            }
        }
        place = next;
    }
    push(&mut blocks, text, start..text.len(), open.map(|(_, tag)| tag));
    blocks
}

/// The fence that `line` is, and the name after it.
fn fence(line: &str) -> Option<(&str, &str)> {
    let line = line.trim().trim_start_matches("> ");
    let sign = line.chars().next().filter(|sign| matches!(sign, '`' | '~'))?;
    let tag = line.trim_start_matches(sign);
    let fence = line.get(..line.len() - tag.len()).filter(|fence| fence.len() >= 3)?;
    let name = tag.trim().trim_start_matches('{').trim_start_matches('.');
    let name = name.split([' ', ',', '}', ':']).next().unwrap_or_default();
    (!tag.contains('`')).then_some((fence, name))
}

fn push(blocks: &mut Vec<Block>, text: &str, span: Range<usize>, tag: Option<&str>) {
    let Some(code) = text.get(span.clone()).filter(|code| !code.trim().is_empty()) else { return };
    // A fence may be mislabelled, so what the code itself looks like counts as well.
    let named = tag.and_then(Language::of_name);
    let mut languages: Vec<Language> = named.into_iter().chain(Language::of_code(code)).collect();
    if languages.contains(&Language::Cpp) {
        languages.push(Language::C);
    }
    languages.dedup();
    blocks.push(Block { span, languages, fenced: tag.is_some() });
}

/// Whether the line of `code` in which `place` lies is written like code, not like a sentence about it.
pub(crate) fn is_code_line(code: &str, place: usize) -> bool {
    let least = code.floor_char_boundary(place.saturating_sub(LINE));
    let most = code.ceil_char_boundary(place.saturating_add(LINE).min(code.len()));
    let start = code
        .get(least..place)
        .and_then(|before| before.rfind('\n'))
        .map_or(least, |at| least + at + 1);
    let line = code.get(start..most).and_then(|rest| rest.lines().next()).unwrap_or_default();
    let inline = code.get(start..place).unwrap_or_default().matches('`').count() % 2 == 1;
    let line = line.trim();
    let ends =
        line.ends_with([';', '{', '}', ')', '(', ',', '\\', '"', '\'', ']', '`', '>', '+', '%']);
    let begins = STARTS.iter().any(|start| line.starts_with(start))
        || line.ends_with(':') && line.contains('(');
    let assigned = line.contains(" = ");
    !inline && (ends || begins || assigned)
}

/// Further from a place its line is not looked at, in bytes: a bound for texts without line ends.
const LINE: usize = 400;

/// What lines of code begin with that need no sign at their end.
const STARTS: &[&str] = &[
    "return ", "import ", "from ", "curl ", "wget ", "sudo ", "rm ", "chmod ", "eval ", "export ",
    "bash ", "sh ", "SELECT ", "GRANT ", "EXEC", "$ ", "system ", "let ", "var ", "const ", "if ",
    "for ", "echo ",
];

/// Whether `code` is a test: what it does badly is done to itself.
pub(crate) fn is_test(code: &str) -> bool {
    const MARKS: [&str; 10] = [
        "def test_",
        "import pytest",
        "import unittest",
        "#[test]",
        "#[cfg(test)]",
        "@Test",
        "describe(",
        "func Test",
        "TEST(",
        "TEST_F(",
    ];
    MARKS.iter().any(|mark| code.contains(mark))
}
