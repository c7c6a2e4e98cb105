//! From the log into the tables.

use std::collections::HashMap;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use proxy_audit::{
    Abandoned, Acted, Action, Check, CheckStatus, Closed, Entry, Examined, Follower, Opened, Place,
    ReadError, Record, Revealed, Reviewed, Ruling,
};
use rusqlite::{Connection, Transaction, TransactionBehavior, params};
use uuid::Uuid;

use crate::error::IndexError;
use crate::found::Progress;
use crate::index::Index;
use crate::packed::{self, Score};
use crate::query::Field;
use crate::resume::{Pending, Position, keep_pending, keep_position, kept_position, pending};
use crate::review;
use crate::sql;

/// Records that one transaction takes in at most: so long others wait who want to write.
const RECORDS: u64 = 20_000;

/// Between two transactions, so that others come in who want to write.
const GIVE_WAY: Duration = Duration::from_millis(1);

/// From this score on a finding is noteworthy. The record says from there on where it stands.
const NOTEWORTHY: f32 = 0.4;

/// A failure of either side.
enum Trouble {
    Sql(rusqlite::Error),
    Log(ReadError),
    /// Others read the file all the time.
    InUse,
}

impl From<rusqlite::Error> for Trouble {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<ReadError> for Trouble {
    fn from(error: ReadError) -> Self {
        Self::Log(error)
    }
}

impl Index {
    /// Takes in what was added to the log since. If the log is not the one that was read before (it was put back or
    /// replaced), everything is read anew. `progress` is told now and then. A line that is no sound record is passed
    /// over: [`Index::unsound`] says so.
    ///
    /// # Errors
    /// [`IndexError::Log`] if the log cannot be read; what comes before that is taken in.
    pub fn catch_up(&self, mut progress: impl FnMut(Progress)) -> Result<Progress, IndexError> {
        let mut all = Progress::default();
        loop {
            let part = self.part(&mut self.writer())?;
            all = Progress { seq: part.seq, records: all.records + part.records };
            progress(all);
            if part.records < RECORDS {
                return Ok(all);
            }
            thread::sleep(GIVE_WAY);
        }
    }

    /// The same, as far as that goes in about the time of `patience`, also where another thread is at it. Says whether
    /// all of the log is taken in.
    ///
    /// # Errors
    /// As [`Index::catch_up`].
    pub fn catch_up_soon(&self, patience: Duration) -> Result<bool, IndexError> {
        let until = Instant::now() + patience;
        while Instant::now() < until {
            let part = self.try_writer().map(|mut writer| self.part(&mut writer)).transpose()?;
            if part.is_some_and(|part| part.records < RECORDS) {
                return Ok(true);
            }
            thread::sleep(GIVE_WAY);
        }
        Ok(false)
    }

    /// Takes in so many records as one transaction does.
    fn part(&self, writer: &mut Connection) -> Result<Progress, IndexError> {
        match self.forget(writer) {
            // Somebody reads it just now; what is left in the file's log goes with the next removal.
            Ok(()) | Err(Trouble::InUse) => {}
            Err(trouble) => return Err(self.error(trouble)),
        }
        match self.take_in(writer).map_err(|trouble| self.error(trouble))? {
            (part, None) => Ok(part),
            (_, Some(error)) => Err(IndexError::Log(error)),
        }
    }

    /// Forgets what was removed from the log, so that nothing of its texts is left in the file: not in what was deleted,
    /// and not in SQLite's own log.
    ///
    /// # Errors
    /// [`IndexError::InUse`] if somebody reads the file all the time, so that its log cannot be emptied;
    /// [`IndexError::Log`] if the log cannot be read.
    pub fn purge(&self) -> Result<(), IndexError> {
        let writer = self.writer();
        let purged = self.forget(&writer).and_then(|()| purge(&writer));
        purged.map_err(|trouble| self.error(trouble))
    }

    /// Forgets everything and reads the log anew.
    ///
    /// # Errors
    /// As [`Index::catch_up`].
    pub fn rebuild(&self, progress: impl FnMut(Progress)) -> Result<Progress, IndexError> {
        let emptied = self.writer().execute_batch(EMPTY);
        emptied.map_err(|error| self.unusable(error))?;
        self.catch_up(progress)
    }

    fn error(&self, trouble: Trouble) -> IndexError {
        match trouble {
            Trouble::Sql(error) => self.unusable(error),
            Trouble::Log(error) => IndexError::Log(error),
            Trouble::InUse => IndexError::InUse { path: self.path().into() },
        }
    }

