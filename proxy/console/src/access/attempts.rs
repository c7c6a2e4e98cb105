//! How often somebody may try to log in.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Failed attempts are remembered for so long.
const WINDOW: Duration = Duration::from_secs(5 * 60);
/// Failures in that time for one name, from wherever they come.
const BY_NAME: usize = 5;
/// Failures in that time from one address, whoever it claims to be.
const BY_ADDRESS: usize = 20;
/// Names and addresses that are remembered. Beyond that nobody logs in until some are forgotten.
const REMEMBERED: usize = 10_000;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Who {
    Name(String),
    Address(IpAddr),
}

/// Attempts to log in that failed.
#[derive(Debug, Default)]
pub(crate) struct Attempts(Mutex<HashMap<Who, Vec<Instant>>>);

impl Attempts {
    /// Counts an attempt, as a failed one until [`succeeded`](Self::succeeded) says otherwise. Counted before the
    /// password is looked at, so that many at a time are not more than one after the other. Who says no name counts by
    /// address alone.
    ///
    /// # Errors
    /// There were too many: how long until the next may be made.
    pub(crate) fn attempt(
        &self,
        name: Option<&str>,
        address: Option<IpAddr>,
        now: Instant,
    ) -> Result<(), Duration> {
        let mut failed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_recent = |time: &Instant| now.duration_since(*time) < WINDOW;
        failed.retain(|_, times| times.iter().any(is_recent));
        // Where nobody knows an address, one must not stand for all.
        let address = address.map(|address| (Who::Address(address), BY_ADDRESS));
        let name = name.map(|name| (Who::Name(name.to_owned()), BY_NAME));
        let whose: Vec<(Who, usize)> = name.into_iter().chain(address).collect();
        for (who, most) in &whose {
            let Some(times) = failed.get_mut(who) else { continue };
            times.retain(is_recent);
            if times.len() >= *most {
                let free = times.first().map_or(now, |first| *first + WINDOW);
                return Err(free.saturating_duration_since(now));
            }
        }
        if failed.len() >= REMEMBERED {
            return Err(WINDOW);
        }
        for (who, _) in whose {
            failed.entry(who).or_default().push(now);
        }
        Ok(())
    }

    /// The attempt was right: what was held against the name is forgotten, and this one against the address.
    pub(crate) fn succeeded(&self, name: Option<&str>, address: Option<IpAddr>) {
        let mut failed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(name) = name {
            failed.remove(&Who::Name(name.to_owned()));
        }
        if let Some(times) = address.and_then(|address| failed.get_mut(&Who::Address(address))) {
            times.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_fail_a_few_times_and_an_address_some_more() {
        let (attempts, start) = (Attempts::default(), Instant::now());
        let here = Some("192.0.2.1".parse().expect("an address"));
        for _ in 0..BY_NAME {
            assert!(attempts.attempt(Some("ann"), here, start).is_ok());
        }
        let wait = attempts.attempt(Some("ann"), None, start).expect_err("from elsewhere neither");
        for n in BY_NAME..BY_ADDRESS {
            assert!(attempts.attempt(Some(&format!("user{n}")), here, start).is_ok());
        }
        assert!(attempts.attempt(Some("bob"), here, start).is_err(), "one address, many names");
        assert!(attempts.attempt(None, here, start).is_err(), "or none");
        assert!(
            attempts.attempt(Some("bob"), None, start).is_ok(),
            "nobody else is held back by that"
        );
        for n in 0..2 * BY_ADDRESS {
            assert!(
                attempts.attempt(Some(&format!("other{n}")), None, start).is_ok(),
                "nor by those of whom nothing is known"
            );
        }
        assert!(
            attempts.attempt(Some("ann"), None, start + wait).is_ok(),
            "after the time it said"
        );
    }

    #[test]
    fn who_gets_in_is_not_held_back() {
        let (attempts, start) = (Attempts::default(), Instant::now());
        for _ in 0..100 {
            attempts.attempt(Some("ann"), None, start).expect("never too many");
            attempts.succeeded(Some("ann"), None);
        }
    }
}
