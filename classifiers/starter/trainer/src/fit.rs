//! Fitting the model: one pass order, one thread, plain arithmetic; the same data give the same bytes.

#![expect(
    clippy::indexing_slicing,
    clippy::needless_range_loop,
    reason = "offline arithmetic over arrays whose sizes are constants of the format"
)]

use classifiers_starter::training::{
    ATTACK_COLUMN, BINS, COLUMNS, KIND_COLUMN, MEASURES, Pool, SMOOTHING, TOOL_COLUMN, sigmoid,
};

use crate::example::{Example, Settings};
use crate::random::Random;

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

/// What is special about one visit of an example.
struct Visit {
    /// Decides which features are hidden.
    mask: u64,
    /// Whether dense features are seen.
    dense: bool,
    /// Share of the step size that is left.
    remaining: f32,
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
            let visit = Visit { mask, dense, remaining };
            fitted.forward(example, &visit, &mut pass);
            let gradient = fitted.gradient(example, &pass, weights[index as usize]);
            fitted.backward(example, &visit, &pass, &gradient);
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

    fn forward(&self, example: &Example, visit: &Visit, pass: &mut Pass) {
        pass.segments.clear();
        let mut begin = 0;
        for &(end, _) in example.segments.iter() {
            let mut sum = Sum::default();
            for &(row, value) in &example.features[begin..end as usize] {
                sum.norm += u32::from(value) * u32::from(value);
                if !self.keeps(visit.mask, row) {
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
        self.pool(example, visit.dense, pass);
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
        visit: &Visit,
        pass: &Pass,
        gradient: &[f32; COLUMNS],
    ) {
        let rate = self.settings.rate * visit.remaining;
        let decay = self.settings.decay;
        let mut begin = 0;
        for (index, &(end, _)) in example.segments.iter().enumerate() {
            let coefficient = self.share_of_segment(example, index, pass, gradient);
            for &(row, value) in &example.features[begin..end as usize] {
                if self.keeps(visit.mask, row) {
                    let cell = &mut self.table[row as usize];
                    update(cell, &coefficient, f32::from(value), (rate, decay));
                }
            }
            begin = end as usize;
        }
        self.update_pool(usize::from(example.tool), pass, gradient, visit.remaining);
        if visit.dense {
            let mut gradient = *gradient;
            gradient[TOOL_COLUMN] = if example.tool { gradient[ATTACK_COLUMN] } else { 0.0 };
            let rate = self.settings.dense_rate * visit.remaining;
            for row in dense_rows(example) {
                update(&mut self.dense[row], &gradient, 1.0, (rate, decay));
            }
        }
    }

    /// The gradient by column that reaches the features of one segment.
    fn share_of_segment(
        &self,
        example: &Example,
        index: usize,
        pass: &Pass,
        gradient: &[f32; COLUMNS],
    ) -> [f32; COLUMNS] {
        let role = usize::from(example.tool);
        let scale = 1.0 / (1.0 - self.settings.dropout);
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
        coefficient
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
