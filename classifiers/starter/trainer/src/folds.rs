//! Leave-one-group-out: every row is scored by a model that never saw its group.

#![expect(clippy::indexing_slicing, reason = "one vector and one result for each row")]

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use classifiers_starter::Model;
use classifiers_starter::training::{self, CATEGORIES, SLOT};
use indicatif::ProgressBar;

use crate::baseline::{Baseline, Vector, vector};
use crate::data::Row;
use crate::error::Error;
use crate::example::{Example, Settings};
use crate::fit::fit;
use crate::{quantise, spelling};

/// Raw scores of each row; attack kinds first, then the hazards.
pub(crate) type Raw = Vec<[f32; CATEGORIES]>;

/// Rows made ready once, for all folds.
pub(crate) struct Prepared<'a> {
    pub(crate) rows: &'a [Row],
    examples: Vec<Example>,
    /// Whether a row is trained on when its group is: of very large groups only a part is.
    sampled: Vec<bool>,
    concepts: Vec<[u8; SLOT]>,
    pub(crate) settings: Settings,
}

/// The name of the group that is never held out: the project's own generated texts.
pub(crate) const OWN: &str = "starter-synthetic";

impl<'a> Prepared<'a> {
    /// Records the features of `rows`.
    pub(crate) fn new(rows: &'a [Row], concepts: Vec<[u8; SLOT]>, settings: Settings) -> Self {
        let examples = rows
            .iter()
            .map(|row| {
                let recording = training::record(&row.text, concepts.as_flattened(), &[]);
                Example::new(row, recording, settings.bits)
            })
            .collect();
        Self { rows, examples, sampled: sampled(rows), concepts, settings }
    }

    /// Trains on all rows for which `keep` holds; the file of weights, with `knots`.
    pub(crate) fn train(
        &self,
        keep: impl Fn(&Row) -> bool,
        knots: [training::Knots; CATEGORIES],
        progress: &ProgressBar,
    ) -> Vec<u8> {
        let surprise = spelling::table(self.rows.iter().filter(|row| keep(row) && !row.own));
        let kept: Vec<(&Row, Example)> = self
            .rows
            .iter()
            .zip(&self.examples)
            .zip(&self.sampled)
            .filter(|((row, _), sampled)| keep(row) && **sampled)
            .map(|((row, example), _)| {
                let dense = training::shapes(&row.text, self.concepts.as_flattened(), &surprise);
                (row, example.with_dense(dense))
            })
            .collect();
        let weights = weights(&kept.iter().map(|k| k.0).collect::<Vec<_>>(), &self.settings);
        let examples: Vec<&Example> = kept.iter().map(|k| &k.1).collect();
        let fitted = fit(&examples, &weights, &self.settings, |n| progress.inc(n));
        quantise::parts(&fitted, &self.concepts, &surprise, knots).to_bytes()
    }
}

/// Rows of a group beyond this many are thinned out: they would not add, only weigh less each.
const LARGE_GROUP: usize = 5000;

/// Which rows are trained on: evenly spread, no more than [`LARGE_GROUP`] of a group.
fn sampled(rows: &[Row]) -> Vec<bool> {
    let mut sizes = std::collections::BTreeMap::<&str, (usize, usize)>::new();
    for row in rows.iter().filter(|row| !row.own) {
        sizes.entry(&row.group).or_default().0 += 1;
    }
    let take = |row: &Row| {
        let Some((size, seen)) = sizes.get_mut(row.group.as_str()) else { return true };
        if row.own || *size <= LARGE_GROUP {
            return true;
        }
        let before = *seen * LARGE_GROUP / *size;
        *seen += 1;
        *seen * LARGE_GROUP / *size > before
    };
    rows.iter().map(take).collect()
}

/// Weight of each row in the attack and in the hazard columns: large groups are held back.
fn weights(rows: &[&Row], settings: &Settings) -> Vec<(f32, f32)> {
    let mut sizes = std::collections::BTreeMap::<(&str, bool), u32>::new();
    for row in rows.iter().filter(|r| !r.own) {
        *sizes.entry((&row.group, row.is_attack() == Some(true))).or_default() += 1;
    }
    let raw: Vec<f32> = rows
        .iter()
        .map(|row| {
            let size = sizes.get(&(row.group.as_str(), row.is_attack() == Some(true)));
            let size = size.copied().unwrap_or(1) as f32;
            if row.own {
                row.weight * settings.synthetic
            } else {
                row.weight * (500.0 / size.max(20.0)).powf(settings.balance)
            }
        })
        .collect();
    raw.into_iter().map(|w| (w, w)).collect()
}

/// The groups held out, in alphabetical order.
pub(crate) fn groups(rows: &[Row]) -> Vec<String> {
    let names: std::collections::BTreeSet<&str> =
        rows.iter().map(|r| r.group.as_str()).filter(|&g| g != OWN).collect();
    names.into_iter().map(str::to_owned).collect()
}

