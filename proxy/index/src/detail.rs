//! Everything about one decision.

use proxy_audit::{ReadError, Record};
use rusqlite::{Connection, OptionalExtension};
use uuid::Uuid;

use crate::error::IndexError;
use crate::found::{Detail, Reveal, Review, Row};
use crate::index::Index;
use crate::lists::{self, COLUMNS};
use crate::packed;
use crate::review;

/// What the tables have about a decision.
struct Known {
    row: Row,
    places: Vec<u8>,
    reviews: Vec<Review>,
    reveals: Vec<Reveal>,
}

impl Index {
    /// Everything about the decision `id`: its records are read from the log itself, and the hash of each is checked.
    /// `None` if the index does not know it.
    ///
    /// # Errors
    /// [`IndexError::Unusable`] if the file cannot be read, [`IndexError::Log`] if a record is not what was written.
    pub fn detail(&self, id: Uuid) -> Result<Option<Detail>, IndexError> {
        let Some(Known { row, places, reviews, reveals }) = self.read(|sql| known(sql, id))? else {
            return Ok(None);
        };
        let mut detail =
            Detail { row, entries: Vec::new(), texts: None, removed: 0, reviews, reveals };
        for place in packed::each_place(&places) {
            match place.read(&self.log) {
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

fn known(sql: &Connection, id: Uuid) -> rusqlite::Result<Option<Known>> {
    let text = format!("SELECT {COLUMNS}, places FROM decisions WHERE id = ?");
    let found = sql
        .prepare_cached(&text)?
        .query_row([id.as_bytes()], |row| Ok((lists::row(row)?, row.get("places")?)))
        .optional()?;
    let Some((mut row, places)) = found else { return Ok(None) };
    row.hazards = lists::hazards(sql, row.seq)?;
    let (reviews, reveals) = (review::history(sql, id)?, review::reveals(sql, id)?);
    Ok(Some(Known { row, places, reviews, reveals }))
}
