//! What people say about decisions, and who looks at which.

use jiff::{SignedDuration, Timestamp};
use proxy_audit::{Acted, Assessment, Reviewed};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params, params_from_iter};
use uuid::Uuid;

use crate::error::IndexError;
use crate::found::{Act, Agreement, Reveal, Review, Row, View};
use crate::index::Index;
use crate::lists::{self, COLUMNS, time};
use crate::query::Query;
use crate::sql::Selected;

/// The act by which a filter is given a name: `about` says `name` and `filter`.
pub const VIEW_SAVED: &str = "view_saved";
/// The act by which such a name is taken away: `about` says `name`.
pub const VIEW_REMOVED: &str = "view_removed";

/// What a decision's reviewers say together.
const DISPUTED: &str = "disputed";

impl Index {
    /// What people said about the decision `id`, oldest first.
    ///
    /// # Errors
    /// [`IndexError::Unusable`] if the file cannot be read.
    pub fn reviews(&self, id: Uuid) -> Result<Vec<Review>, IndexError> {
        self.read(|sql| history(sql, id))
    }

    /// The decisions of the act `act`, which may have been about many: what taking it back is about.
    ///
    /// # Errors
    /// As [`Index::reviews`].
    pub fn decisions_of(&self, act: Uuid) -> Result<Vec<Uuid>, IndexError> {
        self.read(|sql| {
            let mut statement =
                sql.prepare_cached("SELECT decision FROM reviews WHERE act = ? ORDER BY entry")?;
            let ids =
                statement.query_map([act.as_bytes()], |row| Ok(Uuid::from_bytes(row.get(0)?)))?;
            ids.collect()
        })
    }

    /// Gives `reviewer` the oldest decision that `query` means, that nobody else has on the desk, and about which
    /// `reviewer` has not said anything. It stays on their desk for `lease`, or until [`Index::clear_desk`]. Asked again,
    /// the same reviewer gets the next one and gives the one before back.
    ///
    /// # Errors
    /// As [`Index::reviews`].
    pub fn assign(
        &self,
        query: &Query,
        reviewer: &str,
        lease: SignedDuration,
    ) -> Result<Option<Row>, IndexError> {
        let now = Timestamp::now();
        let selected = Selected::of(query, now);
        let until = now
            .as_millisecond()
            .saturating_add(i64::try_from(lease.as_millis()).unwrap_or(i64::MAX));
        let mut writer = self.writer();
        let assigned = assign(&mut writer, selected, reviewer, (now.as_millisecond(), until));
        assigned.map_err(|error| self.unusable(error))
    }

    /// Takes the decision `id` on `reviewer`'s desk for `lease`, as if it had been assigned. False: somebody else has it.
    ///
    /// # Errors
    /// As [`Index::reviews`].
    pub fn take(
        &self,
        id: Uuid,
        reviewer: &str,
        lease: SignedDuration,
    ) -> Result<bool, IndexError> {
        let now = Timestamp::now().as_millisecond();
        let until = now.saturating_add(i64::try_from(lease.as_millis()).unwrap_or(i64::MAX));
        let taken = self.writer().execute(
            "INSERT INTO desks VALUES (?1, ?2, ?3) ON CONFLICT (decision) DO UPDATE SET reviewer = ?2, until = ?3
             WHERE reviewer = ?2 OR until <= ?4",
            params![id.as_bytes(), reviewer, until, now],
        );
        taken.map(|count| count > 0).map_err(|error| self.unusable(error))
    }

    /// Gives back everything that `reviewer` has on the desk.
    ///
    /// # Errors
    /// As [`Index::reviews`].
    pub fn clear_desk(&self, reviewer: &str) -> Result<(), IndexError> {
        let cleared = self.writer().execute("DELETE FROM desks WHERE reviewer = ?", [reviewer]);
        cleared.map(drop).map_err(|error| self.unusable(error))
    }

