//! Exemptions.

use std::collections::HashMap;
use std::sync::Arc;

use classifiers_core::Direction;

use crate::document::{Node, Place};
use crate::exemption::LONGEST_DAYS;
use crate::format::EXEMPTION;
use crate::glob::Glob;
use crate::policy::Floors;
use crate::reader::{Fields, Reader, shorten};
use crate::{Action, Exemption};

use super::hazards::{self, Written};
use super::{floors, units, words};

/// An end nearer than this is worth a word.
const SOON_DAYS: i32 = 14;

/// Reads `exemptions`.
pub(super) fn read(
    reader: &mut Reader<'_>,
    node: &Node,
    table: &Written,
    floors: &Floors,
) -> Vec<Exemption> {
    let items = match &node.value {
        crate::document::Value::List(list) if list.is_empty() => return Vec::new(),
        _ => reader.list(node, "`exemptions`").unwrap_or_default(),
    };
    let mut lines = HashMap::new();
    let mut exemptions = Vec::new();
    for item in items {
        let Some(exemption) = exemption(reader, item, table, floors) else { continue };
        if let Some(line) = lines.insert(Arc::clone(&exemption.id), item.at.line) {
            reader
                .error(item.at, format!("two exemptions are called `{}`", exemption.id))
                .help(format!("the other is on line {line}; give each its own id"));
        }
        exemptions.push(exemption);
    }
    exemptions
}

/// Every part is read, whatever is wrong with the others.
fn exemption(
    reader: &mut Reader<'_>,
    node: &Node,
    table: &Written,
    floors: &Floors,
) -> Option<Exemption> {
    let fields = reader.fields(node, &EXEMPTION)?;
    let id = text(reader, &fields, "id", "records name it, such as `EX-7`");
    let key = text(reader, &fields, "key", "say whose API key it is for");
    let hazard = text(reader, &fields, "hazard", "say which hazard it is about")
        .and_then(|(name, at)| hazards::category(reader, name, at, &[]));
    let directions = fields
        .require(reader, "where", "a list of `input`, `output`, `tools`")
        .map(|node| directions(reader, node));
    let action = fields
        .require(reader, "action", "say what is done instead, such as `allow`")
        .and_then(|node| {
            let action = reader.word(node, "`action`", &words(Action::ALL, Action::name))?;
            Some((action, node.at))
        });
    let why = text(reader, &fields, "why", "say why, for whoever reads it in a year");
    let approved_by = text(reader, &fields, "approved_by", "say who approved it");
    let expires = fields
        .require(reader, "expires", "say its last day, at most 90 days ahead")
        .and_then(|node| units::date(reader, node, "`expires`"));
    let (id, at) = id?;
    if !super::is_plain(id) {
        reader
            .error(at, format!("`{}` cannot be an exemption's id", shorten(id)))
            .expected(super::PLAIN);
    }
    let (action, action_at) = action?;
    let exemption = Exemption {
        id: Arc::from(id),
        key: Glob::new(key?.0),
        hazard: hazard?,
        directions: directions?,
        action,
        why: why?.0.to_owned(),
        approved_by: approved_by?.0.to_owned(),
        expires: expires?,
    };
    check_strength(reader, &exemption, action_at, table, floors);
    let at = fields.get("expires").map_or(node.at, |node| node.at);
    check_end(reader, &exemption, at);
    Some(exemption)
}

fn text<'n>(
    reader: &mut Reader<'_>,
    fields: &Fields<'n>,
    key: &str,
    help: &str,
) -> Option<(&'n str, Place)> {
    let node = fields.require(reader, key, help)?;
    Some((reader.text(node, &format!("`{key}`"))?, node.at))
}

fn directions(reader: &mut Reader<'_>, node: &Node) -> Vec<Direction> {
    let known = words(Direction::ALL, Direction::name);
    let items = reader.list(node, "`where`").unwrap_or_default();
    items.iter().filter_map(|item| reader.word(item, "`where`", &known)).collect()
}

/// It must weaken something, and no floor.
fn check_strength(
    reader: &mut Reader<'_>,
    exemption: &Exemption,
    at: Place,
    table: &Written,
    floors: &Floors,
) {
    let rule = table.of(exemption.hazard).compile();
    for direction in &exemption.directions {
        let floor = floors.get(exemption.hazard).map(|floor| *floor.actions.get(*direction));
        if let Some(least) = floor.filter(|least| exemption.action < *least) {
            floors::weaker(reader, at, exemption.hazard, *direction, least);
        }
    }
    if exemption.directions.iter().all(|d| exemption.action >= *rule.actions.get(*d)) {
        reader
            .warning(at, format!("`{}` changes nothing", exemption.id))
            .expected("the rule outside of profiles asks for no more than this");
    }
}

fn check_end(reader: &mut Reader<'_>, exemption: &Exemption, at: Place) {
    let Some(today) = reader.today() else { return };
    let left = exemption.days_left(today);
    let id = &exemption.id;
    if left < 0 {
        reader
            .error(at, format!("`{id}` ended {} days ago", -left))
            .expected("it has no effect any more")
            .help("remove it, or have it approved again");
    } else if left > LONGEST_DAYS {
        reader
            .error(at, format!("`{id}` ends in {left} days"))
            .expected(format!("at most {LONGEST_DAYS} days ahead; until then it has no effect"))
            .help("what is needed for longer is a rule or a profile");
    } else if left <= SOON_DAYS {
        reader.warning(at, format!("`{id}` ends in {left} days"));
    }
}
