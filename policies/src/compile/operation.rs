//! Limits, and what happens when a check fails.

use std::sync::Arc;
use std::time::Duration;

use classifiers_core::Direction;

use crate::document::Node;
use crate::format::{BLOCKED, INSTEAD, Key, LIMITS, ON_FAILURE};
use crate::policy::{ByDirection, Floors, OnFailure};
use crate::reader::{Fields, Reader};
use crate::{Action, BlockedBudget, Limits};

use super::{units, words};

/// What can be done without a verdict: nothing was found that could be cut out.
const ACTIONS: [Action; 3] = [Action::Block, Action::Flag, Action::Allow];

/// A small classifier answers in tens of milliseconds; a large one on a loaded GPU within this.
const TIMEOUT: Duration = Duration::from_millis(1500);
/// Below this no classifier answers at all; above it people have given up waiting.
const TIMEOUTS: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(10)..=Duration::from_secs(60);

/// Reads `limits`.
pub(super) fn limits(reader: &mut Reader<'_>, node: &Node) -> Limits {
    let Some(fields) = reader.fields(node, &LIMITS) else { return Limits::default() };
    let mut quota = |key: &str| {
        fields.get(key).and_then(|node| units::quota(reader, node, &format!("`{key}`")))
    };
    let (requests, tokens) = (quota("requests"), quota("tokens"));
    let blocked = fields.get("blocked").and_then(|node| blocked(reader, node));
    Limits { requests, tokens, blocked }
}

fn blocked(reader: &mut Reader<'_>, node: &Node) -> Option<BlockedBudget> {
    let fields = reader.fields(node, &BLOCKED)?;
    let allow = fields
        .require(reader, "allow", "say how many blocks are nothing special, such as `5/10min`")
        .and_then(|node| units::quota(reader, node, "`allow`"));
    let pause = fields
        .require(reader, "then", "say what happens after that, such as `pause 15min`")
        .and_then(|node| units::pause(reader, node, "`then`"));
    Some(BlockedBudget { allow: allow?, pause: pause? })
}

/// Reads `on_failure`; what is not said blocks.
pub(super) fn on_failure(
    reader: &mut Reader<'_>,
    node: Option<&Node>,
    floors: &Floors,
) -> OnFailure {
    let actions = ByDirection::all(Action::Block);
    let mut result = OnFailure { actions, timeout: TIMEOUT, instead: Vec::new() };
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
            report_open(reader, node, direction, action, floors);
        }
        *result.actions.get_mut(direction) = action;
    }
    audit(reader, &fields);
    if let Some(timeout) =
        fields.get("timeout").and_then(|node| units::duration(reader, node, "`timeout`", TIMEOUTS))
    {
        result.timeout = timeout;
    }
    if let Some(node) = fields.get("instead") {
        result.instead = instead(reader, node);
    }
    result
}

/// Reads who judges in whose place.
fn instead(reader: &mut Reader<'_>, node: &Node) -> Vec<(Arc<str>, Vec<Arc<str>>)> {
    let Some(fields) = reader.fields(node, &INSTEAD) else { return Vec::new() };
    let checks = INSTEAD.keys.iter().filter_map(|key| Some((key, fields.get(key.name)?)));
    checks.map(|(key, node)| (key.name.into(), rungs(reader, node, key))).collect()
}

fn rungs(reader: &mut Reader<'_>, node: &Node, key: &Key) -> Vec<Arc<str>> {
    let (check, what) = (key.name, format!("an entry of `{}`", key.name));
    let choices: Vec<_> = key.kind.words().iter().map(|name| (*name, *name)).collect();
    let mut rungs: Vec<Arc<str>> = Vec::new();
    for node in reader.list(node, &format!("`{check}`")).unwrap_or_default() {
        let Some(name) = reader.word(node, &what, &choices) else { continue };
        if rungs.iter().any(|known| **known == *name) {
            reader
                .error(node.at, format!("`{name}` judges instead of `{check}` twice"))
                .help("who has given no verdict once is not asked again: leave one out");
            continue;
        }
        rungs.push(name.into());
    }
    rungs
}

fn report_open(
    reader: &mut Reader<'_>,
    node: &Node,
    direction: Direction,
    action: Action,
    floors: &Floors,
) {
    if floors.0.iter().any(|(_, floor)| *floor.actions.get(direction) > action) {
        reader
            .warning(
                node.at,
                format!("{direction} does not pass when a check fails, whatever is said here"),
            )
            .expected("`never_below` has a floor there, which an absent verdict does not lift");
    } else {
        reader
            .warning(node.at, format!("{direction} passes unchecked when a check fails"))
            .expected(format!("`{action}` opens the gate; `block` keeps it closed"));
    }
}

/// There is one answer: no record, no reply.
fn audit(reader: &mut Reader<'_>, fields: &Fields<'_>) {
    let Some(node) = fields.get("audit") else { return };
    reader.word(node, "`audit`", &[(Action::Block.name(), ())]);
}