    /// One transaction's worth of records, and what was wrong with the one after them.
    fn take_in(&self, writer: &mut Connection) -> Result<(Progress, Option<ReadError>), Trouble> {
        let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let position = self.resumed(&transaction)?;
        let mut follower = Follower::from(&self.log, position.map_or(Place::START, |p| p.next))?;
        let mut intake =
            Intake { sql: &transaction, open: pending(&transaction)?, names: HashMap::new() };
        let (mut done, mut last, mut trouble) = (0, position, None);
        while done < RECORDS {
            match follower.next_placed() {
                Ok(Some((place, entry))) => {
                    intake.entry(place, &entry)?;
                    let Entry { seq, hash, .. } = entry;
                    last = Some(Position { next: follower.place(), last: place, seq, hash });
                    done += 1;
                }
                Ok(None) => break,
                Err(ReadError::Damaged(fault)) => {
                    let at = params![fault.segment, fault.offset.cast_signed()];
                    transaction.execute("INSERT OR IGNORE INTO unsound VALUES (?, ?)", at)?;
                    last = last.map(|last| Position { next: follower.place(), ..last });
                    done += 1;
                }
                Err(error) => {
                    trouble = Some(error);
                    break;
                }
            }
        }
        let Intake { open, .. } = intake;
        if done > 0 {
            keep_pending(&transaction, &open)?;
            keep_position(&transaction, last)?;
        }
        transaction.commit()?;
        Ok((Progress { seq: last.map_or(0, |last| last.seq), records: done }, trouble))
    }

    /// Forgets decisions whose records were removed from the log.
    fn forget(&self, sql: &Connection) -> Result<(), Trouble> {
        let first = Follower::first(&self.log)?.place().segment.cast_signed();
        let oldest: Option<i64> =
            sql.query_row("SELECT min(seq) FROM decisions", [], |row| row.get(0))?;
        if oldest.is_some_and(|oldest| oldest < first) {
            sql.execute_batch(&format!(
                "BEGIN IMMEDIATE;
                 DELETE FROM texts WHERE rowid IN (SELECT seq FROM decisions WHERE seq < {first} AND keep IS NOT NULL);
                 DELETE FROM tags WHERE seq IN (SELECT seq FROM decisions WHERE seq < {first});
                 DELETE FROM reviews WHERE decision IN (SELECT id FROM decisions WHERE seq < {first});
                 DELETE FROM reveals WHERE decision IN (SELECT id FROM decisions WHERE seq < {first});
                 DELETE FROM decisions WHERE seq < {first};
                 DELETE FROM acts WHERE seq < {first};
                 DELETE FROM unsound WHERE segment < '{first:020}';
                 COMMIT;"
            ))?;
            purge(sql)?;
        }
        Ok(())
    }

    /// Where to go on; nothing if everything is to be read, because the log is not what it was.
    fn resumed(&self, sql: &Transaction<'_>) -> Result<Option<Position>, Trouble> {
        let Some(position) = kept_position(sql)? else { return Ok(None) };
        let same = match position.last.read(&self.log) {
            Ok(entry) => entry.seq == position.seq && entry.hash == position.hash,
            Err(ReadError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => false,
            Err(ReadError::Io { source, .. }) if source.kind() == io::ErrorKind::UnexpectedEof => {
                false
            }
            Err(ReadError::Damaged(_)) => false,
            Err(error) => return Err(error.into()),
        };
        if !same {
            sql.execute_batch(EMPTY)?;
            return Ok(None);
        }
        Ok(Some(position))
    }
}

/// Deleted rows leave their words in the search tables until these are put together again, and what was overwritten stays
/// in SQLite's own log until that is cut.
fn purge(sql: &Connection) -> Result<(), Trouble> {
    sql.execute_batch("INSERT INTO texts(texts) VALUES('optimize')")?;
    let is_in_use = |row: &rusqlite::Row<'_>| row.get::<_, bool>(0);
    match sql.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], is_in_use)? {
        true => Err(Trouble::InUse),
        false => Ok(()),
    }
}

const EMPTY: &str = "
DELETE FROM position; DELETE FROM names; DELETE FROM opened; DELETE FROM decisions; DELETE FROM tags;
INSERT INTO texts(texts) VALUES('delete-all');
DELETE FROM reviews; DELETE FROM reveals; DELETE FROM acts; DELETE FROM views; DELETE FROM unsound;
";

/// Records on their way into the tables.
struct Intake<'t> {
    sql: &'t Transaction<'t>,
    open: HashMap<Uuid, Pending>,
    /// Numbers of names that were needed before.
    names: HashMap<String, u16>,
}

/// What the row of a decision has beyond its opened and closed record.
struct Ending<'a> {
    id: Uuid,
    time: Timestamp,
    outcome: &'a str,
    closed: Option<&'a Closed>,
}

