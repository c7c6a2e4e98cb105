//! The policy in force, replaced while requests are under way.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use http::HeaderValue;
use jiff::Timestamp;
use policies::{ClassifierCalibration, Diagnostics, Policy, TestOutcome};

use crate::limit::Accounts;
use crate::signed::{Fetch, Fetches, Signed};

/// The policy in force. Every exchange takes it once, at its beginning, and keeps it to its end: what it is told,
/// what is recorded and how a stream goes on come from one document.
#[derive(Debug)]
pub struct ActivePolicy {
    current: ArcSwap<InForce>,
    calibrations: Vec<ClassifierCalibration>,
    standbys: Vec<Arc<str>>,
    replaced: AtomicU64,
    refused: AtomicU64,
    fetches: Fetches,
}

/// A policy with what is counted under it.
#[derive(Debug)]
pub(crate) struct InForce {
    pub(crate) policy: Policy,
    pub(crate) accounts: Arc<Accounts>,
    /// Its name and digest, for a header.
    pub(crate) label: Option<HeaderValue>,
    /// What is known of it, if it came with a signature.
    pub(crate) signed: Option<Signed>,
}

/// A policy that can be put in force: it was read, passes its own tests, and can be followed here.
#[derive(Debug)]
pub struct Candidate {
    policy: Policy,
    warnings: Diagnostics,
}

/// Why a new policy was not taken. The one before it stays in force.
#[derive(Debug)]
pub enum Refused {
    /// It cannot be read.
    Wrong(Diagnostics),
    /// It does not do what its own tests say; those that fail.
    TestsFail(Vec<TestOutcome>),
    /// It lets this one judge in another's place, and there is none.
    NoStandby(Arc<str>),
}

/// What a new policy came to.
#[derive(Debug)]
pub enum Reloaded {
    /// It is in force, with these warnings.
    Replaced(Diagnostics),
    /// It is the one that is in force already.
    Same,
}

impl ActivePolicy {
    /// `policy`, its words for sensitivities meaning what was measured for these classifiers.
    #[must_use]
    pub fn new(policy: Policy, calibrations: Vec<ClassifierCalibration>) -> Self {
        let policy = policy.calibrated(calibrations.iter().cloned());
        let accounts = Arc::new(Accounts::new(policy.limits()));
        Self {
            current: ArcSwap::from_pointee(InForce::new(policy, accounts, None)),
            calibrations,
            standbys: Vec::new(),
            replaced: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            fetches: Fetches::default(),
        }
    }

    /// The same, where these can judge in another's place: a policy that names somebody else is not taken.
    #[must_use]
    pub fn with_standbys(self, standbys: Vec<Arc<str>>) -> Self {
        Self { standbys, ..self }
    }

    /// The same, where the policy came with a signature.
    #[must_use]
    pub fn with_signature(self, signed: Option<Signed>) -> Self {
        let current = self.current.load().with(signed);
        self.current.store(Arc::new(current));
        self
    }

    /// The policy in force.
    #[must_use]
    pub fn policy(&self) -> Policy {
        self.current.load().policy.clone()
    }

    /// How many policies were taken, and how many were refused, since the start.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        (self.replaced.load(Ordering::Relaxed), self.refused.load(Ordering::Relaxed))
    }

    /// What is known of the policy in force, if it came with a signature.
    #[must_use]
    pub fn signed(&self) -> Option<Signed> {
        self.current.load().signed
    }

    /// Counts what became of looking for a newer policy at its place.
    pub fn fetched(&self, fetch: Fetch) {
        self.fetches.count(fetch, Timestamp::now());
    }

    pub(crate) const fn fetches(&self) -> &Fetches {
        &self.fetches
    }

    pub(crate) fn load(&self) -> Arc<InForce> {
        self.current.load_full()
    }

    /// Puts the document `source` in force, if it can be read, passes its own tests and can be followed here.
    /// What callers have used up stays used up where no limit changed; who is paused stays paused.
    ///
    /// # Errors
    /// When it is not taken; the policy before it stays in force.
    pub fn reload(&self, source: &str, file: &str) -> Result<Reloaded, Refused> {
        Ok(self.enforce(self.examine(source, file)?, None))
    }

    /// Reads the document `source`, runs its tests, and sees whether it can be followed here; puts nothing in force.
    ///
    /// # Errors
    /// When it can not be put in force.
    pub fn examine(&self, source: &str, file: &str) -> Result<Candidate, Refused> {
        self.read(source, file)
            .map(|(policy, warnings)| Candidate { policy, warnings })
            .inspect_err(|_| {
                self.refused.fetch_add(1, Ordering::Relaxed);
            })
    }

    /// Puts a policy in force, with what is known of it if it came with a signature.
    pub fn enforce(&self, candidate: Candidate, signed: Option<Signed>) -> Reloaded {
        let Candidate { policy, warnings } = candidate;
        let before = self.current.load_full();
        if before.policy.label() == policy.label() {
            if before.signed != signed {
                self.current.store(Arc::new(before.with(signed)));
            }
            return Reloaded::Same;
        }
        let policy = policy.calibrated(self.calibrations.iter().cloned());
        let accounts = Accounts::continued(&before.accounts, policy.limits());
        self.current.store(Arc::new(InForce::new(policy, accounts, signed)));
        self.replaced.fetch_add(1, Ordering::Relaxed);
        Reloaded::Replaced(warnings)
    }

    fn read(&self, source: &str, file: &str) -> Result<(Policy, Diagnostics), Refused> {
        let (policy, warnings) = Policy::parse(source, file).map_err(Refused::Wrong)?;
        let mut failed = policy.run_tests();
        failed.retain(|outcome| !outcome.passed);
        if !failed.is_empty() {
            return Err(Refused::TestsFail(failed));
        }
        if let Some(missing) = policy.standbys().find(|name| !self.standbys.contains(name)) {
            return Err(Refused::NoStandby(Arc::clone(missing)));
        }
        Ok((policy, warnings))
    }
}

impl InForce {
    fn new(policy: Policy, accounts: Arc<Accounts>, signed: Option<Signed>) -> Self {
        let label = HeaderValue::from_str(policy.label()).ok();
        Self { policy, accounts, label, signed }
    }

    /// The same policy and the same accounts, by another signature.
    fn with(&self, signed: Option<Signed>) -> Self {
        let (policy, label) = (self.policy.clone(), self.label.clone());
        Self { policy, accounts: Arc::clone(&self.accounts), label, signed }
    }
}
