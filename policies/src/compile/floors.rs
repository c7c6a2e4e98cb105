//! Floors that nothing else can weaken.

use classifiers_core::{Category, Direction};

use crate::Action;
use crate::document::{Node, Place, Value};
use crate::format::FLOOR;
use crate::policy::{ByDirection, Floor, Floors};
use crate::reader::Reader;

use super::hazards::{self, Line, Written};

/// Reads `never_below`; a floor counts from the score on that the hazard table says, unless it says another.
pub(super) fn read(reader: &mut Reader<'_>, node: &Node, table: &Written) -> Floors {
    let mut floors = Floors::default();
    for entry in reader.entries(node, "`never_below`").unwrap_or_default() {
        let Some(category) = hazards::category(reader, entry.key, entry.at, &[]) else { continue };
        if matches!(entry.value.value, Value::Null) {
            reader
                .error(entry.at, format!("`{}` says nothing", entry.key))
                .help("say what may never be undercut, such as `{ output: block }`");
            continue;
        }
        let Some(fields) = reader.fields(entry.value, &FLOOR) else { continue };
        let sensitivity = fields.get("sensitivity").and_then(|n| hazards::sensitivity(reader, n));
        let cells = hazards::cells(reader, &fields, Some(category));
        let line = table.of(category);
        let floor = Floor {
            sensitivity: sensitivity.unwrap_or_else(|| line.compile().sensitivity),
            actions: ByDirection::build(|d| cells.get(d).map_or(Action::Allow, |(a, _)| a)),
        };
        report_weaker(reader, category, &floor, &line, entry.at);
        floors.0.push((category, floor));
    }
    floors
}

/// Reports every cell of `line` that is weaker than the floor; `at` is where it is said if not in the line.
pub(super) fn report_weaker(
    reader: &mut Reader<'_>,
    category: Category,
    floor: &Floor,
    line: &Line,
    at: Place,
) {
    for direction in Direction::ALL {
        let least = *floor.actions.get(direction);
        let cell = *line.actions.get(direction);
        let (action, at) = cell.unwrap_or((Action::Block, at));
        if action < least {
            weaker(reader, at, category, direction, least);
        }
    }
}

/// Reports something weaker than a floor.
pub(super) fn weaker(
    reader: &mut Reader<'_>,
    at: Place,
    category: Category,
    direction: Direction,
    least: Action,
) {
    reader
        .error(at, format!("{category} at {direction} is weaker than `never_below` allows"))
        .expected(format!("`{least}` at least"))
        .help("raise it, or have the owner of the policy change the floor");
}
