//! Fitting the model: one pass order, one thread, plain arithmetic; the same data give the same bytes.

use std::sync::Arc;

use classifiers_starter::training::{
    self, ATTACK_COLUMN, BINS, COLUMNS, HAZARD_COLUMN, HAZARDS, KIND_COLUMN, MEASURES, Pool,
    Recording, SMOOTHING, TOOL_COLUMN, sigmoid,
};

use crate::data::{Attack, Row};

/// Settings of the fit, chosen by leave-one-group-out.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Rows of the score table, as a power of two.
    pub(crate) bits: u32,
    /// Passes over the data.
    pub(crate) epochs: u32,
    /// Step size of AdaGrad for the score table.
    pub(crate) rate: f32,
    /// Step size for dense features and pooling.
    pub(crate) dense_rate: f32,
    /// Start of AdaGrad's sums: rare features move little.
    pub(crate) damping: f32,
    /// Pull of the weights towards zero at every visit.
    pub(crate) decay: f32,
    /// Share of the hashed features hidden at each visit.
    pub(crate) dropout: f32,
    /// Share of visits without any dense feature.
    pub(crate) dense_dropout: f32,
    /// A group of `n` rows weighs `n` to the power of one minus this.
    pub(crate) balance: f32,
    /// Weight of positives in the hazard columns.
    pub(crate) hazard_positive: f32,
    /// Weight of the project's own generated rows.
    pub(crate) synthetic: f32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            bits: 17,
            epochs: 4,
            rate: 0.08,
            dense_rate: 0.03,
            damping: 0.002,
            decay: 1e-5,
            dropout: 0.4,
            dense_dropout: 0.2,
            balance: 0.5,
            hazard_positive: 2.0,
            synthetic: 1.0,
        }
    }
}

/// A row made ready: features as table rows, labels and weights by column.
#[derive(Clone)]
pub(crate) struct Example {
    pub(crate) features: Arc<[(u32, u8)]>,
    pub(crate) segments: Arc<[(u32, bool)]>,
    pub(crate) dense: training::Dense,
    pub(crate) tool: bool,
    /// Target of each column, where known.
    targets: [Option<bool>; COLUMNS],
}

impl Example {
    /// The example of `row` with its recorded features.
    pub(crate) fn new(row: &Row, recording: Recording, bits: u32) -> Self {
        let mut targets = [None; COLUMNS];
        targets[ATTACK_COLUMN] = row.is_attack();
        targets[KIND_COLUMN] = match row.attack {
            Some(Attack::Jailbreak) => Some(true),
            Some(Attack::Injection) => Some(false),
            Some(Attack::Benign) | None => None,
        };
        if let Some(mask) = row.hazards {
            for hazard in 0..HAZARDS {
                targets[HAZARD_COLUMN + hazard] = Some(mask >> hazard & 1 == 1);
            }
        }
        let features =
            recording.features.iter().map(|&(hash, value)| (hash >> (32 - bits), value)).collect();
        Self {
            features,
            segments: recording.segments.into(),
            dense: recording.dense,
            tool: row.tool,
            targets,
        }
    }

    /// The same with other dense features: those depend on the rows trained on.
    pub(crate) fn with_dense(&self, dense: training::Dense) -> Self {
        Self { dense, ..self.clone() }
    }
}

/// Everything learned, as numbers.
pub(crate) struct Fitted {
    /// Weight and AdaGrad sum of each cell, side by side for the cache.
    pub(crate) table: Vec<[[f32; COLUMNS]; 2]>,
    pub(crate) dense: Vec<[[f32; COLUMNS]; 2]>,
    pub(crate) pools: [[Pool; COLUMNS]; 2],
    pool_sums: [[Pool; COLUMNS]; 2],
    settings: Settings,
}

/// Column sums of one stretch.
#[derive(Clone, Copy, Default)]
struct Sum {
    columns: [f32; COLUMNS],
    norm: u32,
}

impl Sum {
    fn plus(&self, other: &Self) -> Self {
        let mut sum = *self;
        for (total, value) in sum.columns.iter_mut().zip(other.columns) {
            *total += value;
        }
        sum.norm += other.norm;
        sum
    }

    fn factor(&self) -> f32 {
        1.0 / ((self.norm + SMOOTHING) as f32).sqrt()
    }
}

/// A forward pass, kept for the backward one.
#[derive(Default)]
struct Pass {
    segments: Vec<Sum>,
    /// Ranges of segments, and their sums.
    windows: Vec<(usize, usize, Sum)>,
    whole: Sum,
    best_segment: [usize; COLUMNS],
    best_window: [usize; COLUMNS],
    pooled: [[f32; 3]; COLUMNS],
    scores: [f32; COLUMNS],
}

