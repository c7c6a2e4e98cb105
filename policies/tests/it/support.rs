//! What the tests share.

#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::sync::Arc;

use classifiers_core::{Category, Direction};
use policies::{Context, Diagnostics, Evidence, Failure, Observation, Policy};

/// The policy in `source`, which must be right.
pub(crate) fn policy(source: &str) -> Policy {
    Policy::parse(source, "policy.yaml").unwrap().0
}

/// What is said about `source`, right or wrong.
pub(crate) fn said(source: &str) -> Diagnostics {
    match Policy::parse(source, "policy.yaml") {
        Ok((_, warnings)) => warnings,
        Err(problems) => problems,
    }
}

/// What a check of `source` on `today` says, where no file lies beside it.
pub(crate) fn checked(source: &str, today: &str) -> Diagnostics {
    let context = Context { today: today.parse().unwrap(), has_file: &|_| false };
    match Policy::check(source, "policy.yaml", &context) {
        Ok((_, warnings)) => warnings,
        Err(problems) => problems,
    }
}

/// A policy with this `hazards` section and nothing else.
pub(crate) fn hazards(table: &str) -> Policy {
    policy(&format!("version: 1\nname: test\nhazards: {table}\n"))
}

/// One finding about a text as a whole.
pub(crate) fn whole(direction: Direction, category: Category, score: f32) -> Observation {
    Observation {
        direction,
        category,
        score,
        classifier: Arc::from("starter"),
        at: Arc::from("/messages/0/content"),
        span: None,
    }
}

/// One check that gave no verdict.
pub(crate) fn failure(direction: Direction) -> Failure {
    Failure { direction, check: Arc::from("starter"), reason: "timeout".to_owned() }
}

/// Evidence made of findings alone.
pub(crate) fn evidence(observations: impl IntoIterator<Item = Observation>) -> Evidence {
    Evidence { observations: observations.into_iter().collect(), ..Evidence::default() }
}

/// Asserts that every test inside `policy` passes, and says which does not.
pub(crate) fn assert_own_tests_pass(policy: &Policy) {
    for outcome in policy.run_tests() {
        assert!(outcome.passed, "{}: {outcome:?}", policy.label());
    }
}
