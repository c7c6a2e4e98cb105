//! What each caller has used.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use policies::{Limits, Quota};

use super::window::Window;
use crate::arrival::Caller;
use crate::denial::Denial;

/// Above this many callers, those that have used nothing within their periods are forgotten; about 3 KB each.
const REMEMBERED: usize = 20_000;

/// What callers have used under one set of limits.
#[derive(Debug)]
pub(crate) struct Accounts {
    limits: Limits,
    start: Instant,
    callers: Mutex<HashMap<Caller, Account>>,
}

#[derive(Debug, Default)]
struct Account {
    requests: Option<Window>,
    tokens: Option<Window>,
    blocked: Option<Window>,
    /// Refused until then, counted from the start.
    paused: Option<Duration>,
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
            let paused = old.iter().filter(|(_, account)| account.paused.is_some());
            let kept = paused.map(|(caller, account)| {
                (caller.clone(), Account { paused: account.paused, ..Account::default() })
            });
            callers.extend(kept);
        }
        Arc::new(Self { limits, start: before.start, callers: Mutex::new(callers) })
    }

    /// Counts a request of `caller`, or says why it is refused.
    pub(crate) fn admit(&self, caller: &Caller) -> Result<(), Denial> {
        if self.limits == Limits::default() {
            return Ok(());
        }
        let now = self.start.elapsed();
        let mut callers = self.lock();
        if callers.len() > REMEMBERED {
            callers.retain(|_, account| account.is_of_interest(&self.limits, now));
        }
        callers.entry(caller.clone()).or_default().admit(&self.limits, now)
    }

    /// Counts what an exchange of `caller` came to.
    pub(crate) fn settle(&self, caller: &Caller, used: Used) {
        let Limits { tokens, blocked, .. } = self.limits;
        if tokens.is_none() && !(blocked.is_some() && used.blocked) {
            return;
        }
        let now = self.start.elapsed();
        let mut callers = self.lock();
        let account = callers.entry(caller.clone()).or_default();
        if let Some(quota) = tokens {
            account.tokens.get_or_insert_with(Window::new).add(&quota, now, used.tokens);
        }
        if let (Some(budget), true) = (blocked, used.blocked) {
            let window = account.blocked.get_or_insert_with(Window::new);
            window.add(&budget.allow, now, 1);
            if window.used(&budget.allow, now) > u64::from(budget.allow.count.get()) {
                account.paused = Some(now + budget.pause);
                // A new chance afterwards, not a pause for the next block.
                account.blocked = None;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Caller, Account>> {
        self.callers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Account {
    fn admit(&mut self, limits: &Limits, now: Duration) -> Result<(), Denial> {
        if let Some(until) = self.paused {
            if now < until {
                return Err(Denial::Paused { retry_after: until - now });
            }
            self.paused = None;
        }
        let full = |window: &mut Option<Window>, quota: &Quota| {
            let window = window.get_or_insert_with(Window::new);
            let full = window.used(quota, now) >= u64::from(quota.count.get());
            full.then(|| window.wait(quota, now))
        };
        if let Some(quota) = &limits.tokens
            && let Some(retry_after) = full(&mut self.tokens, quota)
        {
            return Err(Denial::TokensUsedUp { limit: quota.count.get(), retry_after });
        }
        if let Some(quota) = &limits.requests {
            if let Some(retry_after) = full(&mut self.requests, quota) {
                return Err(Denial::RateLimited { limit: quota.count.get(), retry_after });
            }
            self.requests.get_or_insert_with(Window::new).add(quota, now, 1);
        }
        Ok(())
    }

    /// Whether forgetting it would give the caller something back.
    fn is_of_interest(&mut self, limits: &Limits, now: Duration) -> bool {
        let used = |window: &mut Option<Window>, quota: Option<Quota>| {
            window.as_mut().zip(quota).is_some_and(|(window, quota)| window.used(&quota, now) > 0)
        };
        self.paused.is_some_and(|until| now < until)
            || used(&mut self.requests, limits.requests)
            || used(&mut self.tokens, limits.tokens)
            || used(&mut self.blocked, limits.blocked.map(|budget| budget.allow))
    }
}
