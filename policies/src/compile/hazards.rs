//! The hazard table, and lines of it elsewhere.

use std::collections::HashMap;

use classifiers_core::{Category, Direction};

use crate::calibration::Sensitivity;
use crate::document::{Node, Place, Value};
use crate::format::HAZARD;
use crate::policy::ByDirection;
use crate::profile::{Hazard, Hazards};
use crate::reader::{Entry, Fields, Reader, shorten};
use crate::{Action, Calibration, Level, Mode};

use super::{shadow, words};

pub(super) const DEFAULTS: &str = "defaults";

/// What a line of the table says; the rest comes from the lines below it.
#[derive(Clone, Copy, Default)]
pub(super) struct Line {
    pub(super) sensitivity: Option<Sensitivity>,
    pub(super) actions: Cells,
    pub(super) mode: Option<Mode>,
}

/// Actions, each with its place in the document.
pub(super) type Cells = ByDirection<Option<(Action, Place)>>;

impl Default for Cells {
    fn default() -> Self {
        Self::all(None)
    }
}

/// The table as written.
#[derive(Default)]
pub(super) struct Written {
    pub(super) defaults: Line,
    pub(super) lines: HashMap<Category, Line>,
}

/// What nobody has decided is blocked.
const UNDECIDED: Hazard = Hazard {
    sensitivity: Sensitivity::Level(Level::Medium),
    actions: ByDirection::all(Action::Block),
    mode: Mode::Enforce,
};

/// Reads the table.
pub(super) fn read(reader: &mut Reader<'_>, node: &Node) -> Option<Written> {
    let mut written = Written::default();
    for entry in reader.entries(node, "`hazards`")? {
        if entry.key == DEFAULTS {
            written.defaults = line(reader, entry, None).unwrap_or_default();
        } else if let Some(category) = category(reader, entry.key, entry.at, &[DEFAULTS]) {
            let line = line(reader, entry, Some(category)).unwrap_or_default();
            written.lines.insert(category, line);
        }
    }
    Some(written)
}

impl Written {
    /// The line of `category`: its own over `defaults`.
    pub(super) fn of(&self, category: Category) -> Line {
        self.lines.get(&category).copied().unwrap_or_default().over(self.defaults)
    }

    /// The compiled table.
    pub(super) fn compile(&self) -> Hazards {
        Hazards::new(|category| self.of(category).compile())
    }
}

/// The category called `name`. Codes and misspellings are reported with the name to write; `others` are
/// the names that mean something else where this one stands.
pub(super) fn category(
    reader: &mut Reader<'_>,
    name: &str,
    at: Place,
    others: &[&str],
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
    let mut known: Vec<&str> = others.to_vec();
    known.extend(Category::ALL.map(Category::name));
    let message = format!("unknown hazard `{}`", shorten(name));
    reader.unknown(at, message, name, known.into_iter());
    None
}

/// Reads a line; `category` is missing where it is for many.
pub(super) fn line(
    reader: &mut Reader<'_>,
    entry: Entry<'_>,
    category: Option<Category>,
) -> Option<Line> {
    if matches!(entry.value.value, Value::Null) {
        reader
            .error(entry.at, format!("`{}` says nothing", entry.key))
            .help("write `{}` for a hazard that is as the defaults say");
        return None;
    }
    let fields = reader.fields(entry.value, &HAZARD)?;
    let sensitivity = fields.get("sensitivity").and_then(|node| sensitivity(reader, node));
    let actions = cells(reader, &fields, category);
    let what = format!("`{}` is in shadow", entry.key);
    let mode = shadow::read(reader, &fields, &what, "recorded, never acted upon");
    Some(Line { sensitivity, actions, mode })
}

/// Reads `input`, `output` and `tools`.
pub(super) fn cells(
    reader: &mut Reader<'_>,
    fields: &Fields<'_>,
    category: Option<Category>,
) -> Cells {
    let mut cells = Cells::default();
    for direction in Direction::ALL {
        let Some(node) = fields.get(direction.name()) else { continue };
        let action =
            reader.word(node, &format!("`{direction}`"), &words(Action::ALL, Action::name));
        if action == Some(Action::Redact) {
            check_spans(reader, node.at, category);
        }
        *cells.get_mut(direction) = action.map(|action| (action, node.at));
    }
    cells
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

/// A word, or a score.
pub(super) fn sensitivity(reader: &mut Reader<'_>, node: &Node) -> Option<Sensitivity> {
    let Value::Number(_) = node.value else {
        let levels = words(Level::ALL, Level::name);
        let level = reader.word_or(node, "`sensitivity`", &levels, ", or a score from 0 to 1");
        return level.map(Sensitivity::Level);
    };
    let threshold = score(reader, node, "`sensitivity`")?;
    let measured = Calibration::REFERENCE.high..=Calibration::REFERENCE.low;
    if threshold <= 0.0 {
        reader
            .warning(node.at, "a sensitivity of 0 makes every text count")
            .help("to look away instead, set the actions to `allow`");
    } else if reader.today().is_some() && !measured.contains(&threshold) {
        reader
            .warning(node.at, "this score is outside the calibrated range")
            .expected(format!(
                "nobody measured how often it is wrong; measured: {} to {}",
                measured.start(),
                measured.end()
            ))
            .help("`low`, `medium` and `high` are measured for each classifier");
    }
    Some(Sensitivity::Score(threshold))
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
    /// What this line says, and where it says nothing, what `below` says.
    pub(super) fn over(self, below: Self) -> Self {
        Self {
            sensitivity: self.sensitivity.or(below.sensitivity),
            actions: Cells::build(|d| self.actions.get(d).or(*below.actions.get(d))),
            mode: self.mode.or(below.mode),
        }
    }

    /// The rule of this line; what nobody has decided is blocked.
    pub(super) fn compile(&self) -> Hazard {
        let action = |d| self.actions.get(d).map_or(Action::Block, |(action, _)| action);
        Hazard {
            sensitivity: self.sensitivity.unwrap_or(UNDECIDED.sensitivity),
            actions: ByDirection::build(action),
            mode: self.mode.unwrap_or(UNDECIDED.mode),
        }
    }
}
