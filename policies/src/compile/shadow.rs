//! `mode`, and since when.

use jiff::civil::Date;

use crate::Mode;
use crate::exemption::days_between;
use crate::reader::{Fields, Reader};

use super::{units, words};

/// Longer than this nobody is trying something out any more.
const LONGEST_DAYS: i32 = 30;

/// Reads `mode` and `since`; `what` is in shadow then, which means `meaning`.
pub(super) fn read(
    reader: &mut Reader<'_>,
    fields: &Fields<'_>,
    what: &str,
    meaning: &str,
) -> Option<Mode> {
    let since = fields.get("since").and_then(|node| units::date(reader, node, "`since`"));
    let node = fields.get("mode");
    let mode = node.and_then(|node| reader.word(node, "`mode`", &words(Mode::ALL, Mode::name)));
    if let (Some(node), Some(Mode::Shadow)) = (node, mode) {
        reader.warning(node.at, what).expected(meaning);
    } else if let Some(entry) = fields.entry("since") {
        reader
            .error(entry.at, "`since` belongs to `mode: shadow`")
            .help("remove it, or say `mode: shadow`");
    }
    if let (Some(entry), Some(since), Some(today)) = (fields.entry("since"), since, reader.today())
    {
        report_age(reader, entry.at, since, today);
    }
    mode
}

fn report_age(reader: &mut Reader<'_>, at: crate::document::Place, since: Date, today: Date) {
    let days = days_between(since, today);
    if days > LONGEST_DAYS {
        reader
            .warning(at, format!("in shadow for {days} days"))
            .expected(format!("after {LONGEST_DAYS} days a trial is a habit"))
            .help("enforce it, or remove it");
    } else if days < 0 {
        reader.warning(at, "`since` is in the future");
    }
}
