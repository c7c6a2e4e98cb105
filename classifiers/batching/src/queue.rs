//! What waits for a model, and which of it goes next. Without threads and without a clock.

use std::collections::BTreeMap;
use std::time::Instant;

/// How batches are put together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchLimits {
    /// A batch has no more tokens than this, padding included, unless a single input has more.
    pub tokens: usize,
    /// No more than this share of a batch is padding, 0 to 1.
    pub padding: f32,
    /// Inputs lie one after the other: lengths may differ, and nothing is padded.
    pub packed: bool,
}

/// Something to be judged, with how long it is and how long its caller waits.
#[derive(Debug)]
pub(crate) struct Waiting<T> {
    pub(crate) job: T,
    /// Its length in tokens.
    pub(crate) tokens: usize,
    pub(crate) deadline: Instant,
    /// Goes before all that is not.
    pub(crate) urgent: bool,
}

/// A queue in the order of deadlines, what is urgent first.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    /// `false` sorts first: the key begins with whether it can wait.
    waiting: BTreeMap<(bool, Instant, u64), Waiting<T>>,
    count: u64,
    tokens: usize,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { waiting: BTreeMap::new(), count: 0, tokens: 0 }
    }
}

impl<T> Queue<T> {
    /// The tokens of all that waits.
    pub(crate) const fn tokens(&self) -> usize {
        self.tokens
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(crate) fn push(&mut self, waiting: Waiting<T>) {
        self.count += 1;
        self.tokens += waiting.tokens;
        let key = (!waiting.urgent, waiting.deadline, self.count);
        self.waiting.insert(key, waiting);
    }

    /// The next batch: the input whose caller can wait least, and with it those of about its length, as far as the
    /// limits allow.
    pub(crate) fn next_batch(&mut self, limits: &BatchLimits) -> Vec<Waiting<T>> {
        let Some((_, first)) = self.waiting.pop_first() else { return Vec::new() };
        let (mut longest, mut total) = (first.tokens, first.tokens);
        let mut batch = vec![first];
        let mut chosen = Vec::new();
        for (key, other) in &self.waiting {
            let rows = batch.len() + chosen.len() + 1;
            let width = longest.max(other.tokens);
            let padded = if limits.packed { total + other.tokens } else { width * rows };
            if padded > limits.tokens.max(longest) {
                // Rows only get more and none narrower than the longest so far.
                if !limits.packed && longest * rows > limits.tokens {
                    break;
                }
                continue;
            }
            if padding(total + other.tokens, padded) <= limits.padding {
                (longest, total) = (width, total + other.tokens);
                chosen.push(*key);
            }
        }
        batch.extend(chosen.into_iter().filter_map(|key| self.waiting.remove(&key)));
        self.tokens = self.tokens.saturating_sub(total);
        batch
    }
}

/// The share of padding in a batch.
fn padding(tokens: usize, padded: usize) -> f32 {
    if padded == 0 { 0.0 } else { 1.0 - tokens as f32 / padded as f32 }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn everything_comes_out_once_within_the_limits_and_the_most_urgent_first(
            jobs in prop::collection::vec((1usize..600, 0u64..50, any::<bool>()), 1..80),
            tokens in 1usize..2000,
            padding_limit in 0.0f32..0.5,
            packed in any::<bool>(),
        ) {
            let start = Instant::now();
            let mut queue = Queue::default();
            for (job, (tokens, wait, urgent)) in jobs.iter().enumerate() {
                let deadline = start + Duration::from_millis(*wait);
                queue.push(Waiting { job, tokens: *tokens, deadline, urgent: *urgent });
            }
            let limits = BatchLimits { tokens, padding: padding_limit, packed };
            let mut seen = vec![false; jobs.len()];
            while !queue.is_empty() {
                let urgent = queue.waiting.values().map(|w| (!w.urgent, w.deadline)).min().unwrap();
                let batch = queue.next_batch(&limits);
                prop_assert_eq!((!batch[0].urgent, batch[0].deadline), urgent);
                let longest = batch.iter().map(|w| w.tokens).max().unwrap();
                let sum: usize = batch.iter().map(|w| w.tokens).sum();
                let padded = if packed { sum } else { longest * batch.len() };
                prop_assert!(batch.len() == 1 || padded <= tokens);
                prop_assert!(padding(sum, padded) <= padding_limit + 1e-6);
                for waiting in batch {
                    prop_assert!(!std::mem::replace(&mut seen[waiting.job], true));
                }
            }
            prop_assert!(seen.into_iter().all(|seen| seen));
            prop_assert_eq!(queue.tokens(), 0);
        }
    }
}
