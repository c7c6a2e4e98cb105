//! What each caller has used.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use policies::{Limits, Quota};

use super::account::{Account, Kind, Refusal, Report};
use crate::arrival::Caller;
use crate::denial::Denial;

/// Above this many callers, those that have used nothing within their periods are forgotten; about 3 KB each, twice
/// that while they have something to report.
const REMEMBERED: usize = 20_000;
/// Callers that are counted at a time. Whoever can invent keys can be as many as they like: more are turned away, and
/// those who are known go on.
const MOST: usize = 100_000;
/// How often it is looked whom to forget when there is no room.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// What callers have used under one set of limits.
#[derive(Debug)]
pub(crate) struct Accounts {
    limits: Limits,
    start: Instant,
    callers: Mutex<Callers>,
}

/// An account for each caller.
#[derive(Debug)]
struct Callers {
    accounts: HashMap<Caller, Account>,
    /// How many there are when it next pays to look whom to forget, and when somebody last looked.
    sweep_at: usize,
    swept: Duration,
}

impl Default for Callers {
    fn default() -> Self {
        Self { accounts: HashMap::new(), sweep_at: REMEMBERED, swept: Duration::ZERO }
    }
}

impl Callers {
    /// Forgets whoever is not `of_interest`, if there are twice as many as were left last time, and now and then if there
    /// is no room: so a caller costs the same however many there are.
    fn sweep(&mut self, now: Duration, mut of_interest: impl FnMut(&mut Account) -> bool) {
        let is_full = self.accounts.len() >= MOST && now.saturating_sub(self.swept) >= SWEEP_EVERY;
        if is_full || self.accounts.len() >= self.sweep_at {
            self.accounts.retain(|_, account| of_interest(account));
            self.sweep_at = (2 * self.accounts.len()).max(REMEMBERED);
            self.swept = now;
        }
    }
}

/// How an exchange ended, as far as it is counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Used {
    /// Tokens of the request and of the answer.
    pub(crate) tokens: u64,
    /// Whether the policy blocked it because something was found.
    pub(crate) blocked: bool,
}

impl Accounts {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, start: Instant::now(), callers: Mutex::default() }
    }

    /// The same accounts if the limits are the same; else new ones, in which who is paused stays paused.
    pub(crate) fn continued(before: &Arc<Self>, limits: Limits) -> Arc<Self> {
        if before.limits == limits {
            return Arc::clone(before);
        }
        let mut callers = Callers::default();
        if limits.blocked.is_some() {
            let old = before.lock();
            let paused = old.accounts.iter().filter_map(|(caller, account)| {
                Some((caller.clone(), Account::paused_until(account.paused()?)))
            });
            callers.accounts.extend(paused);
        }
        Arc::new(Self { limits, start: before.start, callers: Mutex::new(callers) })
    }

    /// Whether nothing is limited.
    pub(super) fn are_unlimited(&self) -> bool {
        self.limits == Limits::default()
    }

    /// What is limited.
    pub(super) const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Counts a request of `caller`, or says why it is refused.
    pub(crate) fn admit(&self, caller: &Caller) -> Result<(), Denial> {
        if self.are_unlimited() {
            return Ok(());
        }
        self.make_room(caller)?;
        self.with(caller, |account, now| {
            account.look(&self.limits, now)?;
            account.count_request(&self.limits, now);
            Ok(())
        })
    }

    /// Counts what an exchange of `caller` came to. Whether there is something to report to others now, and was not
    /// before.
    pub(crate) fn settle(&self, caller: &Caller, used: Used, shared: bool) -> bool {
        let Limits { tokens, blocked, .. } = self.limits;
        let blocked = blocked.filter(|_| used.blocked);
        if tokens.is_none() && blocked.is_none() {
            return false;
        }
        self.with(caller, |account, now| {
            if shared {
                account.owe(Kind::Tokens, &self.limits, now, used.tokens);
                account.owe(Kind::Blocked, &self.limits, now, u64::from(used.blocked));
            }
            account.settle(&self.limits, now, used);
            shared && account.must_report()
        })
    }

    fn with<R>(&self, caller: &Caller, act: impl FnOnce(&mut Account, Duration) -> R) -> R {
        let now = self.start.elapsed();
        act(self.lock().accounts.entry(caller.clone()).or_default(), now)
    }

    /// Sees to it that `caller` can be counted, or says that nobody new can.
    fn make_room(&self, caller: &Caller) -> Result<(), Denial> {
        let now = self.start.elapsed();
        let mut callers = self.lock();
        if callers.accounts.contains_key(caller) {
            return Ok(());
        }
        callers.sweep(now, |account| account.is_of_interest(&self.limits, now));
        if callers.accounts.len() < MOST { Ok(()) } else { Err(Denial::Overloaded) }
    }

    fn lock(&self) -> MutexGuard<'_, Callers> {
        self.callers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === What is counted together with other guards ===