impl Intake<'_> {
    fn entry(&mut self, place: Place, entry: &Entry) -> rusqlite::Result<()> {
        match &entry.record {
            Record::Opened(opened) => self.opened(place, opened),
            Record::Released(released) => self.noted(place, released.id),
            Record::Examined(examined) => self.examined(place, examined),
            Record::Closed(closed) => {
                let (id, time, outcome) = (closed.id, closed.time, closed.outcome.as_str());
                let ending = Ending { id, time, outcome, closed: Some(&**closed) };
                return self.ended(place, entry.seq, &ending);
            }
            Record::Abandoned(Abandoned { id, time }) => {
                let ending = Ending { id: *id, time: *time, outcome: "abandoned", closed: None };
                return self.ended(place, entry.seq, &ending);
            }
            Record::Reviewed(reviewed) => return self.reviewed(entry.seq, reviewed),
            Record::Revealed(revealed) => return self.revealed(entry.seq, revealed),
            Record::Acted(acted) => return self.acted(entry.seq, acted),
            _ => {}
        }
        Ok(())
    }

    fn opened(&mut self, place: Place, opened: &Opened) {
        let mut pending = Pending {
            route: Some(opened.route.to_string()),
            method: Some(opened.method.to_string()),
            instance: Some(opened.instance.to_string()),
            key: opened.key.as_ref().map(ToString::to_string),
            trace: opened.trace_id.as_ref().map(ToString::to_string),
            ..Pending::default()
        };
        packed::add_place(&mut pending.places, place);
        self.open.insert(opened.id, pending);
    }

    fn noted(&mut self, place: Place, id: Uuid) {
        packed::add_place(&mut self.open.entry(id).or_default().places, place);
    }

    fn examined(&mut self, place: Place, examined: &Examined) {
        self.noted(place, examined.id);
        let texts = examined.input.iter().chain(&examined.output);
        let texts: Vec<&str> = texts.filter_map(|kept| kept.text.as_deref()).collect();
        let pending = self.open.entry(examined.id).or_default();
        pending.keep = Some(examined.keep.as_str().to_owned());
        pending.text = (!texts.is_empty()).then(|| texts.join("\n"));
    }

    fn ended(&mut self, place: Place, seq: u64, ending: &Ending<'_>) -> rusqlite::Result<()> {
        self.noted(place, ending.id);
        let pending = self.open.remove(&ending.id).unwrap_or_default();
        let rulings = ending.closed.map(rulings).unwrap_or_default();
        let scores = self.scores(&rulings)?;
        let seq = seq.cast_signed();
        self.row(seq, ending, &pending, (&rulings, &scores))?;
        self.tags(seq, &rulings)?;
        if let Some(text) = pending.text {
            let mut insert =
                self.sql.prepare_cached("INSERT INTO texts(rowid, text) VALUES (?, ?)")?;
            insert.execute(params![seq, text])?;
        }
        Ok(())
    }

    fn row(
        &self,
        seq: i64,
        ending: &Ending<'_>,
        pending: &Pending,
        (rulings, scores): (&[(bool, &Ruling)], &[Score]),
    ) -> rusqlite::Result<()> {
        let Ending { id, time, outcome, closed } = ending;
        let strongest = strongest(rulings);
        let timing = closed.map(|closed| closed.timing_ms);
        let mut insert = self.sql.prepare_cached(
            "INSERT OR REPLACE INTO decisions VALUES (
               ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, ?)",
        )?;
        insert.execute(params![
            seq,
            id.as_bytes(),
            time.as_millisecond(),
            outcome,
            strongest_action(rulings.iter().map(|(_, ruling)| Some(ruling.action))),
            strongest_action(rulings.iter().map(|(_, ruling)| ruling.would)),
            closed.map(|closed| closed.mode.as_str()),
            closed.map(|closed| closed.status),
            closed.and_then(|closed| closed.reason.as_deref()),
            closed.is_some_and(|closed| closed.stream),
            pending.route,
            pending.method,
            pending.instance,
            pending.key,
            closed.and_then(|closed| closed.key_name.as_deref()),
            pending.trace,
            closed.and_then(|closed| closed.model.as_deref()),
            closed.and_then(|closed| closed.policy.as_deref()),
            closed.and_then(|closed| closed.profile.as_deref()),
            strongest.map(|(category, _)| category),
            strongest.map(|(_, score)| f64::from(score)),
            packed::scores(scores),
            timing.map(|timing| timing.total),
            timing.map(|timing| timing.guard_input + timing.guard_output),
            timing.map(|timing| timing.upstream),
            pending.keep,
            pending.places,
        ])?;
        Ok(())
    }

    fn tags(&self, seq: i64, rulings: &[(bool, &Ruling)]) -> rusqlite::Result<()> {
        let mut insert = self.sql.prepare_cached("INSERT OR IGNORE INTO tags VALUES (?, ?, ?)")?;
        let mut tag =
            |field: Field, name: &str| insert.execute(params![sql::tag(field), name, seq]);
        for (_, ruling) in rulings {
            for because in &ruling.because {
                tag(Field::Hazard, because)?;
            }
            for exemption in &ruling.exemptions {
                tag(Field::Exemption, exemption)?;
            }
            for language in &ruling.languages {
                tag(Field::Language, language)?;
            }
            for check in &ruling.checks {
                if check.status != CheckStatus::Ok {
                    tag(Field::Failed, &check.name)?;
                }
                if check.scores.iter().any(|(_, score)| *score >= NOTEWORTHY) {
                    tag(Field::Classifier, &check.name)?;
                }
            }
        }
        Ok(())
    }

    fn scores(&mut self, rulings: &[(bool, &Ruling)]) -> rusqlite::Result<Vec<Score>> {
        let mut scores = Vec::new();
        for (output, ruling) in rulings {
            for Check { name, scores: found, .. } in &ruling.checks {
                let classifier = self.name(name)?;
                for (category, score) in found.iter().filter(|(_, score)| score.is_finite()) {
                    let (category, output) = (self.name(category)?, *output);
                    let units = (score.clamp(0.0, 1.0) * packed::UNITS).round() as u16;
                    scores.push(Score { classifier, category, output, units });
                }
            }
        }
        Ok(scores)
    }

    /// The number of a name. There are some tens: classifiers and categories.
    fn name(&mut self, name: &str) -> rusqlite::Result<u16> {
        if let Some(known) = self.names.get(name) {
            return Ok(*known);
        }
        self.sql.execute("INSERT OR IGNORE INTO names(name) VALUES (?)", [name])?;
        let id =
            self.sql.query_row("SELECT id FROM names WHERE name = ?", [name], |row| row.get(0))?;
        self.names.insert(name.to_owned(), id);
        Ok(id)
    }

    fn reviewed(&self, seq: u64, reviewed: &Reviewed) -> rusqlite::Result<()> {
        review::take_in(self.sql, seq, reviewed)
    }

    fn revealed(&self, seq: u64, revealed: &Revealed) -> rusqlite::Result<()> {
        let at: Vec<&str> = revealed.at.iter().map(AsRef::as_ref).collect();
        let mut insert =
            self.sql.prepare_cached("INSERT INTO reveals VALUES (?, ?, ?, ?, ?, ?)")?;
        for decision in &revealed.decisions {
            let (seq, time) = (seq.cast_signed(), revealed.time.as_millisecond());
            let at = at.join("\n");
            insert.execute(params![
                seq,
                decision.as_bytes(),
                time,
                revealed.by,
                at,
                revealed.why
            ])?;
        }
        Ok(())
    }

    fn acted(&self, seq: u64, acted: &Acted) -> rusqlite::Result<()> {
        let about = acted.about.iter().map(|(name, value)| format!("{name}\u{1f}{value}"));
        let about = about.collect::<Vec<_>>().join("\u{1e}");
        let time = acted.time.as_millisecond();
        self.sql
            .prepare_cached("INSERT OR REPLACE INTO acts VALUES (?, ?, ?, ?, ?)")?
            .execute(params![seq.cast_signed(), time, acted.by, acted.act, about])?;
        review::view(self.sql, acted)
    }
}

/// The rulings of a record, and whether each is about the answer.
fn rulings(closed: &Closed) -> Vec<(bool, &Ruling)> {
    let both = [(false, &closed.input), (true, &closed.output)];
    both.into_iter().filter_map(|(output, ruling)| Some((output, ruling.as_ref()?))).collect()
}

fn strongest_action(actions: impl Iterator<Item = Option<Action>>) -> Option<&'static str> {
    let rank = |action: &Action| Action::ALL.iter().position(|known| known == action);
    actions.flatten().max_by_key(rank).map(Action::as_str)
}

/// The category that scored most, and how much.
fn strongest<'r>(rulings: &[(bool, &'r Ruling)]) -> Option<(&'r str, f32)> {
    let checks = rulings.iter().flat_map(|(_, ruling)| &ruling.checks);
    let scores = checks.flat_map(|check| check.scores.iter());
    let numbers = scores.filter(|(_, score)| score.is_finite());
    let strongest = numbers.max_by(|(_, a), (_, b)| a.total_cmp(b))?;
    Some((&**strongest.0, *strongest.1))
}