/// Out-of-fold raw scores of every row that is not our own.
pub(crate) fn ours(
    prepared: &Prepared<'_>,
    threads: usize,
    bar: &ProgressBar,
) -> Result<Raw, Error> {
    let groups = groups(prepared.rows);
    let knots = [[-1.0, 0.0, 1.0]; CATEGORIES];
    each_group(&groups, threads, prepared.rows.len(), |group| {
        let weights = prepared.train(|row| !row.is_of(group), knots, bar);
        let model = Model::read(&weights)?;
        let held_out =
            prepared.rows.iter().enumerate().filter(|(_, row)| row.group == group && !row.own);
        Ok(held_out.map(|(i, row)| (i, model.score(&row.text, row.tool).raw)).collect())
    })
}

/// Out-of-fold raw scores of the plain baseline; it never sees our own rows.
pub(crate) fn plain(rows: &[Row], threads: usize, bar: &ProgressBar) -> Result<Raw, Error> {
    let vectors: Vec<Vector> = rows.iter().map(|row| vector(&row.text)).collect();
    let groups = groups(rows);
    each_group(&groups, threads, rows.len(), |group| {
        let pairs = rows.iter().zip(&vectors);
        let train: Vec<_> = pairs.filter(|(r, _)| r.group != group && !r.own).collect();
        let baseline = Baseline::fit(&train);
        bar.inc(1);
        let held_out = rows.iter().enumerate().filter(|(_, row)| row.group == group && !row.own);
        Ok(held_out.map(|(i, _)| (i, categories(&baseline, &vectors[i]))).collect())
    })
}

/// Raw scores of `rows` by the plain baseline trained on `train`.
pub(crate) fn plain_on(train: &[Row], rows: &[Row]) -> Raw {
    let vectors: Vec<Vector> = train.iter().map(|row| vector(&row.text)).collect();
    let baseline = Baseline::fit(&train.iter().zip(&vectors).collect::<Vec<_>>());
    rows.iter().map(|row| categories(&baseline, &vector(&row.text))).collect()
}

fn categories(baseline: &Baseline, vector: &Vector) -> [f32; CATEGORIES] {
    let [attack, hazards @ ..] = baseline.score(vector);
    let mut raw = [attack; CATEGORIES];
    raw[2..].copy_from_slice(&hazards);
    raw
}

type Scored = Vec<(usize, [f32; CATEGORIES])>;

/// Runs `judge` for every group on a few threads; the order of the threads does not matter.
fn each_group(
    groups: &[String],
    threads: usize,
    rows: usize,
    judge: impl Fn(&str) -> Result<Scored, Error> + Sync,
) -> Result<Raw, Error> {
    let raw = Mutex::new(vec![[f32::NAN; CATEGORIES]; rows]);
    let next = AtomicUsize::new(0);
    let work = || -> Result<(), Error> {
        while let Some(group) = groups.get(next.fetch_add(1, Ordering::Relaxed)) {
            let scored = judge(group)?;
            let mut raw = raw.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            for (index, scores) in scored {
                raw[index] = scores;
            }
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| match worker.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    })?;
    Ok(raw.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{lexicon, synth};

    fn sample() -> Vec<Row> {
        let templates = synth::Templates::new().unwrap();
        let mut rows = synth::template_rows(&templates, 6);
        // Two groups that are held out in turn.
        for (index, row) in rows.iter_mut().enumerate() {
            row.own = false;
            row.group = if index % 2 == 0 { "even" } else { "odd" }.to_owned();
        }
        rows
    }

    fn settings() -> Settings {
        Settings { bits: 12, epochs: 2, ..Settings::default() }
    }

    #[test]
    fn the_same_data_give_the_same_bytes() {
        let rows = sample();
        let train = || {
            let prepared = Prepared::new(&rows, lexicon::table().unwrap(), settings());
            prepared.train(|_| true, [[-1.0, 0.0, 1.0]; CATEGORIES], &ProgressBar::hidden())
        };
        let (first, second) = (train(), train());
        assert!(first == second, "training is not deterministic");
        assert!(Model::read(&first).is_ok());
    }

    #[test]
    fn threads_do_not_matter_and_held_out_attacks_rank_high() {
        let rows = sample();
        let prepared = Prepared::new(&rows, lexicon::table().unwrap(), settings());
        let one = ours(&prepared, 1, &ProgressBar::hidden()).unwrap();
        let two = ours(&prepared, 2, &ProgressBar::hidden()).unwrap();
        assert_eq!(one, two);
        let judged: Vec<_> = rows
            .iter()
            .zip(&one)
            .filter_map(|(row, raw)| Some((raw[0].max(raw[1]), row.is_attack()?)))
            .collect();
        assert!(crate::metrics::auc(&judged) > 0.8, "{}", crate::metrics::auc(&judged));
    }
}
