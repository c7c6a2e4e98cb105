//! The demo's table.

use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use comfy_table::{Attribute, Cell, Color, ContentArrangement, Table};
use proxy_audit::{Closed, Outcome};

use super::client::Seen;
use super::scenes::Scene;
use crate::commands::audit::because;

/// The table's width where there is no terminal to ask.
const WIDTH: u16 = 120;
/// So much of a text is shown, in characters.
const EXCERPT: usize = 48;

/// One exchange as the table shows it.
pub(super) struct Row<'a> {
    scene: &'a Scene,
    seen: &'a Seen,
    record: Option<&'a Closed>,
}

impl<'a> Row<'a> {
    pub(super) const fn new(scene: &'a Scene, seen: &'a Seen, record: Option<&'a Closed>) -> Self {
        Self { scene, seen, record }
    }

    /// Whether it ended as the scene says, and has a record.
    pub(super) fn as_expected(&self) -> bool {
        self.record.is_some_and(|record| record.outcome == self.scene.expected)
    }

    fn cells(&self) -> Vec<Cell> {
        let outcome = self.record.map_or("no record", |record| record.outcome.as_str());
        let outcome = if self.as_expected() {
            outcome.to_owned()
        } else {
            format!("{outcome}, expected {}", self.scene.expected)
        };
        let decision = Cell::new(outcome).fg(self.colour()).add_attribute(Attribute::Bold);
        let why = self.record.map(because).unwrap_or_default();
        let ms = self.record.map_or(0.0, |r| r.timing_ms.guard_input + r.timing_ms.guard_output);
        vec![
            Cell::new(self.scene.title),
            Cell::new(excerpt(self.scene.tool_result.unwrap_or(self.scene.user))),
            decision,
            Cell::new(why),
            Cell::new(format!("{} {}", self.seen.status, excerpt(&self.seen.text))),
            Cell::new(format!("{ms:.2}")),
        ]
    }

    fn colour(&self) -> Color {
        match self.record.map(|record| record.outcome) {
            _ if !self.as_expected() => Color::Magenta,
            Some(Outcome::Allowed) => Color::Green,
            Some(Outcome::Flagged | Outcome::Redacted) => Color::Yellow,
            _ => Color::Red,
        }
    }
}

/// The whole table.
pub(super) fn render(rows: &[Row<'_>]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
    if !table.is_tty() {
        table.set_width(WIDTH);
    }
    table.set_header([
        "exchange",
        "what comes in",
        "decision",
        "because",
        "the client gets",
        "judged in ms",
    ]);
    for row in rows {
        table.add_row(row.cells());
    }
    table
}

fn excerpt(text: &str) -> String {
    let mut excerpt: String = text.chars().take(EXCERPT).collect();
    if excerpt.len() < text.len() {
        excerpt.push('…');
    }
    excerpt
}
