//! How good a guard is.
//!
//! Labelled [`Example`]s come from files ([`read`]); whoever runs a guard says what it made of each, as an [`Outcome`];
//! [`Report::new`] measures that, with an interval for every figure, and writes it down as JSON, HTML or Markdown.
//! [`Gate`]s turn a report into yes or no. Nothing here knows a classifier, a policy or a network.

pub mod compare;
pub mod cyberseceval;
mod example;
mod gate;
mod html;
mod interval;
mod markdown;
mod measures;
mod outcome;
pub mod position;
mod ranking;
mod read;
mod report;
mod resampling;
mod store;
mod svg;

pub use example::{Attack, Example, Measure};
pub use gate::{Gate, GateError, Passed};
pub use interval::{Estimate, wilson};
pub use measures::{Judged, Measures};
pub use outcome::Outcome;
pub use ranking::{Curves, auc};
pub use read::{Format, ReadError, read};
pub use report::{Benign, DataSet, MeasureReport, Report, Side, Subject};
pub use store::{Store, digest};
