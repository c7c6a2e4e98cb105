//! What people say about decisions, and who looks at which.

use jiff::{SignedDuration, Timestamp};
use proxy_audit::{Acted, Assessment, Reviewed};
use uuid::Uuid;

use crate::error::IndexError;
use crate::found::{Act, Agreement, Reveal, Review, Row, View};
use crate::index::Index;
use crate::lists::{self, COLUMNS, time};
use crate::query::Query;
use crate::sql::Selected;
use crate::store::{Sql, Stored, Value};

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
            let text = "SELECT decision FROM reviews WHERE act = ? ORDER BY entry";
            let ids = sql.rows(text, &[act.into()])?;
            Ok(ids.into_iter().map(|mut row| row.id()).collect())
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
        let selected = self.selected(query);
        let now = Timestamp::now().as_millisecond();
        let until = now.saturating_add(i64::try_from(lease.as_millis()).unwrap_or(i64::MAX));
        // In one transaction, so that no two reviewers are given the same.
        self.write(|sql| sql.at_once(|sql| assign(sql, selected, reviewer, (now, until))))
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
        let text = "INSERT INTO desks VALUES (?, ?, ?) ON CONFLICT (decision) DO UPDATE
            SET reviewer = excluded.reviewer, until = excluded.until
            WHERE desks.reviewer = excluded.reviewer OR desks.until <= ?";
        let values = [id.into(), reviewer.into(), until.into(), now.into()];
        self.write(|sql| Ok(sql.run(text, &values)? > 0))
    }

    /// Gives back everything that `reviewer` has on the desk.
    ///
    /// # Errors
    /// As [`Index::reviews`].
    pub fn clear_desk(&self, reviewer: &str) -> Result<(), IndexError> {
        let text = "DELETE FROM desks WHERE reviewer = ?";
        self.write(|sql| sql.run(text, &[reviewer.into()]).map(drop))
    }

    /// Who has the decision `id` on the desk, and until when.
    ///
    /// # Errors
    /// As [`Index::reviews`].
    pub fn on_desk(&self, id: Uuid) -> Result<Option<(String, Timestamp)>, IndexError> {
        let now = Timestamp::now().as_millisecond();
        self.read(|sql| {
            let text = "SELECT reviewer, until FROM desks WHERE decision = ? AND until > ?";
            let found = sql.row(text, &[id.into(), now.into()])?;
            Ok(found.map(|mut row| (row.text(), time(row.int()))))
        })
    }

    /// About how many decisions a verdict of `reviewer` stands that was given at `since` or later.
    ///
    /// # Errors
    /// As [`Index::reviews`].
    pub fn said_since(&self, reviewer: &str, since: Timestamp) -> Result<u64, IndexError> {
        self.read(|sql| {
            let text = "SELECT count(DISTINCT decision) FROM reviews
                WHERE reviewer = ? AND time >= ? AND stands = 1 AND verdict IS NOT NULL";
            let count = sql.row(text, &[reviewer.into(), since.as_millisecond().into()])?;
            Ok(count.map_or(0, |mut row| row.count()))
        })
    }

    /// Whether the first two reviewers of a decision agree, over those that `query` means.
    ///
    /// # Errors
    /// As [`Index::reviews`].
    pub fn agreement(&self, query: &Query) -> Result<Agreement, IndexError> {
        let selected = self.selected(query);
        let pairs = self.read(|sql| pairs(sql, &selected))?;
        Ok(agreement(&pairs))
    }

    /// Filters that were given a name, by name.
    ///
    /// # Errors
    /// As [`Index::reviews`].
    pub fn views(&self) -> Result<Vec<View>, IndexError> {
        self.read(|sql| {
            let text = "SELECT name, filter, reviewer, time FROM views ORDER BY name";
            let views = sql.rows(text, &[])?.into_iter().map(|mut row| {
                let (name, filter, by) = (row.text(), row.text(), row.text());
                View { name, filter, by, time: time(row.int()) }
            });
            Ok(views.collect())
        })
    }

    /// The newest `limit` acts of people that are about no decision.
    ///
    /// # Errors
    /// As [`Index::reviews`].
    pub fn acts(&self, limit: usize) -> Result<Vec<Act>, IndexError> {
        self.read(|sql| {
            let text = format!(
                "SELECT record, time, reviewer, act, about FROM acts ORDER BY time DESC, record DESC LIMIT {limit}"
            );
            let acts = sql.rows(&text, &[])?.into_iter().map(|mut row| {
                let (seq, time) = (row.count(), time(row.int()));
                let (by, act, about) = (row.text(), row.text(), row.text());
                let pairs = about.split('\u{1e}').filter_map(|pair| pair.split_once('\u{1f}'));
                let about = pairs.map(|(name, value)| (name.into(), value.into())).collect();
                Act { seq, time, by, act, about }
            });
            Ok(acts.collect())
        })
    }
}

