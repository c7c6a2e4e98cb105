//! Exceptions, each with a reason, an approver and an end.

use std::sync::Arc;

use classifiers_core::{Category, Direction};
use jiff::civil::Date;

use crate::Action;
use crate::glob::Glob;

/// The furthest end of an exemption, in days ahead.
pub(crate) const LONGEST_DAYS: i32 = 90;

/// One exception: one hazard, some directions, some keys, until a day.
#[derive(Clone, Debug)]
pub struct Exemption {
    /// What records call it.
    pub id: Arc<str>,
    pub(crate) key: Glob,
    /// The hazard it is about.
    pub hazard: Category,
    /// Where it holds.
    pub directions: Vec<Direction>,
    /// What is done instead, where that is weaker.
    pub action: Action,
    /// Why.
    pub why: String,
    /// Who approved it.
    pub approved_by: String,
    /// The last day on which it holds.
    pub expires: Date,
}

impl Exemption {
    /// The pattern of the keys it is for.
    #[must_use]
    pub fn key(&self) -> &str {
        self.key.as_str()
    }

    /// Whether it holds on `today`: not after its last day, and not before the last 90 days, so that an end
    /// in the far future is no exemption without an end.
    #[must_use]
    pub fn holds_on(&self, today: Date) -> bool {
        (0..=LONGEST_DAYS).contains(&self.days_left(today))
    }

    /// Days from `today` to its last day; negative when it is over.
    #[must_use]
    pub fn days_left(&self, today: Date) -> i32 {
        days_between(today, self.expires)
    }
}

/// Days from `from` to `to`.
pub(crate) fn days_between(from: Date, to: Date) -> i32 {
    (to - from).get_days()
}
