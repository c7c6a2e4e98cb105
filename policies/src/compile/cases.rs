//! The tests inside the document.

use std::collections::HashMap;

use classifiers_core::{Category, Direction};

use crate::cases::{Case, Expect};
use crate::document::{Node, Value};
use crate::reader::{Fields, Known, Reader};
use crate::{Action, Because};

use super::{hazards, messages, words};

const CASE: Known = Known {
    table: "a test",
    keys: &["name", "at", "scores", "found", "failed", "expect", "key", "user", "reply"],
    later: &["model"],
};

const EXPECT: Known =
    Known { table: "`expect`", keys: &["action", "because", "would"], later: &[] };

/// So many findings of one kind say nothing that one does not.
const MOST_FOUND: f64 = 100.0;

/// Reads `tests`.
pub(super) fn read(reader: &mut Reader<'_>, node: &Node) -> Vec<Case> {
    let Value::List(list) = &node.value else {
        let kind = node.value.kind();
        reader.error(node.at, "`tests` must be a list").expected(format!("this is {kind}"));
        return Vec::new();
    };
    let cases: Vec<(&Node, Case)> =
        list.iter().filter_map(|node| Some((node, case(reader, node)?))).collect();
    let mut lines = HashMap::new();
    for (node, case) in &cases {
        if let Some(line) = lines.insert(case.name.as_str(), case.line) {
            reader
                .error(node.at, format!("two tests are called \"{}\"", case.name))
                .help(format!("the other is on line {line}; give each its own name"));
        }
    }
    cases.into_iter().map(|(_, case)| case).collect()
}

/// Every part is read, whatever is wrong with the others.
fn case(reader: &mut Reader<'_>, node: &Node) -> Option<Case> {
    let fields = reader.fields(node, &CASE)?;
    let name = fields
        .require(reader, "name", "say in a few words what is expected")
        .and_then(|node| reader.text(node, "`name`"));
    let at = fields
        .require(reader, "at", "`input`, `output` or `tools`, or a list of these")
        .and_then(|node| directions(reader, node));
    let scores = fields.get("scores").map(|node| {
        amounts(reader, node, "`scores`", |reader, node| hazards::score(reader, node, "this"))
    });
    let found = fields.get("found").map(|node| amounts(reader, node, "`found`", count));
    let failed = fields.get("failed").map(|node| names(reader, node));
    let expect = fields
        .require(reader, "expect", "such as `expect: { action: block, because: jailbreak }`")
        .and_then(|node| expect(reader, node));
    live(reader, &fields, at.as_deref());
    Some(Case {
        name: name?.to_owned(),
        line: node.at.line,
        at: at?,
        scores: scores.unwrap_or_default(),
        found: found.unwrap_or_default(),
        failed: failed.unwrap_or_default(),
        expect: expect?,
    })
}

fn directions(reader: &mut Reader<'_>, node: &Node) -> Option<Vec<Direction>> {
    match &node.value {
        Value::List(list) if list.is_empty() => {
            reader.error(node.at, "`at` is empty").expected("expected at least one direction");
            None
        }
        Value::List(list) => list
            .iter()
            .map(|node| reader.word(node, "`at`", &words(Direction::ALL, Direction::name)))
            .collect(),
        _ => reader
            .word(node, "`at`", &words(Direction::ALL, Direction::name))
            .map(|direction| vec![direction]),
    }
}

/// A table of categories and amounts.
fn amounts<T>(
    reader: &mut Reader<'_>,
    node: &Node,
    table: &str,
    mut amount: impl FnMut(&mut Reader<'_>, &Node) -> Option<T>,
) -> Vec<(Category, T)> {
    let entries = reader.entries(node, table).unwrap_or_default();
    let read = entries.into_iter().filter_map(|entry| {
        let category = hazards::category(reader, entry.key, entry.at, &[]);
        let amount = amount(reader, entry.value);
        category.zip(amount)
    });
    read.collect()
}

fn count(reader: &mut Reader<'_>, node: &Node) -> Option<usize> {
    match node.value {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a whole number between 1 and MOST_FOUND"
        )]
        Value::Number(n) if n.fract() == 0.0 && (1.0..=MOST_FOUND).contains(&n) => Some(n as usize),
        _ => {
            reader
                .error(node.at, "how often something is found must be a whole number")
                .expected(format!("expected 1 to {MOST_FOUND}"));
            None
        }
    }
}

fn names(reader: &mut Reader<'_>, node: &Node) -> Vec<String> {
    let Value::List(list) = &node.value else {
        reader
            .error(node.at, "`failed` must be a list of checks")
            .expected("such as `[llama_guard]`");
        return Vec::new();
    };
    let read = list.iter().filter_map(|node| reader.text(node, "the name of a check"));
    read.map(str::to_owned).collect()
}

fn expect(reader: &mut Reader<'_>, node: &Node) -> Option<Expect> {
    let fields = reader.fields(node, &EXPECT)?;
    let action = fields
        .require(reader, "action", "say what should be done: allow, flag, redact or block")
        .and_then(|node| reader.word(node, "`action`", &words(Action::ALL, Action::name)));
    let because = fields.get("because").and_then(|node| because(reader, node));
    let would = fields
        .get("would")
        .and_then(|node| reader.word(node, "`would`", &words(Action::ALL, Action::name)));
    if let (Some(entry), Some(action)) = (fields.entry("would"), action)
        && would.is_some_and(|would| would <= action)
    {
        reader
            .error(entry.at, "`would` must be stronger than `action`")
            .help("it says what would have been done without shadow; leave it out otherwise");
    }
    Some(Expect { action: action?, because, would })
}

fn because(reader: &mut Reader<'_>, node: &Node) -> Option<Because> {
    let name = reader.text(node, "`because`")?;
    messages::reason(reader, name, node.at, &[])
}

/// What only a run with real models uses is checked here and kept by nobody.
fn live(reader: &mut Reader<'_>, fields: &Fields<'_>, at: Option<&[Direction]>) {
    for key in ["key", "user", "reply"] {
        if let Some(node) = fields.get(key) {
            reader.text(node, &format!("`{key}`"));
        }
    }
    let Some(reply) = fields.entry("reply") else { return };
    if at.is_some_and(|at| !at.contains(&Direction::Output)) {
        reader
            .error(reply.at, "`reply` has no place in this test")
            .expected("it is what the model says, and the test is not at `output`");
    }
}
