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

/// What callers have used under one set of limits.
#[derive(Debug)]
pub(crate) struct Accounts {
    limits: Limits,
    start: Instant,
    callers: Mutex<HashMap<Caller, Account>>,
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
        let mut callers = HashMap::new();
        if limits.blocked.is_some() {
            let old = before.lock();
            let paused = old.iter().filter_map(|(caller, account)| {
                Some((caller.clone(), Account::paused_until(account.paused()?)))
            });
            callers.extend(paused);
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
        let mut callers = self.lock();
        if callers.len() > REMEMBERED {
            callers.retain(|_, account| account.is_of_interest(&self.limits, now));
        }
        act(callers.entry(caller.clone()).or_default(), now)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Caller, Account>> {
        self.callers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === What is counted together with other guards ===

impl Accounts {
    /// Refuses whom this guard alone knows to have used up what there is. Counts nothing.
    pub(super) fn look(&self, caller: &Caller) -> Result<(), Denial> {
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
        let due = callers.iter_mut().filter_map(|(caller, account)| {
            let due = account.is_of_interest(&self.limits, now) && account.must_report_anew();
            due.then(|| caller.clone())
        });
        due.collect()
    }
}
