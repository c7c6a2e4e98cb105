//! What Llama Guard 3 is asked and how its answer is read, without the model: for whoever runs it, here or elsewhere.
//!
//! The prompt is built from types ([`Layout`]): nothing that a person wrote can be part of its frame, because what is
//! sent are tokens ([`Asker`]), and to [`Tokens`] every text is letters.

mod asker;
mod error;
mod folder;
mod probes;
mod prompt;
mod template;
mod tokens;
mod verdict;

pub use asker::{Asker, Long, Window, turns};
pub use error::LoadError;
pub use folder::chat_template;
pub use probes::PROBES;
pub use prompt::{Categories, Framed, Layout, Speaker, Turn, Variant, category, spoken, stripped};
pub use template::{render, variant};
pub use tokens::{Frame, Grammar, Places, Special, Tokens};
pub use verdict::{ANSWER, Prompt, Verdict, assessment};
