//! A draft of an exemption, for the policy's owner to review. Nothing here writes a policy.

use classifiers_core::Category;
use jiff::civil::Date;
use policies::Policy;
use proxy_audit::Ruling;
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
    let wanted: Wanted = asking.request.json()?;
    let item = item(asking, &wanted)?;
    let rules = &asking.console.rules;
    let document = rules.document().map_err(Problem::wrong)?;
    let after = draft::with_exemption(&document.text, &item);
    let problem = rules.compile(&after, &document.file).err();
    Ok(Reply::json(&json!({
        "diff": draft::difference(&document.file, &document.text, &after),
        "problem": problem.map(|_| "As it stands this draft is no valid policy: `portcullis check` says why."),
    })))
}

/// The lines of the exemption: for the decision's key, and where the hazard led to something.
fn item(asking: &Asking<'_>, wanted: &Wanted) -> Result<Vec<String>, Problem> {
    let wrong = |what: &str| Problem::wrong(what);
    let found = detail::find(asking, wanted.id)?;
    let hazard: Category =
        wanted.hazard.parse().map_err(|_| wrong("Only a category can be exempt."))?;
    let expires: Date =
        wanted.expires.parse().map_err(|_| wrong("Until when? A day such as 2026-12-24."))?;
    let key = found.row.key_name.as_ref().or(found.row.key.as_ref());
    let key = key.ok_or_else(|| wrong("The decision has no key."))?;
    let sides = detail::sides(detail::closed(&found));
    let about = |ruling: &Ruling| ruling.because.iter().any(|name| name == hazard.name());
    let places: Vec<String> = sides
        .iter()
        .filter(|(_, _, ruling)| about(ruling))
        .map(|(_, direction, _)| direction.to_string())
        .collect();
    let places = if places.is_empty() { "input".to_owned() } else { places.join(", ") };
    let why = match wanted.why.trim() {
        "" => format!("Decision {}: say why it should pass.", wanted.id),
        why => why.to_owned(),
    };
    Ok(vec![
        format!("id: EX-{}", next_number(&asking.console.rules.policy())),
        format!("key: {}", quoted(key)),
        format!("hazard: {}", hazard.name()),
        format!("where: [{places}]"),
        "action: allow".to_owned(),
        format!("why: {}", quoted(&why)),
        format!("approved_by: {}", quoted("who approves it")),
        format!("expires: {expires}"),
    ])
}

fn next_number(policy: &Policy) -> u32 {
    let numbers = policy.exemptions().iter();
    let numbers = numbers.filter_map(|one| one.id.strip_prefix("EX-")?.parse::<u32>().ok());
    numbers.max().unwrap_or(0).saturating_add(1)
}

/// A value in YAML's double quotes, which are those of JSON.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