    /// Who has the decision `id` on the desk, and until when.
    ///
    /// # Errors
    /// As [`Index::reviews`].
    pub fn on_desk(&self, id: Uuid) -> Result<Option<(String, Timestamp)>, IndexError> {
        let now = Timestamp::now().as_millisecond();
        self.read(|sql| {
            sql.prepare_cached(
                "SELECT reviewer, until FROM desks WHERE decision = ? AND until > ?",
            )?
            .query_row(params![id.as_bytes(), now], |row| Ok((row.get(0)?, time(row.get(1)?))))
            .optional()
        })
    }

    /// About how many decisions a verdict of `reviewer` stands that was given at `since` or later.
    ///
    /// # Errors
    /// As [`Index::reviews`].
    pub fn said_since(&self, reviewer: &str, since: Timestamp) -> Result<u64, IndexError> {
        self.read(|sql| {
            let text = "SELECT count(DISTINCT decision) FROM reviews
                WHERE reviewer = ? AND time >= ? AND stands AND verdict IS NOT NULL";
            let count: i64 = sql
                .prepare_cached(text)?
                .query_row(params![reviewer, since.as_millisecond()], |row| row.get(0))?;
            Ok(count.cast_unsigned())
        })
    }

    /// Whether the first two reviewers of a decision agree, over those that `query` means.
    ///
    /// # Errors
    /// As [`Index::reviews`].
    pub fn agreement(&self, query: &Query) -> Result<Agreement, IndexError> {
        let selected = Selected::of(query, Timestamp::now());
        let pairs = self.read(|sql| pairs(sql, &selected))?;
        Ok(agreement(&pairs))
    }

    /// Filters that were given a name, by name.
    ///
    /// # Errors
    /// As [`Index::reviews`].
    pub fn views(&self) -> Result<Vec<View>, IndexError> {
        self.read(|sql| {
            let mut statement =
                sql.prepare_cached("SELECT name, filter, reviewer, time FROM views ORDER BY name")?;
            let views = statement.query_map([], |row| {
                let (name, filter, by) = (row.get(0)?, row.get(1)?, row.get(2)?);
                Ok(View { name, filter, by, time: time(row.get(3)?) })
            })?;
            views.collect()
        })
    }

    /// The newest `limit` acts of people that are about no decision.
    ///
    /// # Errors
    /// As [`Index::reviews`].
    pub fn acts(&self, limit: usize) -> Result<Vec<Act>, IndexError> {
        self.read(|sql| {
            let text = "SELECT seq, time, reviewer, act, about FROM acts ORDER BY seq DESC LIMIT ?";
            let mut statement = sql.prepare_cached(text)?;
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let acts = statement.query_map([limit], |row| {
                let about: String = row.get(4)?;
                let pairs = about.split('\u{1e}').filter_map(|pair| pair.split_once('\u{1f}'));
                let about = pairs.map(|(name, value)| (name.into(), value.into())).collect();
                let seq = row.get::<_, i64>(0)?.cast_unsigned();
                Ok(Act { seq, time: time(row.get(1)?), by: row.get(2)?, act: row.get(3)?, about })
            })?;
            acts.collect()
        })
    }
}

/// Takes in what somebody said; what they said before does not stand any more, unless this takes back what came between.
pub(crate) fn take_in(sql: &Connection, seq: u64, reviewed: &Reviewed) -> rusqlite::Result<()> {
    let mut before = sql.prepare_cached(
        "UPDATE reviews SET stands = 0 WHERE decision = ? AND reviewer = ? AND stands",
    )?;
    let mut insert = sql.prepare_cached(
        "INSERT INTO reviews(seq, decision, act, time, reviewer, verdict, category, comment, undoes, stands)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 1)",
    )?;
    for decision in &reviewed.decisions {
        before.execute(params![decision.as_bytes(), reviewed.by])?;
        insert.execute(params![
            seq.cast_signed(),
            decision.as_bytes(),
            reviewed.act.as_bytes(),
            reviewed.time.as_millisecond(),
            reviewed.by,
            reviewed.verdict.map(Assessment::as_str),
            reviewed.category,
            reviewed.comment,
            reviewed.undoes.as_ref().map(Uuid::as_bytes),
        ])?;
        if reviewed.undoes.is_some() && reviewed.verdict.is_none() {
            restore(sql, *decision, &reviewed.by)?;
        }
        sum_up(sql, *decision)?;
    }
    Ok(())
}

