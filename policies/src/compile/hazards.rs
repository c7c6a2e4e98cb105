//! The hazard table.

use std::collections::HashMap;

use classifiers_core::{Category, Direction};

use crate::document::{Node, Place, Value};
use crate::policy::{ByDirection, Hazard, Hazards};
use crate::reader::{Entry, Known, Reader, shorten};
use crate::{Action, Calibration, Mode};

use super::words;

const LINE: Known = Known {
    table: "a hazard",
    keys: &["sensitivity", "input", "output", "tools", "mode"],
    later: &[],
};

const DEFAULTS: &str = "defaults";

/// What a line of the table says; the rest comes from `defaults`.
#[derive(Clone, Copy, Default)]
struct Line {
    threshold: Option<f32>,
    actions: Actions,
    mode: Option<Mode>,
}

type Actions = ByDirection<Option<Action>>;

impl Default for Actions {
    fn default() -> Self {
        Self::all(None)
    }
}

/// What nobody has decided is blocked.
const UNDECIDED: Hazard = Hazard {
    threshold: Calibration::REFERENCE.medium,
    actions: ByDirection::all(Action::Block),
    mode: Mode::Enforce,
};

/// Reads the table; categories without a line are as `defaults` says.
pub(super) fn read(reader: &mut Reader<'_>, node: &Node) -> Option<Hazards> {
    let mut defaults = UNDECIDED;
    let mut lines: HashMap<Category, Line> = HashMap::new();
    for entry in reader.entries(node, "`hazards`")? {
        if entry.key == DEFAULTS {
            if let Some(line) = self::line(reader, entry, None) {
                defaults = line.over(&UNDECIDED);
            }
        } else if let Some(category) = category(reader, entry.key, entry.at, &[DEFAULTS]) {
            lines.insert(category, line(reader, entry, Some(category)).unwrap_or_default());
        }
    }
    Some(Hazards::new(|category| {
        lines.get(&category).map_or(defaults, |line| line.over(&defaults))
    }))
}

/// The category called `name`. Codes and misspellings are reported with the name to write; `others` are
/// the names that mean something else where this one stands.
pub(super) fn category(
    reader: &mut Reader<'_>,
    name: &str,
    at: Place,
    others: &[&'static str],
) -> Option<Category> {
    if let Ok(category) = name.parse() {
        return Some(category);
    }
    let coded = Category::ALL
        .into_iter()
        .find(|category| category.code().is_some_and(|code| code.eq_ignore_ascii_case(name)));
    if let Some(category) = coded {
        reader
            .error(at, format!("`{name}` is a code, policies use names"))
            .expected(format!("write `{category}`"));
        return None;
    }
    let names = Category::ALL.into_iter().map(Category::name);
    let known = others.iter().copied().chain(names);
    reader.unknown(at, format!("unknown hazard `{}`", shorten(name)), name, known);
    None
}

fn line(reader: &mut Reader<'_>, entry: Entry<'_>, category: Option<Category>) -> Option<Line> {
    if matches!(entry.value.value, Value::Null) {
        reader
            .error(entry.at, format!("`{}` says nothing", entry.key))
            .help("write `{}` for a hazard that is as the defaults say");
        return None;
    }
    let fields = reader.fields(entry.value, &LINE)?;
    let mut line = Line::default();
    if let Some(node) = fields.get("sensitivity") {
        line.threshold = sensitivity(reader, node);
    }
    for direction in Direction::ALL {
        let Some(node) = fields.get(direction.name()) else { continue };
        let action =
            reader.word(node, &format!("`{direction}`"), &words(Action::ALL, Action::name));
        if action == Some(Action::Redact) {
            check_spans(reader, node.at, category);
        }
        *line.actions.get_mut(direction) = action;
    }
    if let Some(node) = fields.get("mode") {
        line.mode = reader.word(node, "`mode`", &words(Mode::ALL, Mode::name));
        if line.mode == Some(Mode::Shadow) {
            reader
                .warning(node.at, format!("`{}` is in shadow", entry.key))
                .expected("recorded, never acted upon");
        }
    }
    Some(line)
}

/// What cannot be cut out is blocked; whoever writes `redact` should know where.
fn check_spans(reader: &mut Reader<'_>, at: Place, category: Option<Category>) {
    let message = match category {
        Some(Category::Secrets | Category::PersonalData) => return,
        Some(category) => format!("no shipped detector says where in a text {category} is"),
        None => "most detectors do not say where in a text something is".to_owned(),
    };
    reader
        .warning(at, message)
        .expected("blocks where it cannot cut")
        .help("only secrets and personal_data are found with exact places");
}

/// A word of the calibration, or a score.
fn sensitivity(reader: &mut Reader<'_>, node: &Node) -> Option<f32> {
    const WORDS: [(&str, f32); 3] = [
        ("low", Calibration::REFERENCE.low),
        ("medium", Calibration::REFERENCE.medium),
        ("high", Calibration::REFERENCE.high),
    ];
    let Value::Number(_) = node.value else {
        return reader.word_or(node, "`sensitivity`", &WORDS, ", or a score from 0 to 1");
    };
    let threshold = score(reader, node, "`sensitivity`")?;
    if threshold <= 0.0 {
        reader
            .warning(node.at, "a sensitivity of 0 makes every text count")
            .help("to look away instead, set the actions to `allow`");
    }
    Some(threshold)
}

/// A number from 0 to 1.
pub(super) fn score(reader: &mut Reader<'_>, node: &Node, what: &str) -> Option<f32> {
    match node.value {
        #[expect(clippy::cast_possible_truncation, reason = "scores are compared as f32")]
        Value::Number(score) if (0.0..=1.0).contains(&score) => Some(score as f32),
        _ => {
            reader
                .error(node.at, format!("{what} must be a score"))
                .expected("expected a number from 0 to 1");
            None
        }
    }
}

impl Line {
    fn over(&self, defaults: &Hazard) -> Hazard {
        let action =
            |direction| self.actions.get(direction).unwrap_or(*defaults.actions.get(direction));
        Hazard {
            threshold: self.threshold.unwrap_or(defaults.threshold),
            actions: ByDirection {
                input: action(Direction::Input),
                output: action(Direction::Output),
                tools: action(Direction::Tools),
            },
            mode: self.mode.unwrap_or(defaults.mode),
        }
    }
}