/// Fits to `examples`; `weights` gives each its weight in the attack and in the hazard columns.
pub(crate) fn fit(
    examples: &[&Example],
    weights: &[(f32, f32)],
    settings: &Settings,
    mut progress: impl FnMut(u64),
) -> Fitted {
    let mut fitted = Fitted::new(settings);
    let mut order: Vec<u32> = (0..examples.len() as u32).collect();
    let mut random = Random(0x5eed);
    let mut pass = Pass::default();
    for epoch in 0..settings.epochs {
        random.shuffle(&mut order);
        let remaining = 1.0 - epoch as f32 / settings.epochs as f32;
        for &index in &order {
            let example = examples[index as usize];
            let mask = random.next();
            let dense = random.unit() >= settings.dense_dropout;
            fitted.forward(example, mask, dense, &mut pass);
            let gradient = fitted.gradient(example, &pass, weights[index as usize]);
            fitted.backward(example, (mask, dense), &mut pass, &gradient, remaining);
        }
        progress(order.len() as u64);
    }
    fitted
}

impl Fitted {
    fn new(settings: &Settings) -> Self {
        let pool = |whole| Pool { bias: -2.0, whole, window: 0.4, segment: 0.4 };
        Self {
            table: vec![[[0.0; COLUMNS], [settings.damping; COLUMNS]]; 1 << settings.bits],
            dense: vec![[[0.0; COLUMNS], [1.0; COLUMNS]]; 2 * MEASURES * BINS],
            pools: [[pool(0.4); COLUMNS], [pool(0.2); COLUMNS]],
            pool_sums: [[Pool { bias: 1.0, whole: 1.0, window: 1.0, segment: 1.0 }; COLUMNS]; 2],
            settings: settings.clone(),
        }
    }

    fn keeps(&self, mask: u64, row: u32) -> bool {
        let hash = (u64::from(row) ^ mask).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
        hash as f32 >= self.settings.dropout * 16_777_216.0
    }

    fn forward(&self, example: &Example, mask: u64, dense: bool, pass: &mut Pass) {
        pass.segments.clear();
        let mut begin = 0;
        for &(end, _) in example.segments.iter() {
            let mut sum = Sum::default();
            for &(row, value) in &example.features[begin..end as usize] {
                sum.norm += u32::from(value) * u32::from(value);
                if !self.keeps(mask, row) {
                    continue;
                }
                let weights = &self.table[row as usize][0];
                let value = f32::from(value);
                for (total, weight) in sum.columns.iter_mut().zip(weights) {
                    *total += weight * value;
                }
            }
            // What is hidden is made up for by what is left.
            let scale = 1.0 / (1.0 - self.settings.dropout);
            sum.columns.iter_mut().for_each(|c| *c *= scale);
            if example.tool {
                sum.columns[ATTACK_COLUMN] += sum.columns[TOOL_COLUMN];
            }
            pass.segments.push(sum);
            begin = end as usize;
        }
        windows(example, pass);
        self.pool(example, dense, pass);
    }

    fn pool(&self, example: &Example, dense: bool, pass: &mut Pass) {
        let role = usize::from(example.tool);
        let whole_factor = pass.whole.factor();
        for column in 0..COLUMNS {
            let (segment, at) = best(pass.segments.iter(), column);
            let (window, window_at) = best(pass.windows.iter().map(|w| &w.2), column);
            pass.best_segment[column] = at;
            pass.best_window[column] = window_at;
            pass.pooled[column] = [pass.whole.columns[column] * whole_factor, window, segment];
            let pool = self.pools[role][column];
            let [whole, ..] = pass.pooled[column];
            pass.scores[column] =
                pool.bias + pool.whole * whole + pool.window * window + pool.segment * segment;
        }
        if dense {
            let mut extra = [0.0; COLUMNS];
            for row in dense_rows(example) {
                for (total, value) in extra.iter_mut().zip(self.dense[row][0]) {
                    *total += value;
                }
            }
            for (score, value) in pass.scores.iter_mut().zip(extra) {
                *score += value;
            }
            if example.tool {
                pass.scores[ATTACK_COLUMN] += extra[TOOL_COLUMN];
            }
        }
    }

    fn gradient(&self, example: &Example, pass: &Pass, weights: (f32, f32)) -> [f32; COLUMNS] {
        let mut gradient = [0.0; COLUMNS];
        for column in 0..COLUMNS {
            let Some(target) = example.targets[column] else { continue };
            let weight = match column {
                ATTACK_COLUMN | KIND_COLUMN => weights.0,
                _ if target => weights.1 * self.settings.hazard_positive,
                _ => weights.1,
            };
            let truth = if target { 1.0 } else { 0.0 };
            gradient[column] = weight * (sigmoid(pass.scores[column]) - truth);
        }
        gradient
    }

