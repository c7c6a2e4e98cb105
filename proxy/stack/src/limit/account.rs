//! What one caller has used.

use std::time::Duration;

use policies::{Limits, Quota};

use super::accounts::Used;
use super::window::Window;
use crate::denial::Denial;

/// How long is remembered at most that a common account has no room, so that it is not asked about every request of
/// who asks on and on; the answer would be the same, unless somebody has cleared the account.
const REMEMBERED: Duration = Duration::from_secs(1);

/// What is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Requests,
    Tokens,
    Blocked,
}

impl Kind {
    pub(super) const ALL: [Self; 3] = [Self::Requests, Self::Tokens, Self::Blocked];

    /// The quota of it, if there is one.
    pub(super) fn quota(self, limits: &Limits) -> Option<Quota> {
        match self {
            Self::Requests => limits.requests,
            Self::Tokens => limits.tokens,
            Self::Blocked => limits.blocked.map(|budget| budget.allow),
        }
    }
}

/// Why a common account has no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    Requests,
    Tokens,
    Paused,
}

impl Refusal {
    fn denial(self, limits: &Limits, retry_after: Duration) -> Denial {
        let count = |quota: Option<Quota>| quota.map_or(0, |quota| quota.count.get());
        match self {
            Self::Requests => Denial::RateLimited { limit: count(limits.requests), retry_after },
            Self::Tokens => Denial::TokensUsedUp { limit: count(limits.tokens), retry_after },
            Self::Paused => Denial::Paused { retry_after },
        }
    }
}

/// What a guard tells the others about one caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Report {
    /// Which common account it is for; 0 if none is known.
    pub(super) common: u64,
    /// What, how many slots ago, how much.
    pub(super) owed: Vec<(Kind, u64, u64)>,
}

#[derive(Debug, Default)]
pub(super) struct Account {
    requests: Meter,
    tokens: Meter,
    blocked: Meter,
    /// Refused until then. All times are counted from the start.
    paused: Option<Duration>,
    /// Which common account was told everything but what is owed.
    common: u64,
    /// Said by it: until when there is no room, and until when to believe that without asking again.
    full: Option<(Refusal, Duration, Duration)>,
    /// Whether somebody is about to report.
    reporting: bool,
}

/// What was counted of one kind.
#[derive(Debug, Default)]
struct Meter {
    all: Option<Window>,
    /// What of it the others were not told.
    owed: Option<Window>,
}

impl Account {
    /// One of which nothing is known but a pause.
    pub(super) fn paused_until(paused: Duration) -> Self {
        Self { paused: Some(paused), ..Self::default() }
    }

    /// Until when the caller is paused.
    pub(super) const fn paused(&self) -> Option<Duration> {
        self.paused
    }

    fn meter(&mut self, kind: Kind) -> &mut Meter {
        match kind {
            Kind::Requests => &mut self.requests,
            Kind::Tokens => &mut self.tokens,
            Kind::Blocked => &mut self.blocked,
        }
    }

    /// Whether another request has room. Counts nothing.
    pub(super) fn look(&mut self, limits: &Limits, now: Duration) -> Result<(), Denial> {
        if let Some(until) = self.paused {
            if now < until {
                return Err(Denial::Paused { retry_after: until - now });
            }
            self.paused = None;
        }
        if let Some((refusal, until, believed)) = self.full {
            if now < believed {
                return Err(refusal.denial(limits, until.saturating_sub(now)));
            }
            self.full = None;
        }
        for (kind, refusal) in
            [(Kind::Tokens, Refusal::Tokens), (Kind::Requests, Refusal::Requests)]
        {
            if let Some(quota) = kind.quota(limits)
                && let Some(wait) = self.meter(kind).full(&quota, now)
            {
                return Err(refusal.denial(limits, wait));
            }
        }
        Ok(())
    }

    /// Counts a request.
    pub(super) fn count_request(&mut self, limits: &Limits, now: Duration) {
        self.count(Kind::Requests, limits, now, 1);
    }

    fn count(&mut self, kind: Kind, limits: &Limits, now: Duration, count: u64) {
        if let Some(quota) = kind.quota(limits) {
            self.meter(kind).all.get_or_insert_with(Window::new).add(&quota, now, count);
        }
    }

    /// Counts what an exchange came to.
    pub(super) fn settle(&mut self, limits: &Limits, now: Duration, used: Used) {
        self.count(Kind::Tokens, limits, now, used.tokens);
        let Some(budget) = limits.blocked.filter(|_| used.blocked) else { return };
        let window = self.blocked.all.get_or_insert_with(Window::new);
        window.add(&budget.allow, now, 1);
        if window.used(&budget.allow, now) > u64::from(budget.allow.count.get()) {
            self.pause(now + budget.pause);
        }
    }

