//! Profiles: differences from the rules.

use std::sync::Arc;

use classifiers_core::Category;

use crate::document::{Node, Place};
use crate::format::PROFILE;
use crate::policy::Floors;
use crate::profile::{Hazards, Profile};
use crate::reader::{Entry, Fields, Reader, shorten};
use crate::{Forward, Mode, Policy, Streaming};

use super::hazards::{self, Line, Written};
use super::{floors, forward, shadow, streaming};

/// What a profile differs from.
pub(super) struct Base<'b> {
    pub(super) table: &'b Written,
    pub(super) floors: &'b Floors,
    pub(super) mode: Mode,
    pub(super) streaming: Streaming,
    pub(super) forward: Forward,
}

/// A profile with the name's place.
pub(super) struct Named<'n> {
    pub(super) entry: Option<Entry<'n>>,
    pub(super) profile: Profile,
}

/// `base`, of which `forward` is said at `at`, and the profiles of `node`.
pub(super) fn read<'n>(
    reader: &mut Reader<'_>,
    (node, at): (Option<&'n Node>, Place),
    base: &Base<'_>,
) -> Vec<Named<'n>> {
    let rules = Profile {
        name: Arc::from(Policy::BASE),
        mode: base.mode,
        hazards: base.table.compile(),
        streaming: base.streaming,
        forward: base.forward,
    };
    forward::report_redactions(reader, (base.forward, at), &rules.hazards, base.floors);
    let mut profiles = vec![Named { entry: None, profile: rules }];
    let entries = node.and_then(|node| reader.entries(node, "`profiles`"));
    for entry in entries.unwrap_or_default() {
        check_name(reader, entry);
        let Some(fields) = reader.fields(entry.value, &PROFILE) else { continue };
        let profile = profile(reader, entry, &fields, base);
        profiles.push(Named { entry: Some(entry), profile });
    }
    profiles
}

fn check_name(reader: &mut Reader<'_>, entry: Entry<'_>) {
    if entry.key == Policy::BASE {
        reader
            .error(entry.at, "`base` is the name of the rules outside of profiles")
            .help("give the profile another name");
    } else if !super::is_plain(entry.key) {
        reader
            .error(entry.at, format!("`{}` cannot be a profile's name", shorten(entry.key)))
            .expected(super::PLAIN);
    }
}

fn profile(
    reader: &mut Reader<'_>,
    entry: Entry<'_>,
    fields: &Fields<'_>,
    base: &Base<'_>,
) -> Profile {
    if let Some(node) = fields.get("about") {
        reader.text(node, "`about`");
    }
    let what = format!("the profile `{}` is in shadow", shorten(entry.key));
    let mode =
        shadow::read(reader, fields, &what, "nothing is blocked but what `never_below` says");
    let sensitivity = fields.get("sensitivity").and_then(|n| hazards::sensitivity(reader, n));
    let own = lines(reader, fields);
    let general = Line { sensitivity, ..Line::default() };
    let line = |category: Category| {
        let own = own.iter().find(|(known, _)| *known == category).map(|(_, line)| *line);
        own.unwrap_or_default().over(general).over(base.table.of(category))
    };
    for (category, floor) in &base.floors.0 {
        if let Some((_, own)) = own.iter().find(|(known, _)| known == category) {
            // What the profile does not say itself was reported where it is said.
            floors::report_weaker(reader, *category, floor, own, entry.at);
        }
    }
    let streaming = match fields.get("streaming") {
        Some(node) => streaming::read(reader, node, base.streaming),
        None => base.streaming,
    };
    let forward = forward::read(reader, fields, base.forward);
    let hazards = Hazards::new(|category| line(category).compile());
    if fields.get("forward").is_some() || !own.is_empty() {
        forward::report_redactions(reader, (forward, entry.at), &hazards, base.floors);
    }
    Profile {
        name: Arc::from(entry.key),
        mode: mode.unwrap_or(base.mode),
        hazards,
        streaming,
        forward,
    }
}

fn lines(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Vec<(Category, Line)> {
    let Some(node) = fields.get("hazards") else { return Vec::new() };
    let entries = reader.entries(node, "`hazards`").unwrap_or_default();
    let read = entries.into_iter().filter_map(|entry| {
        if entry.key == hazards::DEFAULTS {
            reader.error(entry.at, "a profile has no `defaults`").help(
                "`sensitivity` beside `hazards` is for every hazard; actions are said one by one",
            );
            return None;
        }
        let category = hazards::category(reader, entry.key, entry.at, &[])?;
        Some((category, hazards::line(reader, entry, Some(category))?))
    });
    read.collect()
}
