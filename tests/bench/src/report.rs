//! What is printed at the end.

use std::fmt;

use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

use crate::guard::Starts;
use crate::machine::Machine;
use crate::series::{Case, Row, Side, median};

/// The guard may use this many times the CPU of nginx, at [`MANY`] connections.
const CPU_RATIO: f64 = 3.0;
const MANY: u16 = 64;
const READY_MS: f64 = 200.0;
const IDLE_MIB: f64 = 40.0;

/// All results.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    machine: Machine,
    starts: Starts,
    rows: Vec<Row>,
}

impl Report {
    pub(crate) const fn new(machine: Machine, starts: Starts, rows: Vec<Row>) -> Self {
        Self { machine, starts, rows }
    }

    /// Answers that were not 200.
    pub(crate) fn errors(&self) -> u64 {
        self.rows.iter().map(|row| row.median.errors).sum()
    }

    /// All of it, as one document.
    pub(crate) fn json(&self) -> String {
        // Plain numbers and strings: it cannot fail.
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    fn row(&self, case: Case, side: Side) -> Option<&Row> {
        self.rows.iter().find(|row| row.case == case && row.side == side)
    }

    /// How often the guard uses the CPU that nginx does.
    fn ratio(&self, row: &Row) -> Option<f64> {
        let nginx = self.row(row.case, Side::Nginx)?.median.cpu_us_per_request;
        (row.side == Side::Guard && nginx > 0.0).then(|| row.median.cpu_us_per_request / nginx)
    }

    fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(presets::ASCII_MARKDOWN).set_header([
            "texts",
            "body",
            "conn.",
            "side",
            "req/s",
            "p50 ms",
            "p99 ms",
            "+p50 ms",
            "+p99 ms",
            "CPU us/req",
            "(rounds)",
            "x nginx",
            "switches/req",
            "MiB",
            "others",
            "errors",
        ]);
        for row in &self.rows {
            let direct = self.row(row.case, Side::Direct).map_or(row.median, |row| row.median);
            let proxy = row.side != Side::Direct;
            let if_proxy = |text: String| if proxy { text } else { String::new() };
            let median = &row.median;
            table.add_row([
                row.case.texts.to_string(),
                row.case.body.to_string(),
                row.case.connections.to_string(),
                format!("{:?}", row.side).to_lowercase(),
                format!("{:.0}", median.requests_per_second),
                format!("{:.3}", median.p50_ms),
                format!("{:.3}", median.p99_ms),
                if_proxy(format!("{:+.3}", median.p50_ms - direct.p50_ms)),
                if_proxy(format!("{:+.3}", median.p99_ms - direct.p99_ms)),
                if_proxy(format!("{:.1}", median.cpu_us_per_request)),
                if_proxy(row.spread()),
                self.ratio(row).map_or_else(String::new, |ratio| format!("{ratio:.2}")),
                if_proxy(format!("{:.2}", median.switches_per_request)),
                if_proxy(format!("{:.1}", median.resident_kib as f64 / 1024.0)),
                format!("{:.2}", median.others),
                match median.errors {
                    0 => "0".to_owned(),
                    errors => format!("!!! {errors}"),
                },
            ]);
        }
        for column in table.column_iter_mut().skip(4) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        table
    }

    fn targets(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = |met| if met { "met" } else { "MISSED" };
        for row in self.rows.iter().filter(|row| row.case.connections == MANY) {
            if let Some(ratio) = self.ratio(row) {
                let Case { texts, body, .. } = row.case;
                let verdict = verdict(ratio <= CPU_RATIO);
                writeln!(
                    f,
                    "- CPU of at most {CPU_RATIO:.0} x nginx, {body} bytes, {texts}: {ratio:.2}, {verdict}"
                )?;
            }
        }
        let slowest = self.starts.ready_ms.last().copied().unwrap_or_default();
        let idle = self.starts.idle.kib as f64 / 1024.0;
        let (ready, small) = (verdict(slowest <= READY_MS), verdict(idle <= IDLE_MIB));
        writeln!(f, "- ready within {READY_MS:.0} ms: {slowest:.0} ms at worst, {ready}")?;
        writeln!(f, "- at most {IDLE_MIB:.0} MiB resident when idle: {idle:.1} MiB, {small}")
    }
}

impl Row {
    fn spread(&self) -> String {
        let each = self.rounds.iter().map(|sample| sample.cpu_us_per_request);
        let (low, high) =
            each.fold((f64::MAX, 0.0_f64), |(low, high), value| (low.min(value), high.max(value)));
        format!("{low:.0}-{high:.0}")
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.machine)?;
        let ready = &self.starts.ready_ms;
        let (middle, most) = (median(ready.clone()), ready.last().copied().unwrap_or_default());
        let count = ready.len();
        writeln!(f, "ready:     p50 {middle:.0} ms, max {most:.0} ms of {count} starts")?;
        let idle = self.starts.idle;
        let (all, own) = (idle.kib as f64 / 1024.0, idle.own_kib as f64 / 1024.0);
        writeln!(f, "idle:      {all:.1} MiB resident, {own:.1} MiB of it its own\n")?;
        writeln!(f, "{}\n", self.table())?;
        writeln!(f, "Targets:")?;
        self.targets(f)?;
        if self.errors() > 0 {
            writeln!(f, "\n!!! {} ERRORS: answers that were not 200, or none", self.errors())?;
            for row in self.rows.iter().filter(|row| row.median.errors > 0) {
                let first = row.first_error.as_deref().unwrap_or_default();
                writeln!(f, "!!! {row}: {} errors, the first:\n{first}\n", row.median.errors)?;
            }
        }
        Ok(())
    }
}
