//! What is kept of the texts.

use crate::document::Node;
use crate::format::{AUDIT, KEEP, REVEAL, REVIEW, Table};
use crate::reader::{Fields, Reader};
use crate::{ByOutcome, Retention, TextRetention};

use super::{hazards, units, words};

/// Reads `audit`.
pub(super) fn read(reader: &mut Reader<'_>, node: &Node) -> Retention {
    let mut retention = Retention::default();
    let Some(fields) = reader.fields(node, &AUDIT) else { return retention };
    if let Some(node) = fields.get("text") {
        let texts = words(TextRetention::ALL, TextRetention::name);
        retention.text = reader.word(node, "`text`", &texts).unwrap_or_default();
    }
    if let Some(node) = fields.get("redact") {
        let names = reader.texts(node, "`redact`");
        for (name, at) in &names {
            if !matches!(*name, "secrets" | "personal_data") {
                reader
                    .warning(*at, format!("no shipped detector says where in a text {name} is"))
                    .expected("keeps no text that it cannot mask")
                    .help("only secrets and personal_data are found with exact places");
            }
        }
        let read =
            names.into_iter().filter_map(|(name, at)| hazards::category(reader, name, at, &[]));
        retention.redact = read.collect();
    }
    let keep = by_outcome(reader, &fields, "keep", &KEEP, |reader, node, what| {
        units::days(reader, node, what)
    });
    retention.keep = keep;
    report_kept(reader, &fields);
    retention.review = by_outcome(reader, &fields, "review", &REVIEW, |reader, node, what| {
        units::share(reader, node, what)
    });
    reveal(reader, &fields, &mut retention);
    retention
}

fn report_kept(reader: &mut Reader<'_>, fields: &Fields<'_>) {
    if let Some(entry) = fields.entry("keep") {
        reader
            .warning(entry.at, "nothing is deleted by itself")
            .expected("have `portcullis audit gc` run from time to time: it deletes what is older");
    }
}

fn by_outcome<T>(
    reader: &mut Reader<'_>,
    fields: &Fields<'_>,
    key: &str,
    table: &Table,
    mut value: impl FnMut(&mut Reader<'_>, &Node, &str) -> Option<T>,
) -> ByOutcome<T> {
    let inner = fields.get(key).and_then(|node| reader.fields(node, table));
    let mut get = |outcome: &str| {
        let node = inner.as_ref().and_then(|inner| inner.get(outcome))?;
        value(reader, node, &format!("`{outcome}`"))
    };
    ByOutcome { allowed: get("allowed"), flagged: get("flagged"), blocked: get("blocked") }
}

fn reveal(reader: &mut Reader<'_>, fields: &Fields<'_>, retention: &mut Retention) {
    let Some(inner) = fields.get("reveal").and_then(|node| reader.fields(node, &REVEAL)) else {
        return;
    };
    if let Some(node) = inner.get("roles") {
        let roles = reader.texts(node, "`roles`");
        retention.reveal_roles = roles.into_iter().map(|(role, _)| role.to_owned()).collect();
    }
    if let Some(node) = inner.get("reason") {
        let choices = [("required", true), ("optional", false)];
        retention.reveal_needs_reason = reader.word(node, "`reason`", &choices).unwrap_or(true);
    }
}
