//! From the log into the tables.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use proxy_audit::{
    Abandoned, Acted, Action, Check, CheckStatus, Closed, Entry, Examined, Follower, Opened, Place,
    ReadError, Record, Revealed, Reviewed, Ruling,
};
use uuid::Uuid;

use crate::error::IndexError;
use crate::forget::empty;
use crate::found::Progress;
use crate::index::{Index, Writer};
use crate::packed::{self, Score};
use crate::query::Field;
use crate::resume::{self, Pending, Position, keep_pending, keep_position, kept_position, pending};
use crate::review;
use crate::sql;
use crate::store::{Sql, StoreError, Stored, Table, Value};

/// Records that one transaction takes in at most: so long others wait who want to write.
const RECORDS: u64 = 20_000;

/// Between two transactions, so that others come in who want to write.
const GIVE_WAY: Duration = Duration::from_millis(1);

/// From this score on a finding is noteworthy. The record says from there on where it stands.
const NOTEWORTHY: f32 = 0.4;

const DECISIONS: Table = Table {
    into: "decisions",
    row: "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
};
const TAGS: Table = Table { into: "tags", row: "(?, ?, ?)" };
const REVEALS: Table = Table { into: "reveals", row: "(?, ?, ?, ?, ?, ?, ?)" };
const KEPT: Table = Table { into: "records", row: "(?, ?, ?, ?)" };

/// A failure of either side.
pub(crate) enum Trouble {
    Store(StoreError),
    Log(ReadError),
    /// Others read the file all the time.
    InUse,
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
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
            let part = self.part(&mut self.writer()?)?;
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
            let part = self.try_writer()?.map(|mut writer| self.part(&mut writer)).transpose()?;
            if part.is_some_and(|part| part.records < RECORDS) {
                return Ok(true);
            }
            thread::sleep(GIVE_WAY);
        }
        Ok(false)
    }

    /// Takes in so many records as one transaction does.
    fn part(&self, writer: &mut Writer<'_>) -> Result<Progress, IndexError> {
        let name = self.name()?;
        match self.forget(writer, &name) {
            // Somebody reads it just now; what is left in the file's log goes with the next removal.
            Ok(_) | Err(Trouble::InUse) => {}
            Err(trouble) => return Err(self.error(trouble)),
        }
        let taken = writer.change(|sql| sql.at_once(|sql| self.take_in(sql, &name)));
        match taken.map_err(|trouble| self.error(trouble))? {
            (part, None) => Ok(part),
            (_, Some(error)) => Err(IndexError::Log(error)),
        }
    }

    /// What tells this log from others: its public key. A log alone needs no name.
    pub(crate) fn name(&self) -> Result<String, IndexError> {
        let file = self.log.join("journal.pub");
        match std::fs::read_to_string(&file) {
            Ok(key) => Ok(key.trim_end().to_owned()),
            Err(_) if !self.dialect().keeps_records() => Ok(String::new()),
            Err(source) => Err(IndexError::NoName { file, source }),
        }
    }

    pub(crate) fn error(&self, trouble: Trouble) -> IndexError {
        match trouble {
            Trouble::Store(error) => self.unusable(error),
            Trouble::Log(error) => IndexError::Log(error),
            Trouble::InUse => IndexError::InUse { place: self.place() },
        }
    }

    /// One transaction's worth of records, and what was wrong with the one after them.
    fn take_in(
        &self,
        sql: &mut dyn Sql,
        name: &str,
    ) -> Result<(Progress, Option<ReadError>), Trouble> {
        let log = resume::log(sql, name)?;
        let position = self.resumed(sql, log)?;
        let mut follower = Follower::from(&self.log, position.map_or(Place::START, |p| p.next))?;
        let mut intake = Intake::new(sql, log)?;
        let (mut done, mut last, mut trouble) = (0, position, None);
        while done < RECORDS {
            match follower.next_placed() {
                Ok(Some((place, entry))) => {
                    intake.entry((place, follower.last_line()), &entry)?;
                    let Entry { seq, hash, .. } = entry;
                    last =
                        Some(Position { next: follower.place(), last: place, record: seq, hash });
                    done += 1;
                }
                Ok(None) => break,
                Err(ReadError::Damaged(fault)) => {
                    let values = [log.into(), fault.segment.into(), fault.offset.into()];
                    intake.sql.run(
                        "INSERT INTO unsound VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                        &values,
                    )?;
                    last = last.map(|last| Position { next: follower.place(), ..last });
                    done += 1;
                }
                Err(error) => {
                    trouble = Some(error);
                    break;
                }
            }
        }
        if done > 0 {
            intake.flush()?;
            let open = intake.open;
            keep_pending(sql, log, open)?;
            last.map(|last| keep_position(sql, log, last)).transpose()?;
        }
        Ok((Progress { seq: last.map_or(0, |last| last.record), records: done }, trouble))
    }

    /// Where to go on; nothing if everything is to be read, because the log is not what it was.
    fn resumed(&self, sql: &mut dyn Sql, log: i64) -> Result<Option<Position>, Trouble> {
        let Some(position) = kept_position(sql, log)? else { return Ok(None) };
        let same = match position.last.read(&self.log) {
            Ok(entry) => entry.seq == position.record && entry.hash == position.hash,
            Err(ReadError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => false,
            Err(ReadError::Io { source, .. }) if source.kind() == io::ErrorKind::UnexpectedEof => {
                false
            }
            Err(ReadError::Damaged(_)) => false,
            Err(error) => return Err(error.into()),
        };
        if !same {
            empty(sql, log)?;
            return Ok(None);
        }
        Ok(Some(position))
    }
}