    fn backward(
        &mut self,
        example: &Example,
        (mask, dense): (u64, bool),
        pass: &mut Pass,
        gradient: &[f32; COLUMNS],
        remaining: f32,
    ) {
        let role = usize::from(example.tool);
        let scale = 1.0 / (1.0 - self.settings.dropout);
        let rate = self.settings.rate * remaining;
        let mut begin = 0;
        for (index, &(end, _)) in example.segments.iter().enumerate() {
            let mut coefficient = [0.0; COLUMNS];
            for column in 0..COLUMNS {
                if gradient[column] == 0.0 {
                    continue;
                }
                let pool = self.pools[role][column];
                let mut share = pool.whole * pass.whole.factor();
                let (first, last, window) = &pass.windows[pass.best_window[column]];
                if (*first..*last).contains(&index) {
                    share += pool.window * window.factor();
                }
                if index == pass.best_segment[column] {
                    share += pool.segment * pass.segments[index].factor();
                }
                coefficient[column] = gradient[column] * share * scale;
            }
            if example.tool {
                coefficient[TOOL_COLUMN] = coefficient[ATTACK_COLUMN];
            }
            for &(row, value) in &example.features[begin..end as usize] {
                if self.keeps(mask, row) {
                    let decay = self.settings.decay;
                    update(
                        &mut self.table[row as usize],
                        &coefficient,
                        f32::from(value),
                        (rate, decay),
                    );
                }
            }
            begin = end as usize;
        }
        self.update_pool(role, pass, gradient, remaining);
        if dense {
            let mut gradient = *gradient;
            gradient[TOOL_COLUMN] = if example.tool { gradient[ATTACK_COLUMN] } else { 0.0 };
            for row in dense_rows(example) {
                update(
                    &mut self.dense[row],
                    &gradient,
                    1.0,
                    (self.settings.dense_rate * remaining, self.settings.decay),
                );
            }
        }
    }

    fn update_pool(&mut self, role: usize, pass: &Pass, gradient: &[f32; COLUMNS], remaining: f32) {
        let rate = self.settings.dense_rate * remaining;
        for column in 0..COLUMNS {
            let g = gradient[column];
            let (pool, sums) = (&mut self.pools[role][column], &mut self.pool_sums[role][column]);
            let [whole, window, segment] = pass.pooled[column];
            descend(&mut pool.bias, &mut sums.bias, g, rate);
            descend(&mut pool.whole, &mut sums.whole, g * whole, rate);
            descend(&mut pool.window, &mut sums.window, g * window, rate);
            descend(&mut pool.segment, &mut sums.segment, g * segment, rate);
            pool.window = pool.window.max(0.0);
            pool.segment = pool.segment.max(0.0);
        }
    }
}

/// Sums up blocks into windows and the whole.
fn windows(example: &Example, pass: &mut Pass) {
    pass.windows.clear();
    pass.whole = Sum::default();
    let (mut last, mut last_begin) = (Sum::default(), 0);
    let (mut block, mut block_begin) = (Sum::default(), 0);
    let count = example.segments.len();
    for (index, &(_, closes)) in example.segments.iter().enumerate() {
        let segment = pass.segments[index];
        pass.whole = pass.whole.plus(&segment);
        block = block.plus(&segment);
        if closes || (index + 1 == count && (block.norm > 0 || pass.windows.is_empty())) {
            pass.windows.push((last_begin, index + 1, last.plus(&block)));
            (last, last_begin) = (block, block_begin);
            (block, block_begin) = (Sum::default(), index + 1);
        }
    }
}

fn best<'a>(sums: impl Iterator<Item = &'a Sum>, column: usize) -> (f32, usize) {
    let mut best = (f32::MIN, 0);
    for (index, sum) in sums.enumerate() {
        let value = sum.columns[column] * sum.factor();
        if value > best.0 {
            best = (value, index);
        }
    }
    best
}

fn dense_rows(example: &Example) -> impl Iterator<Item = usize> {
    let role = usize::from(example.tool);
    let bins = example.dense.into_iter().enumerate();
    bins.map(move |(measure, bin)| (role * MEASURES + measure) * BINS + usize::from(bin))
}

#[inline]
fn update(
    cell: &mut [[f32; COLUMNS]; 2],
    gradient: &[f32; COLUMNS],
    value: f32,
    (rate, decay): (f32, f32),
) {
    let [weights, sums] = cell;
    for column in 0..COLUMNS {
        // A column without a label is left alone, decay included.
        if gradient[column] != 0.0 {
            let g = gradient[column] * value + decay * weights[column];
            sums[column] += g * g;
            weights[column] -= rate * g / sums[column].sqrt();
        }
    }
}

fn descend(value: &mut f32, sum: &mut f32, gradient: f32, rate: f32) {
    *sum += gradient * gradient;
    *value -= rate * gradient / sum.sqrt();
}

/// A small generator of numbers (splitmix64).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// In 0..1.
    pub(crate) fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / 16_777_216.0
    }

    /// In 0..`limit`.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for index in (1..items.len()).rev() {
            let other = self.below(index + 1);
            items.swap(index, other);
        }
    }
}
