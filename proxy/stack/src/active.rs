//! The policy in force, replaced while requests are under way.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use http::HeaderValue;
use policies::{ClassifierCalibration, Diagnostics, Policy, TestOutcome};

use crate::limit::Accounts;

/// The policy in force. Every exchange takes it once, at its beginning, and keeps it to its end: what it is told,
/// what is recorded and how a stream goes on come from one document.
#[derive(Debug)]
pub struct ActivePolicy {
    current: ArcSwap<InForce>,
    calibrations: Vec<ClassifierCalibration>,
    standbys: Vec<Arc<str>>,
    replaced: AtomicU64,
    refused: AtomicU64,
}

/// A policy with what is counted under it.
#[derive(Debug)]
pub(crate) struct InForce {
    pub(crate) policy: Policy,
    pub(crate) accounts: Arc<Accounts>,
    /// Its name and digest, for a header.
    pub(crate) label: Option<HeaderValue>,
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
            current: ArcSwap::from_pointee(InForce::new(policy, accounts)),
            calibrations,
            standbys: Vec::new(),
            replaced: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }
    }

    /// The same, where these can judge in another's place: a policy that names somebody else is not taken.
    #[must_use]
    pub fn with_standbys(self, standbys: Vec<Arc<str>>) -> Self {
        Self { standbys, ..self }
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

    pub(crate) fn load(&self) -> Arc<InForce> {
        self.current.load_full()
    }

    /// Puts the document `source` in force, if it can be read, passes its own tests and can be followed here.
    /// What callers have used up stays used up where no limit changed; who is paused stays paused.
    ///
    /// # Errors
    /// When it is not taken; the policy before it stays in force.
    pub fn reload(&self, source: &str, file: &str) -> Result<Reloaded, Refused> {
        let (policy, warnings) = self.read(source, file).inspect_err(|_| {
            self.refused.fetch_add(1, Ordering::Relaxed);
        })?;
        let before = self.current.load_full();
        if before.policy.label() == policy.label() {
            return Ok(Reloaded::Same);
        }
        let policy = policy.calibrated(self.calibrations.iter().cloned());
        let accounts = Accounts::continued(&before.accounts, policy.limits());
        self.current.store(Arc::new(InForce::new(policy, accounts)));
        self.replaced.fetch_add(1, Ordering::Relaxed);
        Ok(Reloaded::Replaced(warnings))
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
    fn new(policy: Policy, accounts: Arc<Accounts>) -> Self {
        let label = HeaderValue::from_str(policy.label()).ok();
        Self { policy, accounts, label }
    }
}
