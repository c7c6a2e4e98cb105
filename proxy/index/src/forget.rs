//! Taking out of the tables what is not in the log any more.

use proxy_audit::Follower;

use crate::error::IndexError;
use crate::found::Progress;
use crate::index::{Index, Writer};
use crate::intake::Trouble;
use crate::resume;
use crate::review;
use crate::schema::{EMPTY, EMPTY_FILE};
use crate::store::{Sql, StoreError, Stored};

impl Index {
    /// Forgets what was removed from the log, so that nothing of its texts is left in the file: not in what was deleted,
    /// and not in SQLite's own log. PostgreSQL uses the room again.
    ///
    /// # Errors
    /// [`IndexError::InUse`] if somebody reads the file all the time, so that its log cannot be emptied;
    /// [`IndexError::Log`] if the log cannot be read.
    pub fn purge(&self) -> Result<(), IndexError> {
        let (name, mut writer) = (self.name()?, self.writer()?);
        let purged = match self.forget(&mut writer, &name) {
            Ok(false) => purge(&mut writer),
            done => done.map(drop),
        };
        purged.map_err(|trouble| self.error(trouble))
    }

    /// Forgets everything of this log and reads it anew.
    ///
    /// # Errors
    /// As [`Index::catch_up`].
    pub fn rebuild(&self, progress: impl FnMut(Progress)) -> Result<Progress, IndexError> {
        let name = self.name()?;
        self.write(|sql| {
            sql.at_once(|sql| {
                let log = resume::log(sql, &name)?;
                empty(sql, log)
            })
        })?;
        self.catch_up(progress)
    }

    /// Forgets decisions whose records were removed from the log; says whether there were any.
    pub(crate) fn forget(&self, writer: &mut Writer<'_>, name: &str) -> Result<bool, Trouble> {
        let first = Follower::first(&self.log)?.place().segment;
        let oldest =
            "SELECT min(record) FROM decisions WHERE log = (SELECT id FROM logs WHERE name = ?)";
        let oldest = writer.change(|sql| sql.row(oldest, &[name.into()]))?;
        let oldest = oldest.and_then(|mut row| row.some_int());
        if oldest.is_none_or(|oldest| oldest.cast_unsigned() >= first) {
            return Ok(false);
        }
        writer.change(|sql| {
            sql.at_once(|sql| {
                let log = resume::log(sql, name)?;
                forget_said(sql, log, first)?;
                forget_before(sql, log, Some(first))?;
                let text = "DELETE FROM unsound WHERE log = ? AND segment < ?";
                sql.run(text, &[log.into(), format!("{first:020}").into()]).map(drop)
            })
        })?;
        purge(writer)?;
        Ok(true)
    }
}

/// Rids the store of what was deleted.
fn purge(writer: &mut Writer<'_>) -> Result<(), Trouble> {
    let is_in_use = writer.change(|sql| {
        let (purge, in_use) = sql.dialect().purge();
        sql.batch(purge)?;
        let Some(in_use) = in_use else { return Ok::<_, StoreError>(false) };
        Ok(sql.row(in_use, &[])?.is_some_and(|mut row| row.flag()))
    })?;
    if is_in_use { Err(Trouble::InUse) } else { Ok(()) }
}

/// Takes out the decisions of a log before a record, or all of them, with what was taken from their records.
fn forget_before(sql: &mut dyn Sql, log: i64, before: Option<u64>) -> Stored<()> {
    let before = before.map(|before| format!(" AND record < {before}")).unwrap_or_default();
    let old = format!("log = ?{before}");
    let dialect = sql.dialect();
    let number = dialect.text_row();
    let mut texts = vec![
        format!(
            "DELETE FROM texts WHERE {number} IN (SELECT seq FROM decisions WHERE {old} AND keep IS NOT NULL)"
        ),
        format!("DELETE FROM tags WHERE seq IN (SELECT seq FROM decisions WHERE {old})"),
        format!("DELETE FROM decisions WHERE {old}"),
        format!("DELETE FROM acts WHERE {old}"),
    ];
    if dialect.keeps_records() {
        texts.push(format!("DELETE FROM records WHERE {old}"));
    }
    texts.iter().try_for_each(|text| sql.run(text, &[log.into()]).map(drop))
}

/// Takes out what was said about decisions that are about to be forgotten, wherever it was said.
fn forget_said(sql: &mut dyn Sql, log: i64, before: u64) -> Stored<()> {
    for about in ["reviews", "reveals"] {
        let text = format!(
            "DELETE FROM {about} WHERE decision IN (SELECT id FROM decisions WHERE log = ? AND record < {before})"
        );
        sql.run(&text, &[log.into()])?;
    }
    Ok(())
}

/// Takes a log out, and what people recorded in it.
pub(crate) fn empty(sql: &mut dyn Sql, log: i64) -> Stored<()> {
    if !sql.dialect().keeps_records() {
        return sql.batch(EMPTY_FILE);
    }
    let reviewed =
        sql.rows("SELECT DISTINCT decision FROM reviews WHERE log = ?", &[log.into()])?;
    forget_before(sql, log, None)?;
    EMPTY.iter().try_for_each(|text| sql.run(text, &[log.into()]).map(drop))?;
    // What was said about decisions of other logs.
    reviewed.into_iter().try_for_each(|mut row| review::sum_up(sql, row.id()))
}
