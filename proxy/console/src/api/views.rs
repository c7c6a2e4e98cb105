//! Filters that somebody gave a name.

use proxy_index::{Query, VIEW_REMOVED, VIEW_SAVED};
use serde::Deserialize;
use serde_json::json;

use super::Asking;
use crate::respond::{Problem, Reply};

/// Longest name, in characters.
const NAME: usize = 60;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    name: String,
    filter: String,
}

/// `GET /api/views`
pub(super) fn list(asking: &Asking<'_>, _: &[&str]) -> Result<Reply, Problem> {
    Ok(Reply::json(&json!({ "views": asking.console.index.views()? })))
}

/// `POST /api/views`
pub(super) fn save(asking: &Asking<'_>, _: &[&str]) -> Result<Reply, Problem> {
    let Named { name, filter } = asking.request.json()?;
    let name = name.trim().to_owned();
    if name.is_empty() || name.chars().count() > NAME || name.chars().any(char::is_control) {
        return Err(Problem::wrong(format!("A name has 1 to {NAME} characters.")));
    }
    let filter = filter.parse::<Query>()?.to_string();
    asking.console.act(asking.user(), VIEW_SAVED, [("name", name), ("filter", filter)])?;
    list(asking, &[])
}

/// `DELETE /api/views/NAME`
pub(super) fn remove(asking: &Asking<'_>, path: &[&str]) -> Result<Reply, Problem> {
    let name = path.get(1).copied().unwrap_or_default().to_owned();
    asking.console.act(asking.user(), VIEW_REMOVED, [("name", name)])?;
    list(asking, &[])
}