/// Lets a reviewer's last verdict stand again that nothing takes back, where there is one.
fn restore(sql: &Connection, decision: Uuid, reviewer: &str) -> rusqlite::Result<()> {
    let mut said = sql.prepare_cached(
        "SELECT entry, act, undoes, verdict IS NOT NULL FROM reviews WHERE decision = ? AND reviewer = ? ORDER BY entry DESC",
    )?;
    let mut said = said.query(params![decision.as_bytes(), reviewer])?;
    // From the last on: what takes something back may be taken back itself, by what comes later.
    let mut undone: Vec<[u8; 16]> = Vec::new();
    while let Some(row) = said.next()? {
        let (entry, act): (i64, [u8; 16]) = (row.get(0)?, row.get(1)?);
        if undone.contains(&act) {
            continue;
        }
        undone.extend(row.get::<_, Option<[u8; 16]>>(2)?);
        if row.get(3)? {
            return sql
                .prepare_cached(
                    "UPDATE reviews SET stands = (entry = ?3) WHERE decision = ?1 AND reviewer = ?2",
                )?
                .execute(params![decision.as_bytes(), reviewer, entry])
                .map(drop);
        }
    }
    Ok(())
}

/// Writes what a decision's reviewers say together into its row.
fn sum_up(sql: &Connection, decision: Uuid) -> rusqlite::Result<()> {
    let mut said = sql.prepare_cached(
        "SELECT DISTINCT verdict FROM reviews WHERE decision = ? AND stands AND verdict IS NOT NULL",
    )?;
    let verdicts = said.query_map([decision.as_bytes()], |row| row.get(0))?;
    let verdicts: Vec<String> = verdicts.collect::<rusqlite::Result<_>>()?;
    let review = match verdicts.as_slice() {
        [] => None,
        [one] => Some(one.as_str()),
        _ => Some(DISPUTED),
    };
    sql.prepare_cached("UPDATE decisions SET review = ? WHERE id = ?")?
        .execute(params![review, decision.as_bytes()])?;
    Ok(())
}

/// Takes in what an act says about named filters, if it does.
pub(crate) fn view(sql: &Connection, acted: &Acted) -> rusqlite::Result<()> {
    let about = |name: &str| acted.about.get(name).map(AsRef::as_ref).unwrap_or_default();
    match acted.act.as_ref() {
        VIEW_SAVED => sql.execute(
            "INSERT OR REPLACE INTO views VALUES (?, ?, ?, ?)",
            params![about("name"), about("filter"), acted.by, acted.time.as_millisecond()],
        ),
        VIEW_REMOVED => sql.execute("DELETE FROM views WHERE name = ?", [about("name")]),
        _ => Ok(0),
    }
    .map(drop)
}

pub(crate) fn history(sql: &Connection, id: Uuid) -> rusqlite::Result<Vec<Review>> {
    let mut statement = sql.prepare_cached(
        "SELECT seq, act, time, reviewer, verdict, category, comment, undoes, stands
         FROM reviews WHERE decision = ? ORDER BY entry",
    )?;
    let reviews = statement.query_map([id.as_bytes()], |row| {
        let verdict: Option<String> = row.get(4)?;
        let undoes: Option<[u8; 16]> = row.get(7)?;
        Ok(Review {
            seq: row.get::<_, i64>(0)?.cast_unsigned(),
            act: Uuid::from_bytes(row.get(1)?),
            time: time(row.get(2)?),
            by: row.get(3)?,
            verdict: verdict.as_deref().and_then(assessment),
            category: row.get(5)?,
            comment: row.get(6)?,
            undoes: undoes.map(Uuid::from_bytes),
            stands: row.get(8)?,
        })
    })?;
    reviews.collect()
}

