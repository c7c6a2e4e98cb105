//! The embedded default classifier: prompt attacks and hazards S1 to S13, without any download.
//!
//! Hashed words, word pairs, parts of words and *concepts* (words of eight languages that mean the same)
//! are looked up in one small table of scores. A text is judged in overlapping chunks of some 80 words, and the
//! strongest counts: in each the scores are added over the whole and over the segments and pooled, and dense
//! features of its shape are added. [`Starter`] is the compiled-in model behind the
//! [`Backend`](classifiers_core::Backend) seam; [`Model`] scores plain text. The trainer beside this crate
//! makes the weights from the very same features, through [`training`].
//!
//! Scores are on a reference scale: 0.40, 0.70 and 0.90 are reached by 20, 5 and 1 of 1,000 clean texts or
//! fewer (see `MODEL_CARD.md`).

mod calibrate;
mod concepts;
mod dense;
mod features;
mod fold;
mod hash;
mod math;
mod model;
mod scan;
mod score;
mod surprise;
mod symbols;
/// For the trainer: features recorded, weights written.
pub mod training;
mod weights;

pub use model::{COVERED, Model, Starter};
pub use score::Scores;
pub use weights::WeightsError;
