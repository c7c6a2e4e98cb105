//! Who looked for which words lately. Looking for words in kept texts tells what they say, so it is on record like a look
//! at them: once for a filter in a session, not for each page, chart and glance at what is new.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::respond::Problem;

/// How long one record stands for the same search.
const STANDS: Duration = Duration::from_secs(10 * 60);

/// A session, by the secret of its page, and a filter.
type Search = (String, String);

/// Searches that are on record.
#[derive(Debug, Default)]
pub(crate) struct Searches(Mutex<HashMap<Search, Instant>>);

impl Searches {
    /// Lets `record` put a search on record unless it is. Others wait for that: what they ask may be the same.
    ///
    /// # Errors
    /// Why it cannot be recorded: then it must not be answered.
    pub(crate) fn record(
        &self,
        (session, filter): (&str, &str),
        now: Instant,
        record: impl FnOnce() -> Result<(), Problem>,
    ) -> Result<(), Problem> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, time| now.duration_since(*time) < STANDS);
        let search = (session.to_owned(), filter.to_owned());
        if let Entry::Vacant(place) = known.entry(search) {
            record()?;
            place.insert(now);
        }
        Ok(())
    }
}
