//! When requests go to the model server.

use classifiers_core::{Category, Direction};

use crate::document::Place;
use crate::policy::Floors;
use crate::profile::Hazards;
use crate::reader::{Fields, Reader};
use crate::{Action, Forward};

use super::words;

/// Reads `forward`; what is not said is as in `base`.
pub(super) fn read(reader: &mut Reader<'_>, fields: &Fields<'_>, base: Forward) -> Forward {
    let Some(node) = fields.get("forward") else { return base };
    let choices = words(Forward::ALL, Forward::name);
    let forward = reader.word(node, "`forward`", &choices).unwrap_or(base);
    if forward == Forward::Race {
        reader.warning(node.at, "the model server gets texts before they are judged").expected(
            "it may see what is then blocked; the caller gets nothing before the verdict",
        );
    }
    forward
}

/// Reports rules that cut something out of a request that has gone already.
pub(super) fn report_redactions(
    reader: &mut Reader<'_>,
    (forward, at): (Forward, Place),
    hazards: &Hazards,
    floors: &Floors,
) {
    let redacts = |category: Category, direction: Direction| {
        let floor = floors.get(category).map(|floor| *floor.actions.get(direction));
        let rule = *hazards.get(category).actions.get(direction);
        rule == Action::Redact || floor == Some(Action::Redact)
    };
    let cells = Category::ALL.into_iter().flat_map(|category| {
        [Direction::Input, Direction::Tools].map(|direction| (category, direction))
    });
    if forward == Forward::Race
        && let Some((category, direction)) = cells.into_iter().find(|cell| redacts(cell.0, cell.1))
    {
        reader
            .error(at, format!("`forward: race` cannot redact {category} at {direction}"))
            .expected("what is cut out of a request must be known before it goes")
            .help("`block` or `flag` it there, or `forward: after_verdict`");
    }
}