    fn pause(&mut self, until: Duration) {
        self.paused = Some(until);
        // A new chance afterwards, not a pause for the next block. What is owed is still owed.
        self.blocked.all = None;
    }

    /// Whether forgetting it would give the caller something back.
    pub(super) fn is_of_interest(&mut self, limits: &Limits, now: Duration) -> bool {
        self.paused.is_some_and(|until| now < until)
            || Kind::ALL.into_iter().any(|kind| {
                let quota = kind.quota(limits);
                let window = self.meter(kind).all.as_mut();
                window.zip(quota).is_some_and(|(window, quota)| window.used(&quota, now) > 0)
            })
    }
}

// === What is counted together with other guards ===

impl Account {
    /// Notes that the others are to be told of `count`.
    pub(super) fn owe(&mut self, kind: Kind, limits: &Limits, now: Duration, count: u64) {
        if let Some(quota) = kind.quota(limits).filter(|_| count > 0) {
            self.meter(kind).owed.get_or_insert_with(Window::new).add(&quota, now, count);
        }
    }

    fn owes(&self) -> bool {
        [&self.requests, &self.tokens, &self.blocked].iter().any(|meter| meter.owed.is_some())
    }

    /// Whether something is owed and nobody is about to report it: now somebody is.
    pub(super) fn must_report(&mut self) -> bool {
        self.owes() && self.must_report_anew()
    }

    /// Whether who is about to report has something to report.
    pub(super) fn is_due(&mut self, anyway: bool) -> bool {
        self.reporting = false;
        anyway || self.owes()
    }

    /// The same where the common account may be lost.
    pub(super) fn must_report_anew(&mut self) -> bool {
        !std::mem::replace(&mut self.reporting, true)
    }

    /// What is to be told, which is then no longer owed.
    pub(super) fn report(&mut self, limits: &Limits, now: Duration) -> Report {
        self.reporting = false;
        let mut owed = Vec::new();
        for kind in Kind::ALL {
            let Some(quota) = kind.quota(limits) else { continue };
            let Some(mut window) = self.meter(kind).owed.take() else { continue };
            // The others' slots begin at other times: a slot younger, so that nothing is forgotten too early.
            let younger = |(age, count): (u64, u64)| (kind, age.saturating_sub(1), count);
            owed.extend(window.by_age(&quota, now).into_iter().map(younger));
        }
        Report { common: self.common, owed }
    }

    /// What was told is owed again; unless it is anyway, because the common account is another one now.
    pub(super) fn give_back(&mut self, limits: &Limits, now: Duration, report: &Report) {
        if report.common != self.common {
            return;
        }
        for (kind, age, count) in &report.owed {
            if let Some(quota) = kind.quota(limits) {
                let owed = self.meter(*kind).owed.get_or_insert_with(Window::new);
                owed.add_aged(&quota, now, (*age, *count));
            }
        }
    }

    /// From now on `common` is the common account, which was told nothing.
    pub(super) fn begin_anew(&mut self, limits: &Limits, now: Duration, common: u64) {
        if self.common == common {
            return;
        }
        self.common = common;
        self.full = None;
        for kind in Kind::ALL {
            let (quota, meter) = (kind.quota(limits), self.meter(kind));
            if let Some((all, quota)) = meter.all.as_mut().zip(quota) {
                meter.owed = (all.used(&quota, now) > 0).then(|| all.clone());
            }
        }
    }

    /// A request was counted in the account `common`.
    pub(super) fn admitted(&mut self, limits: &Limits, now: Duration, common: u64) {
        self.count_request(limits, now);
        if self.common != common {
            self.owe(Kind::Requests, limits, now, 1);
        }
    }

    /// Remembers what the common account said.
    pub(super) fn refused(
        &mut self,
        limits: &Limits,
        now: Duration,
        (refusal, wait): (Refusal, Duration),
    ) -> Denial {
        if refusal == Refusal::Paused {
            self.pause(now + wait);
        } else {
            self.full = Some((refusal, now + wait, now + wait.min(REMEMBERED)));
        }
        refusal.denial(limits, wait)
    }
}

impl Meter {
    /// How long there is no room, if there is none.
    fn full(&mut self, quota: &Quota, now: Duration) -> Option<Duration> {
        let window = self.all.get_or_insert_with(Window::new);
        let full = window.used(quota, now) >= u64::from(quota.count.get());
        full.then(|| window.wait(quota, now))
    }
}