/// Takes in what somebody said; what they said before does not stand any more. What comes before what is said by the
/// order of the log, and by time between logs, which are taken in when it suits them.
pub(crate) fn take_in(
    sql: &mut dyn Sql,
    (log, record): (i64, u64),
    reviewed: &Reviewed,
) -> Stored<()> {
    let by: &str = &reviewed.by;
    for decision in &reviewed.decisions {
        let time = reviewed.time.as_millisecond();
        sql.run(
            "UPDATE reviews SET stands = 0 WHERE decision = ? AND reviewer = ? AND stands = 1 AND (log = ? OR time <= ?)",
            &[(*decision).into(), by.into(), log.into(), time.into()],
        )?;
        let later = sql.row(
            "SELECT count(*) FROM reviews WHERE decision = ? AND reviewer = ? AND stands = 1",
            &[(*decision).into(), by.into()],
        )?;
        let stands = later.is_none_or(|mut row| row.count() == 0);
        sql.run(
            "INSERT INTO reviews(log, record, decision, act, time, reviewer, verdict, category, comment, undoes, stands)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            &[
                log.into(),
                record.into(),
                (*decision).into(),
                reviewed.act.into(),
                time.into(),
                by.into(),
                reviewed.verdict.map(Assessment::as_str).into(),
                reviewed.category.as_deref().into(),
                reviewed.comment.as_str().into(),
                reviewed.undoes.into(),
                stands.into(),
            ],
        )?;
        if reviewed.undoes.is_some() && reviewed.verdict.is_none() {
            restore(sql, *decision, by)?;
        }
        sum_up(sql, *decision)?;
    }
    Ok(())
}

/// Lets a reviewer's last verdict stand again that nothing takes back, where there is one.
fn restore(sql: &mut dyn Sql, decision: Uuid, reviewer: &str) -> Stored<()> {
    let text = "SELECT entry, act, undoes, verdict FROM reviews WHERE decision = ? AND reviewer = ? ORDER BY entry DESC";
    // From the last on: what takes something back may be taken back itself, by what comes later.
    let mut undone: Vec<Uuid> = Vec::new();
    for mut said in sql.rows(text, &[decision.into(), reviewer.into()])? {
        let (entry, act) = (said.int(), said.id());
        if undone.contains(&act) {
            continue;
        }
        undone.extend(said.some_id());
        if said.some_text().is_some() {
            let text = "UPDATE reviews SET stands = 0 WHERE decision = ? AND reviewer = ?";
            sql.run(text, &[decision.into(), reviewer.into()])?;
            sql.run("UPDATE reviews SET stands = 1 WHERE entry = ?", &[entry.into()])?;
            return Ok(());
        }
    }
    Ok(())
}

/// Writes what a decision's reviewers say together into its row.
pub(crate) fn sum_up(sql: &mut dyn Sql, decision: Uuid) -> Stored<()> {
    let said = "SELECT DISTINCT verdict FROM reviews WHERE decision = ? AND stands = 1 AND verdict IS NOT NULL";
    let verdicts = sql.rows(said, &[decision.into()])?;
    let verdicts: Vec<String> = verdicts.into_iter().map(|mut row| row.text()).collect();
    let review = match verdicts.as_slice() {
        [] => None,
        [one] => Some(one.as_str()),
        _ => Some(DISPUTED),
    };
    let text = "UPDATE decisions SET review = ? WHERE id = ?";
    sql.run(text, &[review.into(), decision.into()]).map(drop)
}

