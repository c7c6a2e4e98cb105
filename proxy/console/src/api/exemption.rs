//! A draft of an exemption, for the policy's owner to review. Nothing here writes a policy.

use classifiers_core::Category;
use jiff::civil::Date;
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use super::{Asking, detail};
use crate::draft;
use crate::respond::{Problem, Reply};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    id: Uuid,
    hazard: String,
    expires: String,
    why: String,
}

/// `POST /api/exemption`
pub(super) fn draft(asking: &Asking<'_>, _: &[&str]) -> Result<Reply, Problem> {
    let Wanted { id, hazard, expires, why } = asking.request.json()?;
    let found = detail::find(asking, id)?;
    let hazard: Category =
        hazard.parse().map_err(|_| Problem::wrong("Only a category can be exempt."))?;
    let expires: Date =
        expires.parse().map_err(|_| Problem::wrong("Until when? A day such as 2026-12-24."))?;
    let key = found
        .row
        .key_name
        .or(found.row.key)
        .ok_or_else(|| Problem::wrong("The decision has no key."))?;
    let closed = found.entries.iter().find_map(|entry| match &entry.record {
        proxy_audit::Record::Closed(closed) => Some(&**closed),
        _ => None,
    });
    let sides = detail::sides(closed);
    let about = |(_, _, ruling): &&(_, _, &proxy_audit::Ruling)| {
        ruling.because.iter().any(|name| name == hazard.name())
    };
    let places: Vec<String> =
        sides.iter().filter(about).map(|(_, direction, _)| direction.to_string()).collect();
    let document = asking.console.rules.document().map_err(Problem::wrong)?;
    let policy = asking.console.rules.policy();
    let number = policy
        .exemptions()
        .iter()
        .filter_map(|one| one.id.strip_prefix("EX-")?.parse::<u32>().ok())
        .max();
    let why =
        if why.trim().is_empty() { format!("Decision {id}: say why it should pass.") } else { why };
    let item = [
        format!("id: EX-{}", number.unwrap_or(0) + 1),
        format!("key: {}", quoted(&key)),
        format!("hazard: {}", hazard.name()),
        format!(
            "where: [{}]",
            if places.is_empty() { "input".to_owned() } else { places.join(", ") }
        ),
        "action: allow".to_owned(),
        format!("why: {}", quoted(&why)),
        format!("approved_by: {}", quoted("who approves it")),
        format!("expires: {expires}"),
    ];
    let after = draft::with_exemption(&document.text, &item);
    let problem = asking.console.rules.compile(&after, &document.file).err();
    Ok(Reply::json(&json!({
        "diff": draft::difference(&document.file, &document.text, &after),
        "problem": problem.map(|_| "As it stands this draft is no valid policy: `portcullis check` says why."),
    })))
}

/// A value in YAML's double quotes, which are those of JSON.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
