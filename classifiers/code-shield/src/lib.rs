//! Insecure code, found by rules that a security person can read and add to: `rules/*.toml`.
//!
//! One pass over the text looks for the words that rules are about; most texts have none, and are done. What is left is
//! cut into blocks of code (fenced or bare), comments are blanked, and the rules whose words were seen are matched.
//! Everything is linear in the text: no rule can go back, and none is asked twice about a place.
//!
//! [`CodeShield`] is all of it behind the [`Backend`](classifiers_core::Backend) seam.

mod blocks;
mod language;
mod mask;
mod rules;
mod shield;

pub use language::Language;
pub use rules::{Rule, RuleError, Severity};
pub use shield::{CodeShield, Weakness};
