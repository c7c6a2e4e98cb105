//! Decisions as lines of a file to take along: the same from the command line and from the page.

use proxy_audit::{Action, Keep};

use crate::found::Row;
use crate::visible::{visible, visible_json};

/// The first line of a table of decisions.
pub const CSV_HEADER: &str = "time,id,outcome,action,would,mode,hazards,category,score,status,reason,stream,method,route,model,policy,profile,key,key_name,instance,trace,total_ms,guard_ms,upstream_ms,keep,review";

/// A decision as JSON on one line.
#[must_use]
pub fn json_line(row: &Row) -> String {
    visible_json(&serde_json::to_string(row).unwrap_or_default())
}

/// A decision as a line of a table, without its end. No cell is a formula to any spreadsheet.
#[must_use]
pub fn csv_line(row: &Row) -> String {
    let text = |value: &Option<String>| cell(&visible(value.as_deref().unwrap_or_default()));
    let number = |value: Option<f32>| value.map(|value| value.to_string()).unwrap_or_default();
    let word = |value: Option<&'static str>| value.unwrap_or_default().to_owned();
    [
        row.time.to_string(),
        row.id.to_string(),
        cell(&visible(&row.outcome)),
        word(row.action.map(Action::as_str)),
        word(row.would.map(Action::as_str)),
        text(&row.mode),
        cell(&visible(&row.hazards.join(" "))),
        text(&row.category),
        number(row.score),
        row.status.map(|status| status.to_string()).unwrap_or_default(),
        text(&row.reason),
        row.stream.to_string(),
        text(&row.method),
        text(&row.route),
        text(&row.model),
        text(&row.policy),
        text(&row.profile),
        text(&row.key),
        text(&row.key_name),
        text(&row.instance),
        text(&row.trace),
        number(row.total_ms),
        number(row.guard_ms),
        number(row.upstream_ms),
        word(row.keep.map(Keep::as_str)),
        text(&row.review),
    ]
    .join(",")
}

/// A cell: quoted, and with an apostrophe before whatever a spreadsheet would compute, full-width signs too.
fn cell(text: &str) -> String {
    let signs = ['=', '+', '-', '@', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}'];
    let computed = text.trim_start().starts_with(signs) || text.starts_with(['\t', '\r', '\n']);
    let apostrophe = if computed { "'" } else { "" };
    format!("\"{apostrophe}{}\"", text.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::cell;

    #[test]
    fn no_cell_is_computed() {
        for text in
            ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n1", "＝1+1", "  ＠A1", " -2"]
        {
            assert!(cell(text).starts_with("\"'"), "{text}");
        }
        assert_eq!(cell("say \"a\", b"), "\"say \"\"a\"\", b\"");
        assert_eq!(cell("plain"), "\"plain\"");
    }
}
