//! What every classifier and every consumer of a verdict agrees on.
//!
//! The vocabulary: an exchange is cut into [`Passage`]s (one text to judge, with its
//! [`Origin`]); a classifier answers with [`Finding`]s about [`Category`]s. The two seams:
//! [`Backend`] is what a model author implements (synchronous, a batch in, findings out);
//! [`Classify`] is what the proxy consumes (a tower service of one passage).
//!
//! This room says what may be said about a text, never what to do about it.

mod backend;
mod classify;
mod finding;
mod passage;
mod taxonomy;
mod triggers;

pub use backend::{Backend, ClassifierId};
pub use classify::{BoxClassify, Classify};
pub use finding::{Assessment, ClassifyError, Finding};
pub use passage::{Context, Direction, Origin, Passage, Role, Turn};
pub use taxonomy::Category;
pub use triggers::TestTriggers;
