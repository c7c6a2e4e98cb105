//! The tests inside a policy document: evidence made up, decision compared.

use std::collections::BTreeSet;
use std::sync::Arc;

use classifiers_core::{Category, Direction};

use crate::route::Request;
use crate::{
    Action, Because, CustomObservation, Decision, Evidence, Failure, Observation, Policy, Spoken,
    decide,
};

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

/// A test that has a text, to be run through real classifiers.
#[derive(Clone, Debug)]
pub struct LiveTest<'p> {
    case: &'p Case,
    /// The policy as it applies to the test's request.
    pub policy: Policy,
    /// What a person says.
    pub user: Option<&'p str>,
    /// What the model says.
    pub reply: Option<&'p str>,
}

/// One cell of a policy's table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    /// The profile; a cell that is as in `base` is not told apart from it.
    pub profile: String,
    /// The row.
    pub category: Category,
    /// The column.
    pub direction: Direction,
    /// What the table says there.
    pub action: Action,
}

/// One compiled test.
#[derive(Clone, Debug, Default)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) line: usize,
    pub(crate) asks: Asks,
    /// The case is run once for each.
    pub(crate) at: Vec<Direction>,
    /// Findings about the text as a whole.
    pub(crate) scores: Vec<(Category, f32)>,
    /// The same about hazards of the policy's own.
    pub(crate) custom: Vec<(Arc<str>, f32)>,
    /// So many certain findings with exact spans.
    pub(crate) found: Vec<(Category, usize)>,
    /// Checks that give no verdict.
    pub(crate) failed: Vec<String>,
    pub(crate) language: Option<String>,
    pub(crate) user: Option<String>,
    pub(crate) reply: Option<String>,
    pub(crate) expect: Expect,
}

/// The request of a test.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asks {
    pub(crate) key: Option<String>,
    pub(crate) model: Option<String>,
    pub(crate) path: Option<String>,
    pub(crate) header: Vec<(String, String)>,
}

/// What a test says should come out.
#[derive(Clone, Debug, Default)]
pub(crate) struct Expect {
    pub(crate) action: Action,
    /// One of the reasons, where the test names one.
    pub(crate) because: Option<Reason>,
    /// `None` means: the same as `action`.
    pub(crate) would: Option<Action>,
}

/// What a test may give as a reason.
#[derive(Clone, Debug)]
pub(crate) enum Reason {
    Because(Because),
    Exemption(Arc<str>),
}

/// Runs `case`; of several directions, the first that differs is the outcome.
pub(crate) fn run(policy: &Policy, case: &Case) -> TestOutcome {
    let policy = case.applied(policy);
    let differs = case.at.iter().find_map(|direction| {
        let decision = decide(&policy, &case.evidence(*direction));
        (!case.expect.met_by(&decision)).then(|| case.describe(*direction, &decision))
    });
    case.outcome(differs)
}

impl Policy {
    /// The tests that have a text.
    #[must_use]
    pub fn live_tests(&self) -> Vec<LiveTest<'_>> {
        let with_text = |case: &&Case| case.user.is_some() || case.reply.is_some();
        let cases = self.document.cases.iter().filter(with_text);
        cases.map(|case| LiveTest::new(self, case)).collect()
    }

    /// How many tests the document has.
    #[must_use]
    pub fn count_tests(&self) -> usize {
        self.document.cases.len()
    }

    /// The cells that no test touches, those that allow too.
    #[must_use]
    pub fn untested_cells(&self) -> Vec<Cell> {
        let mut touched = BTreeSet::new();
        for case in &self.document.cases {
            let profile = case.applied(self).profile;
            for direction in &case.at {
                for category in case.categories() {
                    touched.insert((Arc::clone(&profile.name), category, *direction));
                }
            }
        }
        self.own_cells().filter(|(key, _)| !touched.contains(key)).map(|(_, cell)| cell).collect()
    }

    /// How many cells there are to test: all of `base`, and of each profile what differs.
    #[must_use]
    pub fn count_cells(&self) -> usize {
        self.own_cells().count()
    }

    fn own_cells(&self) -> impl Iterator<Item = ((Arc<str>, Category, Direction), Cell)> {
        let base = self.document.profiles.first();
        self.document.profiles.iter().enumerate().flat_map(move |(place, profile)| {
            let cells = Category::ALL
                .into_iter()
                .flat_map(|category| Direction::ALL.map(|direction| (category, direction)));
            cells
                .filter(move |(category, direction)| {
                    let of =
                        |profile: &crate::profile::Profile| profile.rule(*category, *direction);
                    place == 0 || base.is_none_or(|base| of(base) != of(profile))
                })
                .map(|(category, direction)| {
                    let action = profile.rule(category, direction).action;
                    let key = (Arc::clone(&profile.name), category, direction);
                    (key, Cell { profile: profile.name.to_string(), category, direction, action })
                })
        })
    }
}

