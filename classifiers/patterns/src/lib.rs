//! Secrets and personal data, found by their formats, with the exact bytes to cut out.
//!
//! Where a format has a checksum it is computed; where it has none, its letters must be as mixed as those of a random
//! key. [`Patterns`] is all of it behind the [`Backend`](classifiers_core::Backend) seam.
//!
//! No candidate is longer than a constant, except for the body of a PEM block, which ends where the next one begins: so
//! the time is linear in the text, whatever it says.

mod assignment;
mod bytes;
mod checksum;
mod context;
mod detector;
mod email;
mod national;
mod numbers;
mod secrets;
mod token;
mod words;

pub use detector::Patterns;
