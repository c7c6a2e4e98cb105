//! What is said about a conversation's last turn, and how much each category weighs in it.

use std::ops::Range;

use classifiers_batching::Input;
use classifiers_core::{Assessment, ClassifierId, Finding};

use crate::prompt::{Categories, category};

/// Tokens that the fixed part of the answer and the longest list take: 4, and `,S` with a number thirteen times.
pub const ANSWER: usize = 4 + 2 * 13 + 2;

/// A prompt to be judged.
#[derive(Clone, Debug)]
pub struct Prompt {
    /// The tokens.
    pub ids: Vec<u32>,
    /// How many of them others may begin with: all before the end of the conversation.
    pub reusable: usize,
    /// Whether somebody is in the middle of something that waits for it.
    pub urgent: bool,
}

impl Input for Prompt {
    fn tokens(&self) -> usize {
        self.ids.len()
    }

    fn is_urgent(&self) -> bool {
        self.urgent
    }
}

/// What the model says about a conversation's last turn.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// Whether its answer is `unsafe`.
    pub is_unsafe: bool,
    /// The probability of `unsafe` over the whole vocabulary, 0 to 1: the model card's score.
    pub full: f32,
    /// The same over `safe` and `unsafe` only. Never lower; equal unless the model wants to say something else.
    pub binary: f32,
    /// For each category that was asked about, by number: the probability that the list begins with it, were the
    /// answer `unsafe`. They sum to 1.
    pub categories: Vec<(u8, f32)>,
    /// The list that the model writes, if its answer is `unsafe`.
    pub listed: Vec<u8>,
}

impl Verdict {
    /// How much category `number` is violated, 0 to 1: what is listed, and of an answer without a list what is most
    /// likely, as much as the answer is `unsafe`; the rest in proportion.
    #[must_use]
    pub fn score(&self, number: u8) -> f32 {
        let asked = |number: &u8| self.categories.iter().any(|(asked, _)| asked == number);
        let likeliest = self.categories.iter().max_by(|a, b| a.1.total_cmp(&b.1));
        let likeliest = likeliest.is_some_and(|(likeliest, _)| *likeliest == number);
        let share = self.categories.iter().find(|(asked, _)| *asked == number);
        let is_listed =
            self.listed.contains(&number) || (likeliest && !self.listed.iter().any(asked));
        match share {
            Some(_) if is_listed => self.binary,
            Some((_, share)) => self.binary * share,
            None => 0.0,
        }
    }
}

/// What `id` found that judged each of the windows in `verdicts`: of every category the strongest window's score.
#[must_use]
pub fn assessment(
    id: ClassifierId,
    categories: &Categories,
    verdicts: &[(Verdict, Option<Range<usize>>)],
) -> Assessment {
    let findings = categories.numbers().filter_map(|number| {
        let scores = verdicts.iter().map(|(verdict, span)| (verdict.score(number), span));
        let (score, span) = scores.max_by(|a, b| a.0.total_cmp(&b.0))?;
        Some(Finding { category: category(number)?, score, span: span.clone() })
    });
    let mut said = Assessment::new(id, findings.collect());
    let worst = verdicts.iter().max_by(|a, b| a.0.binary.total_cmp(&b.0.binary));
    said.measures = worst.map(|(verdict, _)| measures(verdict)).unwrap_or_default();
    said
}

/// What a verdict says beside the scores.
fn measures(verdict: &Verdict) -> Vec<(&'static str, f32)> {
    let both = [("p_unsafe_of_two", verdict.binary), ("p_unsafe_of_all", verdict.full)];
    let first = verdict.categories.iter().filter_map(|(number, share)| {
        let name = FIRST.get(usize::from(*number).checked_sub(1)?)?;
        Some((*name, *share))
    });
    both.into_iter().chain(first).collect()
}

/// The probability that a category comes first in the list, were there one.
const FIRST: [&str; 14] = [
    "first_s1",
    "first_s2",
    "first_s3",
    "first_s4",
    "first_s5",
    "first_s6",
    "first_s7",
    "first_s8",
    "first_s9",
    "first_s10",
    "first_s11",
    "first_s12",
    "first_s13",
    "first_s14",
];
