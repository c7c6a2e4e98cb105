//! What is known of a policy that came with a signature, and what becomes of looking for the next one.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use jiff::Timestamp;

/// What the signature of the policy in force covers beside the policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signed {
    /// Its number; each policy has a higher one than the one before it.
    pub serial: u64,
    /// Until when it is good.
    pub expires: Option<Timestamp>,
    /// What happens then, if there is no newer one.
    pub afterwards: Afterwards,
}

/// What happens when the policy in force has expired and there is no newer one. Either way the guard is not ready.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Afterwards {
    /// It goes on deciding.
    #[default]
    Keep,
    /// Nothing is let through.
    Block,
}

impl Signed {
    /// Whether its time is over.
    #[must_use]
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|end| end <= now)
    }

    pub(crate) fn blocks(&self, now: Timestamp) -> bool {
        self.afterwards == Afterwards::Block && self.is_over(now)
    }
}

/// What became of looking for a newer policy at its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fetch {
    /// There was one, and it is in force.
    Taken,
    /// There is none.
    Unchanged,
    /// The place could not be reached, or broke off.
    Unreachable,
    /// It took too long.
    Slow,
    /// It answered with another status than 200; redirects are not followed.
    Status,
    /// What it answered is too large.
    TooLarge,
    /// What it answered is not a signed policy.
    Malformed,
    /// None of the keys that are believed has signed it.
    UnknownKey,
    /// Its signature is of something else.
    Forged,
    /// It is for other guards.
    Audience,
    /// It is older than the one in force, or another one with the same number.
    Rollback,
    /// It is over.
    Expired,
    /// The policy in it is wrong, fails its own tests, or cannot be followed here.
    Policy,
    /// It could not be written where it is kept.
    NotKept,
}

impl Fetch {
    const ALL: [Self; 14] = [
        Self::Taken,
        Self::Unchanged,
        Self::Unreachable,
        Self::Slow,
        Self::Status,
        Self::TooLarge,
        Self::Malformed,
        Self::UnknownKey,
        Self::Forged,
        Self::Audience,
        Self::Rollback,
        Self::Expired,
        Self::Policy,
        Self::NotKept,
    ];

    /// As metrics spell it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Taken => "taken",
            Self::Unchanged => "unchanged",
            Self::Unreachable => "unreachable",
            Self::Slow => "slow",
            Self::Status => "status",
            Self::TooLarge => "too_large",
            Self::Malformed => "malformed",
            Self::UnknownKey => "unknown_key",
            Self::Forged => "forged",
            Self::Audience => "audience",
            Self::Rollback => "rollback",
            Self::Expired => "expired",
            Self::Policy => "policy",
            Self::NotKept => "not_kept",
        }
    }
}

/// How often what came of looking.
#[derive(Debug, Default)]
pub(crate) struct Fetches {
    counts: [AtomicU64; Fetch::ALL.len()],
    /// When the place last held what is in force, in seconds since 1970; 0 for never.
    confirmed: AtomicI64,
}

impl Fetches {
    pub(crate) fn count(&self, fetch: Fetch, now: Timestamp) {
        if let Some(count) = self.counts.get(fetch as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        if matches!(fetch, Fetch::Taken | Fetch::Unchanged) {
            self.confirmed.store(now.as_second(), Ordering::Relaxed);
        }
    }

    pub(crate) fn each(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        let names = Fetch::ALL.iter().map(|fetch| fetch.name());
        names.zip(self.counts.iter().map(|count| count.load(Ordering::Relaxed)))
    }

    pub(crate) fn confirmed(&self) -> i64 {
        self.confirmed.load(Ordering::Relaxed)
    }
}
