//! Texts that are read together: the parts of a message, as model servers join them, and the prose of an answer that
//! comes in several blocks or items, as clients print it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use classifiers_core::{Direction, Passage, Role};

/// What the pointer of a passage ends with that joins others without anything between them.
pub(crate) const JOINED: &str = "#joined";
/// The same with line breaks between.
pub(crate) const LINES: &str = "#lines";

/// Fields that hold prose: their parts can be read on their own, like a sentence and unlike half a JSON object.
const PROSE: [&str; 6] =
    ["content", "refusal", "reasoning", "reasoning_content", "text", "thinking"];

/// Whether the text at `pointer` is what the model says to a person.
pub(crate) fn is_prose(pointer: &str, direction: Direction) -> bool {
    let field = pointer.rsplit('/').next().unwrap_or_default();
    direction == Direction::Output && PROSE.contains(&field)
}

/// What clients show one after the other as one text: prose of the same kind, in whatever block or item of an answer it
/// stands, such as `/content/text`. Choices are answers of their own. None where it is no prose.
pub(crate) fn flow(pointer: &str, direction: Direction) -> Option<String> {
    let is_index = |step: &str| !step.is_empty() && step.bytes().all(|b| b.is_ascii_digit());
    let mut before = "";
    let steps = pointer.split('/').filter(|step| {
        let is_choice = std::mem::replace(&mut before, step) == "choices";
        is_choice || !is_index(step)
    });
    is_prose(pointer, direction).then(|| steps.collect::<Vec<_>>().join("/"))
}

/// Adds what `passages` of an answer say together, where several go on in each other.
pub(crate) fn join_flows(passages: &mut Vec<Passage>) {
    let mut flows: BTreeMap<String, Vec<Arc<str>>> = BTreeMap::new();
    for Passage { text, origin, .. } in &*passages {
        if let Some(flow) = flow(&origin.at, origin.direction) {
            flows.entry(flow).or_default().push(Arc::clone(text));
        }
    }
    let joined = flows.into_iter().filter(|(_, texts)| texts.len() > 1).map(|(flow, texts)| {
        Passage::new(texts.concat(), Role::Assistant, Direction::Output, flow + JOINED)
    });
    passages.extend(joined);
}

/// The passages before the one at `index` that it says again, put together, and where each of them stands in it. None if
/// it is a text of its own.
#[must_use]
pub fn joins(passages: &[Passage], index: usize) -> Option<Vec<(usize, Range<usize>)>> {
    let Passage { text, origin, .. } = passages.get(index)?;
    let (base, between) = match origin.at.strip_suffix(JOINED) {
        Some(base) => (base, ""),
        None => (origin.at.strip_suffix(LINES)?, "\n"),
    };
    let is_part = |part: &Passage| {
        let Passage { origin: own, .. } = part;
        is_under(&own.at, base) || flow(&own.at, own.direction).is_some_and(|flow| flow == base)
    };
    let (mut parts, mut end) = (Vec::new(), 0);
    for (number, part) in passages.iter().enumerate().take(index).filter(|(_, part)| is_part(part))
    {
        let start = if parts.is_empty() { 0 } else { end + between.len() };
        // By its text, not by its pointer alone.
        let gap = text.get(end..start)?;
        if !(gap.is_empty() || gap == between) || !text.get(start..)?.starts_with(&*part.text) {
            return None;
        }
        end = start + part.text.len();
        parts.push((number, start..end));
    }
    (end == text.len() && !parts.is_empty()).then_some(parts)
}

/// Whether the place `at` is `base`, or below it.
fn is_under(at: &str, base: &str) -> bool {
    at.strip_prefix(base).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
