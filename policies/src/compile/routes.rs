//! Routes: who gets which profile.

use crate::Policy;
use crate::document::{Node, Place};
use crate::format::ROUTE;
use crate::glob::Glob;
use crate::reader::{Fields, Reader, shorten};
use crate::route::{Route, Subject};

use super::profiles::Named;

/// Reads `routes`; without any, everybody gets `base`.
pub(super) fn read(
    reader: &mut Reader<'_>,
    node: Option<&Node>,
    profiles: &[Named<'_>],
) -> Vec<Route> {
    let items = node.and_then(|node| reader.list(node, "`routes`")).unwrap_or_default();
    let mut routes: Vec<(Route, Place)> = Vec::new();
    for item in items {
        let Some(fields) = reader.fields(item, &ROUTE) else { continue };
        let route = Route {
            conditions: conditions(reader, &fields),
            profile: profile(reader, &fields, profiles).unwrap_or_default(),
        };
        if let Some((_, earlier)) = routes.iter().find(|(earlier, _)| earlier.covers(&route)) {
            reader
                .error(item.at, "this route is never taken")
                .expected(format!("whatever matches here has matched on line {}", earlier.line))
                .help("move it up, or remove it");
        }
        routes.push((route, item.at));
    }
    if let Some((last, at)) = routes.last()
        && !last.conditions.is_empty()
    {
        reader
            .error(*at, "the last route does not match everything")
            .help("end with `- { use: base }`, so that it is said what all others get");
    }
    report_unused(reader, &routes, profiles);
    routes.into_iter().map(|(route, _)| route).collect()
}

fn conditions(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Vec<(Subject, Glob)> {
    let mut conditions = Vec::new();
    for (key, subject) in
        [("key", Subject::Key), ("model", Subject::Model), ("path", Subject::Path)]
    {
        let text = fields.get(key).and_then(|node| reader.text(node, &format!("`{key}`")));
        conditions.extend(text.map(|text| (subject, Glob::new(text))));
    }
    let headers = fields.get("header").and_then(|node| reader.entries(node, "`header`"));
    for entry in headers.unwrap_or_default() {
        if !is_header(entry.key) {
            reader.error(entry.at, format!("`{}` is not the name of a header", shorten(entry.key)));
        }
        let text = reader.text(entry.value, "what a header must say");
        if reader.context().is_some() {
            reader
                .warning(entry.at, "callers choose their headers")
                .expected("whoever sends this one takes this route")
                .help(
                    "a key has a holder; what stands before the guard may set and strip the header",
                );
        }
        let subject = Subject::Header(entry.key.to_ascii_lowercase());
        conditions.extend(text.map(|text| (subject, Glob::new(text))));
    }
    conditions
}

pub(super) fn is_header(name: &str) -> bool {
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !name.is_empty() && name.bytes().all(token)
}

fn profile(reader: &mut Reader<'_>, fields: &Fields<'_>, profiles: &[Named<'_>]) -> Option<usize> {
    let node = fields.require(reader, "use", "say which profile, or `base`")?;
    let name = reader.text(node, "`use`")?;
    let names = profiles.iter().map(|named| &*named.profile.name);
    let found = names.clone().position(|known| known == name);
    if found.is_none() {
        reader.unknown(node.at, format!("unknown profile `{}`", shorten(name)), name, names);
    }
    found
}

fn report_unused(reader: &mut Reader<'_>, routes: &[(Route, Place)], profiles: &[Named<'_>]) {
    for (place, named) in profiles.iter().enumerate() {
        let Some(entry) = named.entry else { continue };
        if entry.key != Policy::BASE && !routes.iter().any(|(route, _)| route.profile == place) {
            reader
                .warning(
                    entry.at,
                    format!("no route leads to the profile `{}`", shorten(entry.key)),
                )
                .help("add a line to `routes`, or remove it");
        }
    }
}
