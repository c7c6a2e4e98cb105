//! The tests inside a policy document: evidence made up, decision compared.

use std::sync::Arc;

use classifiers_core::{Category, Direction};

use crate::{Action, Because, Decision, Evidence, Failure, Observation, Policy, decide};

/// How one test of a policy document went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestOutcome {
    /// What the test is called.
    pub name: String,
    /// The line of the document it starts on.
    pub line: usize,
    /// Whether the policy does what the test says.
    pub passed: bool,
    /// What the test says, in words.
    pub expected: String,
    /// What the policy does, in words.
    pub got: String,
}

/// One compiled test.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) line: usize,
    /// The case is run once for each.
    pub(crate) at: Vec<Direction>,
    /// Findings about the text as a whole.
    pub(crate) scores: Vec<(Category, f32)>,
    /// So many certain findings with exact spans.
    pub(crate) found: Vec<(Category, usize)>,
    /// Checks that give no verdict.
    pub(crate) failed: Vec<String>,
    pub(crate) expect: Expect,
}

/// What a test says should come out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expect {
    pub(crate) action: Action,
    /// One of the reasons, where the test names one.
    pub(crate) because: Option<Because>,
    /// `None` means: the same as `action`.
    pub(crate) would: Option<Action>,
}

/// Runs `case`; of several directions, the first that differs is the outcome.
pub(crate) fn run(policy: &Policy, case: &Case) -> TestOutcome {
    let differs = case.at.iter().find_map(|direction| {
        let decision = decide(policy, &case.evidence(*direction));
        (!case.expect.met_by(&decision)).then(|| case.describe(*direction, &decision))
    });
    let expected = case.expect.describe();
    TestOutcome {
        name: case.name.clone(),
        line: case.line,
        passed: differs.is_none(),
        got: differs.unwrap_or_else(|| expected.clone()),
        expected,
    }
}

impl Case {
    fn evidence(&self, direction: Direction) -> Evidence {
        let observation = |category, score, span| Observation {
            direction,
            category,
            score,
            classifier: Arc::from("test"),
            at: Arc::from(""),
            span,
        };
        let whole = self.scores.iter().map(|(c, score)| observation(*c, *score, None));
        let exact = self.found.iter().flat_map(|(category, count)| {
            // Any spans do, as long as they are not empty and do not touch.
            (0..*count).map(|n| observation(*category, 1.0, Some(n * 2..n * 2 + 1)))
        });
        let failures = self.failed.iter().map(|check| Failure {
            direction,
            check: Arc::from(check.as_str()),
            reason: "made up by a test".to_owned(),
        });
        Evidence { observations: whole.chain(exact).collect(), failures: failures.collect() }
    }

    fn describe(&self, direction: Direction, decision: &Decision) -> String {
        let got = words(decision.action, decision.would, &decision.because);
        if self.at.len() > 1 { format!("{got}, at {direction}") } else { got }
    }
}

impl Expect {
    fn met_by(&self, decision: &Decision) -> bool {
        self.action == decision.action
            && self.would == decision.would
            && self.because.is_none_or(|because| decision.because.contains(&because))
    }

    fn describe(&self) -> String {
        words(self.action, self.would, self.because.as_slice())
    }
}

/// `block because of jailbreak`, `allow, would block`.
fn words(action: Action, would: Option<Action>, because: &[Because]) -> String {
    let mut words = action.name().to_owned();
    if let Some(would) = would {
        words.push_str(", would ");
        words.push_str(would.name());
    }
    if !because.is_empty() {
        let names: Vec<&str> = because.iter().map(|because| because.name()).collect();
        words.push_str(" because of ");
        words.push_str(&names.join(", "));
    }
    words
}