impl<'p> LiveTest<'p> {
    fn new(policy: &Policy, case: &'p Case) -> Self {
        let (user, reply) = (case.user.as_deref(), case.reply.as_deref());
        Self { case, policy: case.applied(policy), user, reply }
    }

    /// Where the text is judged.
    #[must_use]
    pub fn directions(&self) -> &'p [Direction] {
        &self.case.at
    }

    /// How it went, by the decisions for each direction.
    #[must_use]
    pub fn outcome(&self, decisions: &[(Direction, Decision)]) -> TestOutcome {
        let differs = decisions.iter().find_map(|(direction, decision)| {
            let met = self.case.expect.met_by(decision);
            (!met).then(|| self.case.describe(*direction, decision))
        });
        self.case.outcome(differs)
    }
}

impl Case {
    /// The policy for the request of this test; exemptions hold whatever day it is.
    fn applied(&self, policy: &Policy) -> Policy {
        let Asks { key, model, path, header } = &self.asks;
        let header = |name: &str| {
            let found = header.iter().find(|(known, _)| known == name);
            found.map(|(_, value)| value.clone())
        };
        let (key, model, path) = (key.as_deref(), model.as_deref(), path.as_deref());
        policy.for_request(&Request { key, model, path, header: &header }, None)
    }

    fn categories(&self) -> impl Iterator<Item = Category> {
        let scored = self.scores.iter().map(|(category, _)| *category);
        scored.chain(self.found.iter().map(|(category, _)| *category))
    }

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
        let custom = self.custom.iter().map(|(hazard, score)| CustomObservation {
            direction,
            hazard: Arc::clone(hazard),
            score: *score,
        });
        let spoken = self.language.as_deref().map(Arc::from);
        let failures = self.failed.iter().map(|check| Failure {
            direction,
            check: Arc::from(check.as_str()),
            reason: "made up by a test".to_owned(),
        });
        Evidence {
            observations: whole.chain(exact).collect(),
            custom: custom.collect(),
            languages: spoken.map(|language| Spoken { direction, language }).into_iter().collect(),
            failures: failures.collect(),
        }
    }

    fn outcome(&self, differs: Option<String>) -> TestOutcome {
        let expected = self.expect.describe();
        TestOutcome {
            name: self.name.clone(),
            line: self.line,
            passed: differs.is_none(),
            got: differs.unwrap_or_else(|| expected.clone()),
            expected,
        }
    }

    fn describe(&self, direction: Direction, decision: &Decision) -> String {
        let because = decision.because.iter().map(Because::name);
        let reasons: Vec<&str> =
            because.chain(decision.exemptions.iter().map(|id| &**id)).collect();
        let got = words(decision.action, decision.would, &reasons);
        if self.at.len() > 1 { format!("{got}, at {direction}") } else { got }
    }
}

impl Expect {
    fn met_by(&self, decision: &Decision) -> bool {
        self.action == decision.action
            && self.would == decision.would
            && self.because.as_ref().is_none_or(|reason| reason.is_in(decision))
    }

    fn describe(&self) -> String {
        let because = self.because.as_ref().map(Reason::name);
        words(self.action, self.would, because.as_slice())
    }
}

impl Reason {
    fn is_in(&self, decision: &Decision) -> bool {
        match self {
            Self::Because(because) => decision.because.contains(because),
            Self::Exemption(id) => decision.exemptions.contains(id),
        }
    }

    fn name(&self) -> &str {
        match self {
            Self::Because(because) => because.name(),
            Self::Exemption(id) => id,
        }
    }
}

/// `block because of jailbreak`, `allow, would block`.
fn words(action: Action, would: Option<Action>, because: &[&str]) -> String {
    let mut words = action.name().to_owned();
    if let Some(would) = would {
        words.push_str(", would ");
        words.push_str(would.name());
    }
    if !because.is_empty() {
        words.push_str(" because of ");
        words.push_str(&because.join(", "));
    }
    words
}
