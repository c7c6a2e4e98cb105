//! Everything about one decision.

use proxy_audit::{Entry, Fault, ReadError, Record};
use uuid::Uuid;

use crate::error::IndexError;
use crate::found::{Detail, Reveal, Review, Row};
use crate::index::Index;
use crate::lists::{self, COLUMNS};
use crate::packed;
use crate::review;
use crate::store::{Sql, Stored};

/// What the tables have about a decision.
struct Known {
    row: Row,
    places: Vec<u8>,
    /// Its records, if they are kept.
    lines: Option<Vec<String>>,
    reviews: Vec<Review>,
    reveals: Vec<Reveal>,
}

impl Index {
    /// Everything about the decision `id`: its records are read from the log itself, or from an index of many logs, and
    /// the hash of each is checked. `None` if the index does not know it.
    ///
    /// # Errors
    /// [`IndexError::Unusable`] if it cannot be read, [`IndexError::Log`] if a record is not what was written.
    pub fn detail(&self, id: Uuid) -> Result<Option<Detail>, IndexError> {
        let Some(known) = self.read(|sql| known(sql, id))? else { return Ok(None) };
        let Known { row, places, lines, reviews, reveals } = known;
        let entries: Vec<Result<Entry, ReadError>> = match lines {
            Some(lines) => lines.iter().map(|line| read(line)).collect(),
            None => packed::each_place(&places).map(|place| place.read(&self.log)).collect(),
        };
        let mut detail =
            Detail { row, entries: Vec::new(), texts: None, removed: 0, reviews, reveals };
        for entry in entries {
            match entry {
                Ok(entry) => match entry.record {
                    Record::Examined(texts) => detail.texts = Some(*texts),
                    _ => detail.entries.push(entry),
                },
                Err(ReadError::Io { source, .. })
                    if source.kind() == std::io::ErrorKind::NotFound =>
                {
                    detail.removed += 1;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Some(detail))
    }
}

/// A record as the index has it.
fn read(line: &str) -> Result<Entry, ReadError> {
    Entry::from_line(line.as_bytes()).map_err(|problem| {
        let segment = "the index's copy".to_owned();
        let fault = Fault { segment, line: None, offset: 0, seq: None, problem };
        ReadError::Damaged(Box::new(fault))
    })
}

fn known(sql: &mut dyn Sql, id: Uuid) -> Stored<Option<Known>> {
    let text = format!("SELECT places, {COLUMNS} FROM decisions WHERE id = ?");
    let Some(mut found) = sql.row(&text, &[id.into()])? else { return Ok(None) };
    let (places, mut row) = (found.bytes(), lists::row(found));
    row.hazards = lists::hazards(sql, row.seq)?;
    let lines = match sql.dialect().keeps_records() {
        true => {
            let text = "SELECT line FROM records WHERE decision = ? ORDER BY log, record";
            let lines = sql.rows(text, &[id.into()])?;
            Some(lines.into_iter().map(|mut row| row.text()).collect())
        }
        false => None,
    };
    let (reviews, reveals) = (review::history(sql, id)?, review::reveals(sql, id)?);
    Ok(Some(Known { row, places, lines, reviews, reveals }))
}
