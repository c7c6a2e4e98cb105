//! Hazards in the owner's own words.

use std::sync::Arc;

use classifiers_core::{Category, Direction};

use crate::calibration::Sensitivity;
use crate::document::Node;
use crate::format::CUSTOM_HAZARD;
use crate::policy::{ByDirection, CustomHazard};
use crate::reader::{Entry, Fields, Reader, shorten};
use crate::{Action, Because, Level, Mode};

use super::{WITHOUT_VERDICT, hazards, shadow, words};

/// Reads `custom_hazards`.
pub(super) fn read(reader: &mut Reader<'_>, node: &Node) -> Vec<CustomHazard> {
    let entries = reader.entries(node, "`custom_hazards`").unwrap_or_default();
    entries.into_iter().filter_map(|entry| hazard(reader, entry)).collect()
}

fn hazard(reader: &mut Reader<'_>, entry: Entry<'_>) -> Option<CustomHazard> {
    check_name(reader, entry);
    let fields = reader.fields(entry.value, &CUSTOM_HAZARD)?;
    let title = fields.require(reader, "title", "say what it is called");
    title.and_then(|node| reader.text(node, "`title`"));
    let should_not =
        fields.require(reader, "should_not", "say in sentences what should not be said");
    should_not.map(|node| reader.texts(node, "`should_not`"));
    fields.get("can").map(|node| reader.texts(node, "`can`"));
    examples(reader, entry, &fields);
    check_mode(reader, entry, &fields);
    let sensitivity = fields.get("sensitivity").and_then(|n| hazards::sensitivity(reader, n));
    let cells = cells(reader, &fields);
    Some(CustomHazard {
        name: Arc::from(entry.key),
        sensitivity: sensitivity.unwrap_or(Sensitivity::Level(Level::Medium)),
        actions: ByDirection::build(|d| cells.get(d).map_or(Action::Block, |(action, _)| action)),
    })
}

/// Nobody says where in a text a hazard in words is, so it cannot be cut out.
fn cells(reader: &mut Reader<'_>, fields: &Fields<'_>) -> hazards::Cells {
    let mut cells = hazards::Cells::default();
    for direction in Direction::ALL {
        let Some(node) = fields.get(direction.name()) else { continue };
        let known = words(WITHOUT_VERDICT, Action::name);
        let action = reader.word(node, &format!("`{direction}`"), &known);
        *cells.get_mut(direction) = action.map(|action| (action, node.at));
    }
    cells
}

fn check_name(reader: &mut Reader<'_>, entry: Entry<'_>) {
    let taken = entry.key.parse::<Category>().is_ok()
        || entry.key == hazards::DEFAULTS
        || Because::WORDS.contains(&entry.key);
    if taken {
        reader
            .error(entry.at, format!("`{}` already means something", entry.key))
            .help("give the hazard another name");
    } else if !super::is_plain(entry.key) {
        reader
            .error(entry.at, format!("`{}` cannot be a hazard's name", shorten(entry.key)))
            .expected(super::PLAIN);
    }
}

/// A file beside the policy; without one the hazard can never be enforced.
fn examples(reader: &mut Reader<'_>, entry: Entry<'_>, fields: &Fields<'_>) {
    let Some(node) = fields.get("examples") else {
        reader
            .warning(entry.at, format!("`{}` has no examples", shorten(entry.key)))
            .expected("without them it can never be enforced");
        return;
    };
    let Some(path) = reader.text(node, "`examples`") else { return };
    let parts: Vec<&str> = path.split('/').collect();
    if path.starts_with('/') || parts.contains(&"..") {
        reader
            .error(node.at, "examples lie beside the policy or below it")
            .expected("expected a path such as `tests/dosing.jsonl`");
    } else if reader.context().is_some_and(|context| !(context.has_file)(path)) {
        reader.warning(node.at, "there is no such file").expected("relative to the policy");
    }
}

/// No classifier of this version is told about hazards in words, so none has passed any examples.
fn check_mode(reader: &mut Reader<'_>, entry: Entry<'_>, fields: &Fields<'_>) {
    let what = format!("`{}` is in shadow", shorten(entry.key));
    let mode = shadow::read(reader, fields, &what, "recorded, never acted upon");
    if mode != Some(Mode::Shadow) {
        let at = fields.get("mode").map_or(entry.at, |node| node.at);
        reader
            .error(at, format!("`{}` cannot be enforced yet", shorten(entry.key)))
            .expected("no classifier has passed its examples")
            .help("say `mode: shadow`");
    }
}