/// Records on their way into the tables.
struct Intake<'s> {
    sql: &'s mut dyn Sql,
    log: i64,
    /// The number of the next decision, where it is not that of its record.
    next: Option<i64>,
    open: HashMap<Uuid, Pending>,
    /// Numbers of names that were needed before.
    names: HashMap<String, u16>,
    added: Added,
}

/// Rows that are added together.
#[derive(Default)]
struct Added {
    ids: Vec<Uuid>,
    decisions: Vec<Vec<Value>>,
    tags: Vec<Vec<Value>>,
    texts: Vec<Vec<Value>>,
    records: Vec<Vec<Value>>,
}

/// What the row of a decision has beyond its opened and closed record.
struct Ending<'a> {
    id: Uuid,
    time: Timestamp,
    outcome: &'a str,
    closed: Option<&'a Closed>,
}

impl<'s> Intake<'s> {
    fn new(sql: &'s mut dyn Sql, log: i64) -> Stored<Self> {
        let open = pending(sql, log)?;
        let next = match sql.dialect().keeps_records() {
            true => sql.row("SELECT max(seq) FROM decisions", &[])?.map(|mut row| row.int() + 1),
            false => None,
        };
        Ok(Self { sql, log, next, open, names: HashMap::new(), added: Added::default() })
    }