/// Takes in what an act says about named filters, if it does.
pub(crate) fn view(sql: &mut dyn Sql, log: i64, acted: &Acted) -> Stored<()> {
    let about = |name: &str| Value::from(acted.about.get(name).map_or("", AsRef::as_ref));
    let remove = "DELETE FROM views WHERE name = ?";
    match acted.act.as_ref() {
        VIEW_SAVED => {
            sql.run(remove, &[about("name")])?;
            let (by, time) = (acted.by.as_ref(), acted.time.as_millisecond());
            let values = [about("name"), about("filter"), by.into(), time.into(), log.into()];
            sql.run("INSERT INTO views VALUES (?, ?, ?, ?, ?)", &values).map(drop)
        }
        VIEW_REMOVED => sql.run(remove, &[about("name")]).map(drop),
        _ => Ok(()),
    }
}

pub(crate) fn history(sql: &mut dyn Sql, id: Uuid) -> Stored<Vec<Review>> {
    let text = "SELECT record, act, time, reviewer, verdict, category, comment, undoes, stands
         FROM reviews WHERE decision = ? ORDER BY entry";
    let reviews = sql.rows(text, &[id.into()])?.into_iter().map(|mut row| Review {
        seq: row.count(),
        act: row.id(),
        time: time(row.int()),
        by: row.text(),
        verdict: row.some_text().as_deref().and_then(assessment),
        category: row.some_text(),
        comment: row.text(),
        undoes: row.some_id(),
        stands: row.flag(),
    });
    Ok(reviews.collect())
}

fn assessment(word: &str) -> Option<Assessment> {
    Assessment::ALL.iter().copied().find(|known| known.as_str() == word)
}

pub(crate) fn reveals(sql: &mut dyn Sql, id: Uuid) -> Stored<Vec<Reveal>> {
    let text =
        "SELECT time, reviewer, at, why FROM reveals WHERE decision = ? ORDER BY time, record";
    let reveals = sql.rows(text, &[id.into()])?.into_iter().map(|mut row| {
        let (time, by, at) = (time(row.int()), row.text(), row.text());
        let at = at.split('\n').filter(|at| !at.is_empty()).map(str::to_owned).collect();
        Reveal { time, by, at, why: row.text() }
    });
    Ok(reveals.collect())
}

fn assign(
    sql: &mut dyn Sql,
    mut selected: Selected,
    reviewer: &str,
    (now, until): (i64, i64),
) -> Stored<Option<Row>> {
    selected.and("decisions.id NOT IN (SELECT decision FROM desks WHERE until > ?)", [now.into()]);
    selected.and(
        "decisions.id NOT IN (SELECT decision FROM reviews WHERE stands = 1 AND verdict IS NOT NULL AND reviewer = ?)",
        [reviewer.into()],
    );
    let Selected { from, filter, values, .. } = &selected;
    let text =
        format!("SELECT {COLUMNS} FROM {from} WHERE {filter} ORDER BY decisions.seq LIMIT 1");
    let found = sql.row(&text, values)?.map(lists::row);
    let gone = "DELETE FROM desks WHERE reviewer = ? OR until <= ?";
    sql.run(gone, &[reviewer.into(), now.into()])?;
    let Some(row) = found else { return Ok(None) };
    let values = [row.id.into(), reviewer.into(), until.into()];
    sql.run("INSERT INTO desks VALUES (?, ?, ?)", &values)?;
    let hazards = lists::hazards(sql, row.seq)?;
    Ok(Some(Row { hazards, ..row }))
}

/// What the first two reviewers of each decision say.
fn pairs(sql: &mut dyn Sql, selected: &Selected) -> Stored<Vec<(String, String)>> {
    let Selected { from, filter, values, .. } = selected;
    let text = format!(
        "SELECT decision, verdict FROM reviews WHERE stands = 1 AND verdict IS NOT NULL
         AND decision IN (SELECT id FROM {from} WHERE {filter}) ORDER BY decision, entry"
    );
    let said = sql.rows(&text, values)?.into_iter().map(|mut row| (row.id(), row.text()));
    let said: Vec<(Uuid, String)> = said.collect();
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
