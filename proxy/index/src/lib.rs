//! Finding decisions: an index of the log in SQLite, or of the logs of many proxies in PostgreSQL.
//!
//! The segments of the log are the truth; this is a copy of what lists, searches and charts need, and may be deleted at
//! any time: it is made anew by reading the log again. What people do (verdicts, looks at texts, saved views) is in the
//! log too, so nothing is lost with the file. Only who has which decision on the desk is nowhere else.
//!
//! A decision is in the index when its last record is in the log and [`Index::catch_up`] has read it. Texts are only in
//! the search part of it, as words; whoever shows them reads them from the log, and each record's hash is checked again.

mod detail;
mod error;
mod figures;
mod filter;
mod follow;
mod forget;
mod found;
mod index;
mod intake;
mod labelled;
mod lists;
mod packed;
mod query;
mod resume;
mod review;
mod schema;
mod sql;
mod store;
mod table;
mod visible;

pub use error::IndexError;
pub use filter::FilterError;
pub use follow::Following;
pub use found::{
    Act, Agreement, Bar, Causes, Detail, Distribution, Facet, Facets, Latency, Listed, Progress,
    Quantiles, Reveal, Review, Row, Scores, Timeline, Unsound, View,
};
pub use index::{Address, FILE, Index, Place};
pub use labelled::{judged, labelled_lines, verdict};
pub use query::{Field, Moment, Order, Query, Term, Test};
pub use review::{VIEW_REMOVED, VIEW_SAVED};
pub use store::{NotAnAddress, StoreError};
pub use table::{CSV_HEADER, csv_line, json_line};
pub use visible::{visible, visible_json};