impl Accounts {
    /// Refuses whom this guard alone knows to have used up what there is. Counts nothing.
    pub(super) fn look(&self, caller: &Caller) -> Result<(), Denial> {
        self.make_room(caller)?;
        self.with(caller, |account, now| account.look(&self.limits, now))
    }

    /// What is to be told to the others about `caller`. It is theirs from then on, unless it is given back.
    pub(super) fn report(&self, caller: &Caller) -> Report {
        self.with(caller, |account, now| account.report(&self.limits, now))
    }

    /// `report` may not have arrived.
    pub(super) fn give_back(&self, caller: &Caller, report: &Report) {
        self.with(caller, |account, now| account.give_back(&self.limits, now, report));
    }

    /// The common account of `caller` is another one than that which `report` is for: everything is to be told.
    pub(super) fn begin_anew(&self, caller: &Caller, common: u64) {
        self.with(caller, |account, now| account.begin_anew(&self.limits, now, common));
    }

    /// A request of `caller` was counted in the common account `common`.
    pub(super) fn admitted(&self, caller: &Caller, common: u64) {
        self.with(caller, |account, now| account.admitted(&self.limits, now, common));
    }

    /// The common account has no room for `caller`.
    pub(super) fn refused(&self, caller: &Caller, refusal: Refusal, wait: Duration) -> Denial {
        self.with(caller, |account, now| account.refused(&self.limits, now, (refusal, wait)))
    }

    /// Counts a request of `caller` if it has used less than this guard's share: one part of as many as there are
    /// `guards`, at least one.
    pub(super) fn admit_share(&self, caller: &Caller, guards: NonZeroU32) -> Result<bool, Denial> {
        let share = |quota: Quota| Quota {
            count: NonZeroU32::new(quota.count.get().div_ceil(guards.get())).unwrap_or(quota.count),
            ..quota
        };
        let limits = Limits {
            requests: self.limits.requests.map(share),
            tokens: self.limits.tokens.map(share),
            blocked: self.limits.blocked,
        };
        self.with(caller, |account, now| {
            account.look(&limits, now)?;
            account.owe(Kind::Requests, &limits, now, 1);
            account.count_request(&limits, now);
            Ok(account.must_report())
        })
    }

    /// Whether there is still something to report about `caller`; if `anyway`, whatever is owed.
    pub(super) fn is_due(&self, caller: &Caller, anyway: bool) -> bool {
        self.with(caller, |account, _| account.is_due(anyway))
    }

    /// The report did not arrive. Whether nobody else is about to make it.
    pub(super) fn is_still_due(&self, caller: &Caller) -> bool {
        self.with(caller, |account, _| account.must_report_anew())
    }

    /// Everybody of whom something was counted; from now on they are due to be reported.
    pub(super) fn all_due(&self) -> Vec<Caller> {
        let now = self.start.elapsed();
        let mut callers = self.lock();
        let due = callers.accounts.iter_mut().filter_map(|(caller, account)| {
            let due = account.is_of_interest(&self.limits, now) && account.must_report_anew();
            due.then(|| caller.clone())
        });
        due.collect()
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv6Addr};

    use super::*;

    fn caller(number: usize) -> Caller {
        Caller::Address(Some(IpAddr::V6(Ipv6Addr::from_bits(number as u128))))
    }

    /// Callers that nobody has seen before come one after the other, as from somebody who invents keys.
    #[test]
    fn however_many_callers_there_are_they_have_a_bound_and_are_not_all_looked_at() {
        let hour = Quota { count: NonZeroU32::MIN, per: Duration::from_secs(3600) };
        let accounts = Accounts::new(Limits { requests: Some(hour), ..Limits::default() });
        for number in 0..MOST {
            accounts.admit(&caller(number)).expect("there is room");
        }
        assert!(accounts.lock().sweep_at > MOST, "{}", accounts.lock().sweep_at);
        for number in MOST..MOST + 3 {
            assert!(matches!(accounts.admit(&caller(number)), Err(Denial::Overloaded)));
        }
        assert!(matches!(accounts.admit(&caller(7)), Err(Denial::RateLimited { .. })));
        assert_eq!(accounts.lock().accounts.len(), MOST);
    }
}
