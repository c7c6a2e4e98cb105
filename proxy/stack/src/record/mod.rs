//! Every exchange has one record: opened here before anything else, closed here before anything leaves.

mod entry;
mod layer;
mod texts;

pub(crate) use entry::{Entry, milliseconds};
pub(crate) use layer::{Exchange, RecordLayer};
pub(crate) use texts::{Hidden, Side};