fn assessment(word: &str) -> Option<Assessment> {
    Assessment::ALL.iter().copied().find(|known| known.as_str() == word)
}

pub(crate) fn reveals(sql: &Connection, id: Uuid) -> rusqlite::Result<Vec<Reveal>> {
    let mut statement = sql.prepare_cached(
        "SELECT time, reviewer, at, why FROM reveals WHERE decision = ? ORDER BY seq",
    )?;
    let reveals = statement.query_map([id.as_bytes()], |row| {
        let at: String = row.get(2)?;
        let at = at.split('\n').filter(|at| !at.is_empty()).map(str::to_owned).collect();
        Ok(Reveal { time: time(row.get(0)?), by: row.get(1)?, at, why: row.get(3)? })
    })?;
    reveals.collect()
}

/// One transaction, so that no two reviewers are given the same.
fn assign(
    writer: &mut Connection,
    mut selected: Selected,
    reviewer: &str,
    (now, until): (i64, i64),
) -> rusqlite::Result<Option<Row>> {
    let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
    selected.and("decisions.id NOT IN (SELECT decision FROM desks WHERE until > ?)", [now.into()]);
    selected.and(
        "decisions.id NOT IN (SELECT decision FROM reviews WHERE stands AND verdict IS NOT NULL AND reviewer = ?)",
        [reviewer.to_owned().into()],
    );
    let Selected { from, filter, values } = &selected;
    let text =
        format!("SELECT {COLUMNS} FROM {from} WHERE {filter} ORDER BY decisions.seq LIMIT 1");
    let found = transaction
        .prepare_cached(&text)?
        .query_row(params_from_iter(values), lists::row)
        .optional()?;
    transaction
        .execute("DELETE FROM desks WHERE reviewer = ? OR until <= ?", params![reviewer, now])?;
    if let Some(row) = &found {
        transaction.execute(
            "INSERT INTO desks VALUES (?, ?, ?)",
            params![row.id.as_bytes(), reviewer, until],
        )?;
    }
    let hazards = found.as_ref().map(|row| lists::hazards(&transaction, row.seq)).transpose()?;
    transaction.commit()?;
    Ok(found.map(|row| Row { hazards: hazards.unwrap_or_default(), ..row }))
}

/// What the first two reviewers of each decision say.
fn pairs(sql: &Connection, selected: &Selected) -> rusqlite::Result<Vec<(String, String)>> {
    let Selected { from, filter, values } = selected;
    let text = format!(
        "SELECT decision, verdict FROM reviews WHERE stands AND verdict IS NOT NULL
         AND decision IN (SELECT id FROM {from} WHERE {filter}) ORDER BY decision, entry"
    );
    let mut statement = sql.prepare_cached(&text)?;
    let said = statement.query_map(params_from_iter(values), |row| {
        Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, String>(1)?))
    })?;
    let said = said.collect::<rusqlite::Result<Vec<_>>>()?;
    let together = said.chunk_by(|(one, _), (other, _)| one == other);
    let pairs = together.filter_map(|said| match said {
        [(_, first), (_, second), ..] => Some((first.clone(), second.clone())),
        _ => None,
    });
    Ok(pairs.collect())
}

/// Cohen's kappa of pairs of verdicts.
fn agreement(pairs: &[(String, String)]) -> Agreement {
    let (decisions, same) = (pairs.len(), pairs.iter().filter(|(a, b)| a == b).count());
    let all = decisions as f64;
    let share = |count: usize| count as f64 / all;
    let chance: f64 = Assessment::ALL
        .iter()
        .map(|word| {
            let first = pairs.iter().filter(|(first, _)| first == word.as_str()).count();
            let second = pairs.iter().filter(|(_, second)| second == word.as_str()).count();
            share(first) * share(second)
        })
        .sum();
    let kappa = (decisions > 0 && chance < 1.0).then(|| (share(same) - chance) / (1.0 - chance));
    Agreement { decisions: decisions as u64, same: same as u64, kappa }
}
