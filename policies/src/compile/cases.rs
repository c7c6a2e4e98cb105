//! The tests inside the document.

use std::collections::HashMap;
use std::sync::Arc;

use classifiers_core::{Category, Direction};

use crate::cases::{Asks, Case, Expect, Reason};
use crate::document::{Node, Place, Value};
use crate::format::{CASE, EXPECT};
use crate::policy::CustomHazard;
use crate::reader::{Fields, Reader};
use crate::{Action, Because, Exemption};

use super::{hazards, messages, words};

/// What tests may name beside hazards.
pub(super) struct Names<'d> {
    pub(super) custom: &'d [CustomHazard],
    pub(super) exemptions: &'d [Exemption],
}

/// So many findings of one kind say nothing that one does not.
const MOST_FOUND: f64 = 100.0;

/// Reads `tests`.
pub(super) fn read(reader: &mut Reader<'_>, node: &Node, names: &Names<'_>) -> Vec<Case> {
    let Value::List(list) = &node.value else {
        let kind = node.value.kind();
        reader.error(node.at, "`tests` must be a list").expected(format!("this is {kind}"));
        return Vec::new();
    };
    let cases: Vec<(&Node, Case)> =
        list.iter().filter_map(|node| Some((node, case(reader, node, names)?))).collect();
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
fn case(reader: &mut Reader<'_>, node: &Node, names: &Names<'_>) -> Option<Case> {
    let fields = reader.fields(node, &CASE)?;
    let name = fields
        .require(reader, "name", "say in a few words what is expected")
        .and_then(|node| reader.text(node, "`name`"));
    let at = fields
        .require(reader, "at", "`input`, `output` or `tools`, or a list of these")
        .and_then(|node| directions(reader, node));
    let (scores, custom) =
        fields.get("scores").map(|node| scores(reader, node, names)).unwrap_or_default();
    let found = fields.get("found").map(|node| found(reader, node)).unwrap_or_default();
    let failed = fields.get("failed").map(|node| reader.texts(node, "`failed`"));
    let expect = fields
        .require(reader, "expect", "such as `expect: { action: block, because: jailbreak }`")
        .and_then(|node| expect(reader, node, names));
    let mut text = |key: &str| {
        let text = fields.get(key).and_then(|node| reader.text(node, &format!("`{key}`")));
        text.map(str::to_owned)
    };
    let (language, user, reply) = (text("language"), text("user"), text("reply"));
    let (key, model, path) = (text("key"), text("model"), text("path"));
    let header = fields.get("header").map(|node| headers(reader, node)).unwrap_or_default();
    report_reply(reader, &fields, at.as_deref());
    Some(Case {
        name: name?.to_owned(),
        line: node.at.line,
        asks: Asks { key, model, path, header },
        at: at?,
        scores,
        custom,
        found,
        failed: failed.unwrap_or_default().into_iter().map(|(name, _)| name.to_owned()).collect(),
        language,
        user,
        reply,
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

type Scores = (Vec<(Category, f32)>, Vec<(Arc<str>, f32)>);

fn scores(reader: &mut Reader<'_>, node: &Node, names: &Names<'_>) -> Scores {
    let mut scores = Scores::default();
    for entry in reader.entries(node, "`scores`").unwrap_or_default() {
        let score = hazards::score(reader, entry.value, "this");
        if let Some(hazard) = names.custom(entry.key) {
            scores.1.extend(score.map(|score| (hazard, score)));
            continue;
        }
        let category = names.category(reader, entry.key, entry.at);
        scores.0.extend(category.zip(score));
    }
    scores
}

fn found(reader: &mut Reader<'_>, node: &Node) -> Vec<(Category, usize)> {
    let entries = reader.entries(node, "`found`").unwrap_or_default();
    let read = entries.into_iter().filter_map(|entry| {
        let category = hazards::category(reader, entry.key, entry.at, &[]);
        let amount = count(reader, entry.value);
        category.zip(amount)
    });
    read.collect()
}

fn headers(reader: &mut Reader<'_>, node: &Node) -> Vec<(String, String)> {
    let entries = reader.entries(node, "`header`").unwrap_or_default();
    let read = entries.into_iter().filter_map(|entry| {
        let text = reader.text(entry.value, "what a header says")?;
        Some((entry.key.to_ascii_lowercase(), text.to_owned()))
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

fn expect(reader: &mut Reader<'_>, node: &Node, names: &Names<'_>) -> Option<Expect> {
    let fields = reader.fields(node, &EXPECT)?;
    let action = fields
        .require(reader, "action", "say what should be done: allow, flag, redact or block")
        .and_then(|node| reader.word(node, "`action`", &words(Action::ALL, Action::name)));
    let because = fields.get("because").and_then(|node| because(reader, node, names));
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

fn because(reader: &mut Reader<'_>, node: &Node, names: &Names<'_>) -> Option<Reason> {
    let name = reader.text(node, "`because`")?;
    let because = messages::word(name).or_else(|| names.custom(name).map(Because::Custom));
    if let Some(because) = because {
        return Some(Reason::Because(because));
    }
    if let Some(exemption) = names.exemptions.iter().find(|exemption| *exemption.id == *name) {
        return Some(Reason::Exemption(Arc::clone(&exemption.id)));
    }
    let category = names.reason(reader, name, node.at)?;
    Some(Reason::Because(Because::Hazard(category)))
}

fn report_reply(reader: &mut Reader<'_>, fields: &Fields<'_>, at: Option<&[Direction]>) {
    let Some(reply) = fields.entry("reply") else { return };
    if at.is_some_and(|at| !at.contains(&Direction::Output)) {
        reader
            .error(reply.at, "`reply` has no place in this test")
            .expected("it is what the model says, and the test is not at `output`");
    }
}

impl Names<'_> {
    fn custom(&self, name: &str) -> Option<Arc<str>> {
        let found = self.custom.iter().find(|hazard| *hazard.name == *name);
        found.map(|hazard| Arc::clone(&hazard.name))
    }

    fn category(&self, reader: &mut Reader<'_>, name: &str, at: Place) -> Option<Category> {
        let own: Vec<&str> = self.custom.iter().map(|hazard| &*hazard.name).collect();
        hazards::category(reader, name, at, &own)
    }

    /// The hazard called `name`, where an exemption could be meant too.
    fn reason(&self, reader: &mut Reader<'_>, name: &str, at: Place) -> Option<Category> {
        let own = self.custom.iter().map(|hazard| &*hazard.name);
        let ids = self.exemptions.iter().map(|exemption| &*exemption.id);
        let others: Vec<&str> = Because::WORDS.into_iter().chain(own).chain(ids).collect();
        hazards::category(reader, name, at, &others)
    }
}
