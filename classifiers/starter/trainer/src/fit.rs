//! Fitting the model: one pass order, one thread, plain arithmetic; the same data give the same bytes.

#![expect(
    clippy::indexing_slicing,
    clippy::needless_range_loop,
    reason = "offline arithmetic over arrays whose sizes are constants of the format"
)]

use std::ops::Range;

use classifiers_starter::training::{
    ATTACK_COLUMN, BINS, COLUMNS, Chunk, KIND_COLUMN, MEASURES, Pool, SMOOTHING, TOOL_COLUMN,
    sigmoid,
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
    chunks: Vec<Pooled>,
    /// The chunk that scores highest, by column.
    worst: [usize; COLUMNS],
}

impl Pass {
    /// What decided about a column.
    fn worst(&self, column: usize) -> &Pooled {
        &self.chunks[self.worst[column]]
    }
}

/// The pooled sums of one chunk.
struct Pooled {
    whole: f32,
    best_segment: [usize; COLUMNS],
    /// The whole and the strongest segment.
    pooled: [[f32; 2]; COLUMNS],
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
        let pool = |whole| Pool { bias: -2.0, whole, segment: 0.4 };
        Self {
            table: vec![[[0.0; COLUMNS], [settings.damping; COLUMNS]]; 1 << settings.bits],
            dense: vec![[[0.0; COLUMNS], [1.0; COLUMNS]]; 2 * MEASURES * BINS],
            pools: [[pool(0.8); COLUMNS], [pool(0.6); COLUMNS]],
            pool_sums: [[Pool { bias: 1.0, whole: 1.0, segment: 1.0 }; COLUMNS]; 2],
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
        for &end in example.segments.iter() {
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
        pass.chunks.clear();
        for chunk in example.chunks.iter() {
            let pooled = self.pool(example.tool, visit.dense, chunk, pass);
            pass.chunks.push(pooled);
        }
        let score = |chunk: usize, column: usize| pass.chunks[chunk].scores[column];
        pass.worst = std::array::from_fn(|column| {
            let all = 0..pass.chunks.len();
            all.fold(0, |best, at| if score(at, column) > score(best, column) { at } else { best })
        });
    }

    fn pool(&self, tool: bool, dense: bool, chunk: &Chunk, pass: &Pass) -> Pooled {
        let segments = chunk.segments.clone();
        let whole =
            pass.segments[segments.clone()].iter().fold(Sum::default(), |sum, s| sum.plus(s));
        let mut pooled = Pooled {
            whole: whole.factor(),
            best_segment: [0; COLUMNS],
            pooled: [[0.0; 2]; COLUMNS],
            scores: [0.0; COLUMNS],
        };
        for column in 0..COLUMNS {
            let (segment, at) = strongest(pass, segments.clone(), column);
            let whole = whole.columns[column] * pooled.whole;
            let pool = self.pools[usize::from(tool)][column];
            pooled.best_segment[column] = at;
            pooled.pooled[column] = [whole, segment];
            pooled.scores[column] = pool.bias + pool.whole * whole + pool.segment * segment;
        }
        if dense {
            let extra = self.shape(tool, chunk);
            for (score, value) in pooled.scores.iter_mut().zip(extra) {
                *score += value;
            }
        }
        pooled
    }

    /// What the shape of a chunk adds.
    fn shape(&self, tool: bool, chunk: &Chunk) -> [f32; COLUMNS] {
        let mut extra = [0.0; COLUMNS];
        for row in dense_rows(tool, chunk) {
            for (total, value) in extra.iter_mut().zip(self.dense[row][0]) {
                *total += value;
            }
        }
        if tool {
            extra[ATTACK_COLUMN] += extra[TOOL_COLUMN];
        }
        extra
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
            gradient[column] = weight * (sigmoid(pass.worst(column).scores[column]) - truth);
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
        for (index, &end) in example.segments.iter().enumerate() {
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
            let rate = self.settings.dense_rate * visit.remaining;
            for (at, chunk) in example.chunks.iter().enumerate() {
                let gradient = share_of_chunk(at, example.tool, pass, gradient);
                for row in dense_rows(example.tool, chunk) {
                    update(&mut self.dense[row], &gradient, 1.0, (rate, decay));
                }
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
            let pooled = pass.worst(column);
            let mut share = 0.0;
            if example.chunks[pass.worst[column]].segments.contains(&index) {
                share += pool.whole * pooled.whole;
            }
            if index == pooled.best_segment[column] {
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
            let [whole, segment] = pass.worst(column).pooled[column];
            descend(&mut pool.bias, &mut sums.bias, g, rate);
            descend(&mut pool.whole, &mut sums.whole, g * whole, rate);
            descend(&mut pool.segment, &mut sums.segment, g * segment, rate);
            pool.segment = pool.segment.max(0.0);
        }
    }
}

/// The gradient by column that reaches the shape of one chunk.
fn share_of_chunk(at: usize, tool: bool, pass: &Pass, gradient: &[f32; COLUMNS]) -> [f32; COLUMNS] {
    let mut share: [f32; COLUMNS] =
        std::array::from_fn(|c| if pass.worst[c] == at { gradient[c] } else { 0.0 });
    share[TOOL_COLUMN] = if tool { share[ATTACK_COLUMN] } else { 0.0 };
    share
}

/// The value and the place of the segment among `segments` that is strongest in `column`.
fn strongest(pass: &Pass, segments: Range<usize>, column: usize) -> (f32, usize) {
    let mut best = (f32::MIN, segments.start);
    for index in segments {
        let sum = &pass.segments[index];
        let value = sum.columns[column] * sum.factor();
        if value > best.0 {
            best = (value, index);
        }
    }
    best
}

fn dense_rows(tool: bool, chunk: &Chunk) -> impl Iterator<Item = usize> {
    let role = usize::from(tool);
    let bins = chunk.dense.into_iter().enumerate();
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