    fn entry(&mut self, (place, line): (Place, &[u8]), entry: &Entry) -> Stored<()> {
        match &entry.record {
            Record::Opened(opened) => {
                self.opened(place, opened);
                self.keep(entry.seq, opened.id, line);
            }
            Record::Released(released) => {
                self.noted(place, released.id);
                self.keep(entry.seq, released.id, line);
            }
            Record::Examined(examined) => {
                self.examined(place, examined);
                self.keep(entry.seq, examined.id, line);
            }
            Record::Closed(closed) => {
                self.keep(entry.seq, closed.id, line);
                let (id, time, outcome) = (closed.id, closed.time, closed.outcome.as_str());
                let ending = Ending { id, time, outcome, closed: Some(&**closed) };
                return self.ended(place, entry.seq, &ending);
            }
            Record::Abandoned(Abandoned { id, time }) => {
                self.keep(entry.seq, *id, line);
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

    /// Keeps a record itself, where not everybody who asks has the log.
    fn keep(&mut self, record: u64, id: Uuid, line: &[u8]) {
        if self.sql.dialect().keeps_records() {
            let line = String::from_utf8_lossy(line).into_owned();
            let row = vec![self.log.into(), record.into(), id.into(), line.into()];
            self.added.records.push(row);
        }
    }

    /// Adds what was gathered.
    fn flush(&mut self) -> Stored<()> {
        let Added { ids, decisions, tags, texts, records } = std::mem::take(&mut self.added);
        self.sql.add(DECISIONS, &decisions)?;
        self.sql.add(TAGS, &tags)?;
        self.sql.add(self.sql.dialect().texts(), &texts)?;
        if !self.sql.dialect().keeps_records() {
            return Ok(());
        }
        self.sql.add(KEPT, &records)?;
        // Other logs may have been read before this one, with what was said about its decisions.
        let text = "SELECT count(*) FROM reviews WHERE decision = ?";
        for id in ids {
            if self.sql.row(text, &[id.into()])?.is_some_and(|mut row| row.count() > 0) {
                review::sum_up(self.sql, id)?;
            }
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

    fn ended(&mut self, place: Place, record: u64, ending: &Ending<'_>) -> Stored<()> {
        self.noted(place, ending.id);
        let mut pending = self.open.remove(&ending.id).unwrap_or_default();
        let rulings = ending.closed.map(rulings).unwrap_or_default();
        let scores = self.scores(&rulings)?;
        let seq = self.next.unwrap_or(record.cast_signed());
        self.next = self.next.map(|next| next + 1);
        self.tags(seq, &rulings);
        if let Some(text) = pending.text.take() {
            let text = self.sql.dialect().text(text);
            self.added.texts.push(vec![seq.into(), text.into()]);
        }
        self.row((seq, record), ending, pending, (&rulings, &scores));
        Ok(())
    }

    fn row(
        &mut self,
        (seq, record): (i64, u64),
        ending: &Ending<'_>,
        pending: Pending,
        (rulings, scores): (&[(bool, &Ruling)], &[Score]),
    ) {
        let Ending { id, time, outcome, closed } = *ending;
        let strongest = strongest(rulings);
        let timing = closed.map(|closed| closed.timing_ms);
        self.added.ids.push(id);
        self.added.decisions.push(vec![
            seq.into(),
            self.log.into(),
            record.into(),
            id.into(),
            time.as_millisecond().into(),
            outcome.into(),
            strongest_action(rulings.iter().map(|(_, ruling)| Some(ruling.action))).into(),
            strongest_action(rulings.iter().map(|(_, ruling)| ruling.would)).into(),
            closed.map(|closed| closed.mode.as_str()).into(),
            closed.map(|closed| closed.status).into(),
            closed.and_then(|closed| closed.reason.as_deref()).into(),
            closed.is_some_and(|closed| closed.stream).into(),
            pending.route.into(),
            pending.method.into(),
            pending.instance.into(),
            pending.key.into(),
            closed.and_then(|closed| closed.key_name.as_deref()).into(),
            pending.trace.into(),
            closed.and_then(|closed| closed.model.as_deref()).into(),
            closed.and_then(|closed| closed.policy.as_deref()).into(),
            closed.and_then(|closed| closed.profile.as_deref()).into(),
            strongest.map(|(category, _)| category).into(),
            strongest.map(|(_, score)| score).into(),
            packed::scores(scores).into(),
            timing.map(|timing| timing.total).into(),
            timing.map(|timing| timing.guard_input + timing.guard_output).into(),
            timing.map(|timing| timing.upstream).into(),
            pending.keep.into(),
            Value::Null,
            pending.places.into(),
        ]);
    }

    fn tags(&mut self, seq: i64, rulings: &[(bool, &Ruling)]) {
        let mut tags = BTreeSet::new();
        let mut tag = |field: Field, name: &str| tags.insert((sql::tag(field), name.to_owned()));
        for (_, ruling) in rulings {
            for because in &ruling.because {
                tag(Field::Hazard, because);
            }
            for exemption in &ruling.exemptions {
                tag(Field::Exemption, exemption);
            }
            for language in &ruling.languages {
                tag(Field::Language, language);
            }
            for check in &ruling.checks {
                if check.status != CheckStatus::Ok {
                    tag(Field::Failed, &check.name);
                }
                if check.scores.iter().any(|(_, score)| *score >= NOTEWORTHY) {
                    tag(Field::Classifier, &check.name);
                }
            }
        }
        let rows = tags.into_iter().map(|(kind, name)| vec![kind.into(), name.into(), seq.into()]);
        self.added.tags.extend(rows);
    }

    fn scores(&mut self, rulings: &[(bool, &Ruling)]) -> Stored<Vec<Score>> {
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
    fn name(&mut self, name: &str) -> Stored<u16> {
        if let Some(known) = self.names.get(name) {
            return Ok(*known);
        }
        let text = "SELECT id FROM names WHERE name = ?";
        let mut known = self.sql.row(text, &[name.into()])?;
        if known.is_none() {
            self.sql.run("INSERT INTO names(name) VALUES (?)", &[name.into()])?;
            known = self.sql.row(text, &[name.into()])?;
        }
        let id = known.map_or(0, |mut row| row.int());
        let id = u16::try_from(id).unwrap_or_default();
        self.names.insert(name.to_owned(), id);
        Ok(id)
    }

    fn reviewed(&mut self, record: u64, reviewed: &Reviewed) -> Stored<()> {
        self.flush()?;
        review::take_in(self.sql, (self.log, record), reviewed)
    }

    fn revealed(&mut self, record: u64, revealed: &Revealed) -> Stored<()> {
        let at: Vec<&str> = revealed.at.iter().map(AsRef::as_ref).collect();
        let (at, time) = (at.join("\n"), revealed.time.as_millisecond());
        let row = |decision: &Uuid| {
            vec![
                self.log.into(),
                record.into(),
                (*decision).into(),
                time.into(),
                revealed.by.as_ref().into(),
                at.as_str().into(),
                revealed.why.as_str().into(),
            ]
        };
        let rows: Vec<Vec<Value>> = revealed.decisions.iter().map(row).collect();
        self.sql.add(REVEALS, &rows)
    }

    fn acted(&mut self, record: u64, acted: &Acted) -> Stored<()> {
        let about = acted.about.iter().map(|(name, value)| format!("{name}\u{1f}{value}"));
        let about = about.collect::<Vec<_>>().join("\u{1e}");
        let values = [
            self.log.into(),
            record.into(),
            acted.time.as_millisecond().into(),
            acted.by.as_ref().into(),
            acted.act.as_ref().into(),
            about.into(),
        ];
        self.sql.run("INSERT INTO acts VALUES (?, ?, ?, ?, ?, ?)", &values)?;
        review::view(self.sql, self.log, acted)
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
