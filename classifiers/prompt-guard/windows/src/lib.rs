//! What Prompt Guard reads and how its numbers are read, without the model: for whoever runs it, here or elsewhere.
//!
//! A text becomes [`Window`]s that cover all of it ([`Tokens`]), logits become [`Scores`] ([`Family`]), and the
//! strongest window counts ([`findings`]).

mod config;
mod scores;
mod tokens;

pub use config::{Config, FolderError, read};
pub use scores::{Family, Scores, findings};
pub use tokens::{Tokens, Window};

/// Neighbouring windows share half: an attack of up to 255 tokens lies whole inside one.
pub const OVERLAP: usize = 255;
