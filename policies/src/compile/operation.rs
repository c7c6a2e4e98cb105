//! Limits, and what happens when a check fails.

use std::time::Duration;

use classifiers_core::Direction;

use crate::Action;
use crate::document::Node;
use crate::policy::{ByDirection, OnFailure, Quota};
use crate::reader::{Known, Reader};

use super::{units, words};

const LIMITS: Known =
    Known { table: "`limits`", keys: &["requests"], later: &["tokens", "blocked"] };

const ON_FAILURE: Known = Known {
    table: "`on_failure`",
    keys: &["input", "output", "tools", "timeout"],
    later: &["audit"],
};

/// What can be done without a verdict: nothing was found that could be cut out.
const ACTIONS: [Action; 3] = [Action::Block, Action::Flag, Action::Allow];

/// A small classifier answers in tens of milliseconds; a large one on a loaded GPU within this.
const TIMEOUT: Duration = Duration::from_millis(1500);
/// Below this no classifier answers at all; above it people have given up waiting.
const TIMEOUTS: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(10)..=Duration::from_secs(60);

/// Reads `limits`.
pub(super) fn limits(reader: &mut Reader<'_>, node: &Node) -> Option<Quota> {
    let fields = reader.fields(node, &LIMITS)?;
    fields.get("requests").and_then(|node| units::quota(reader, node, "`requests`"))
}

/// Reads `on_failure`; what is not said blocks.
pub(super) fn on_failure(reader: &mut Reader<'_>, node: Option<&Node>) -> OnFailure {
    let mut result = OnFailure { actions: ByDirection::all(Action::Block), timeout: TIMEOUT };
    let Some(fields) = node.and_then(|node| reader.fields(node, &ON_FAILURE)) else {
        return result;
    };
    for direction in Direction::ALL {
        let Some(node) = fields.get(direction.name()) else { continue };
        let Some(action) =
            reader.word(node, &format!("`{direction}`"), &words(ACTIONS, Action::name))
        else {
            continue;
        };
        if action != Action::Block {
            reader
                .warning(node.at, format!("{direction} passes unchecked when a check fails"))
                .expected(format!("`{action}` opens the gate; `block` keeps it closed"));
        }
        *result.actions.get_mut(direction) = action;
    }
    if let Some(timeout) =
        fields.get("timeout").and_then(|node| units::duration(reader, node, "`timeout`", TIMEOUTS))
    {
        result.timeout = timeout;
    }
    result
}
