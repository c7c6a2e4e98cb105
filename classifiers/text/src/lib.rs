//! What a disguised text says, and where.
//!
//! [`views`] gives a text in its raw form and in every form that a reader, or a model, may take it in: without
//! hidden characters, in plain letters, without spaces between the letters, decoded. A view maps its places back to
//! the original. [`ViewsLayer`] puts this before any classifier: every view is judged, and the strongest finding
//! counts. Most texts have one view and cost one pass over their bytes ([`Signs`](signs::Signs)).
//!
//! [`windows`] cuts a sequence of tokens into overlapping windows that cover all of it.

mod bidi;
mod cipher;
mod decode;
mod hidden;
mod layer;
mod letters;
mod look_alikes;
mod mapped;
mod shape;
mod signs;
mod stretches;
mod views;
mod windows;
mod words;

pub use layer::{Viewed, ViewsLayer};
pub use views::{TooManyViews, View, views};
pub use windows::windows;
