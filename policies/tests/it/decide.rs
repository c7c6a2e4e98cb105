//! What holds for every policy and all evidence, and the cases worth a name.

use std::ops::Range;
use std::sync::Arc;

use classifiers_core::{Category, Direction, TestTriggers};
use policies::{
    Action, Because, Decision, Evidence, Failure, Mode, Observation, Policy, Redaction, decide,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use crate::support::{evidence, failure, hazards, policy, whole};

use Category::{Elections, Hate, Jailbreak, PersonalData, Privacy, Secrets};
use Direction::{Input, Output, Tools};

// === properties ===

#[derive(Clone, Debug)]
struct Line {
    threshold: f32,
    actions: [Action; 3],
    shadow: bool,
}

/// A whole policy, not yet written down.
#[derive(Clone, Debug)]
struct Written {
    lines: Vec<Line>,
    on_failure: [Action; 3],
    shadow: bool,
    test_triggers: bool,
}

impl Written {
    fn compile(&self) -> Policy {
        let mode = |shadow| if shadow { Mode::Shadow } else { Mode::Enforce };
        let mut source = format!(
            "version: 1\nname: random\nmode: {}\ntest_triggers: {}\non_failure: {}\nhazards:\n",
            mode(self.shadow),
            self.test_triggers,
            actions(self.on_failure),
        );
        for (category, line) in Category::ALL.iter().zip(&self.lines) {
            source.push_str(&format!(
                "  {category}: {{ sensitivity: {}, mode: {}, {}\n",
                line.threshold,
                mode(line.shadow),
                actions(line.actions).trim_start_matches('{'),
            ));
        }
        policy(&source)
    }
}

fn actions([input, output, tools]: [Action; 3]) -> String {
    format!("{{ input: {input}, output: {output}, tools: {tools} }}")
}

fn score() -> impl Strategy<Value = f32> {
    prop_oneof![select(vec![0.0, 0.4, 0.7, 0.9, 1.0]), 0.0..=1.0f32]
}

fn written() -> impl Strategy<Value = Written> {
    let line = (score(), [action(), action(), action()], prop::bool::weighted(0.2))
        .prop_map(|(threshold, actions, shadow)| Line { threshold, actions, shadow });
    let failing = || select(vec![Action::Allow, Action::Flag, Action::Block]);
    let lines = vec(line, Category::ALL.len());
    (lines, [failing(), failing(), failing()], any::<bool>(), any::<bool>()).prop_map(
        |(lines, on_failure, shadow, test_triggers)| Written {
            lines,
            on_failure,
            shadow,
            test_triggers,
        },
    )
}

fn action() -> impl Strategy<Value = Action> {
    select(Action::ALL.to_vec())
}

fn span() -> impl Strategy<Value = Option<Range<usize>>> {
    option::weighted(0.7, (0..20usize, 0..20usize).prop_map(|(start, end)| start..end))
}

fn observation() -> impl Strategy<Value = Observation> {
    let odd = select(vec![f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.1, 1.1, f32::MAX]);
    let score = prop_oneof![30 => score(), 1 => odd];
    let classifier = select(vec!["starter", "patterns", TestTriggers::NAME]);
    let at = select(vec!["/messages/0/content", "/messages/1/content"]);
    (direction(), select(Category::ALL.to_vec()), score, classifier, at, span()).prop_map(
        |(direction, category, score, classifier, at, span)| Observation {
            direction,
            category,
            score,
            classifier: Arc::from(classifier),
            at: Arc::from(at),
            span,
        },
    )
}

fn direction() -> impl Strategy<Value = Direction> {
    select(Direction::ALL.to_vec())
}

fn anything() -> impl Strategy<Value = Evidence> {
    let failures =
        prop_oneof![3 => Just(Vec::new()), 1 => vec(direction().prop_map(failure), 0..3)];
    (vec(observation(), 0..12), failures)
        .prop_map(|(observations, failures)| Evidence { observations, failures })
}

/// What each observation asks for, worked out the slow way.
fn asked(policy: &Policy, seen: &Observation) -> Option<(Action, Mode)> {
    if &*seen.classifier == TestTriggers::NAME && !policy.test_triggers() {
        return None;
    }
    if seen.score.is_nan() || seen.score < 0.0 || seen.score > 1.0 {
        return Some((policy.on_failure(seen.direction), policy.mode()));
    }
    let rule = policy.rule(seen.category, seen.direction);
    let cuttable = seen.span.as_ref().is_some_and(|span| !span.is_empty());
    match rule.action {
        _ if seen.score < rule.threshold => None,
        Action::Redact if !cuttable => Some((Action::Block, rule.mode)),
        action => Some((action, rule.mode)),
    }
}

fn check_consistent(policy: &Policy, evidence: &Evidence, decision: &Decision) {
    let Decision { verdict, action, would, because, redactions, unavailable } = decision;
    let mut asked: Vec<(Action, Mode)> =
        evidence.observations.iter().filter_map(|seen| self::asked(policy, seen)).collect();
    let on_failure = |f: &Failure| (policy.on_failure(f.direction), policy.mode());
    asked.extend(evidence.failures.iter().map(on_failure));
    let strongest = |votes: &mut dyn Iterator<Item = &(Action, Mode)>| {
        votes.map(|(action, _)| *action).max().unwrap_or(Action::Allow)
    };
    assert_eq!(*verdict, strongest(&mut asked.iter()));
    assert_eq!(*action, strongest(&mut asked.iter().filter(|(_, mode)| *mode == Mode::Enforce)));
    assert_eq!(*would, (verdict != action).then_some(*verdict));
    assert_eq!(because.is_empty(), *verdict == Action::Allow);
    let mut unique = because.clone();
    unique.sort();
    unique.dedup();
    assert_eq!(unique.len(), because.len(), "{because:?}");
    assert_eq!(redactions.is_empty(), *action != Action::Redact);
    assert!(redactions.iter().all(|cut| !cut.span.is_empty()));
    assert!(!unavailable || (*action == Action::Block && because.contains(&Because::OnFailure)));
}

/// Without the modes of single hazards, so that only the policy's own mode counts.
fn without_hazard_modes(mut written: Written) -> Written {
    written.lines.iter_mut().for_each(|line| line.shadow = false);
    written
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn the_strongest_wins_and_the_parts_agree(written in written(), evidence in anything()) {
        let policy = written.compile();
        check_consistent(&policy, &evidence, &decide(&policy, &evidence));
    }

    #[test]
    fn more_evidence_is_never_weaker(
        written in written(),
        evidence in anything(),
        more in observation(),
        failing in direction(),
    ) {
        let policy = written.compile();
        let before = decide(&policy, &evidence);
        let mut seen = evidence.clone();
        seen.observations.push(more);
        let mut failed = evidence;
        failed.failures.push(failure(failing));
        for after in [decide(&policy, &seen), decide(&policy, &failed)] {
            prop_assert!(after.verdict >= before.verdict);
            prop_assert!(after.action >= before.action);
        }
    }

    #[test]
    fn order_does_not_matter(
        written in written(),
        (evidence, shuffled) in anything().prop_flat_map(|evidence| {
            let shuffled = Just(evidence.observations.clone()).prop_shuffle();
            (Just(evidence), shuffled)
        }),
    ) {
        let policy = written.compile();
        let failures = evidence.failures.iter().rev().cloned().collect();
        let other = Evidence { observations: shuffled, failures };
        prop_assert_eq!(decide(&policy, &evidence), decide(&policy, &other));
    }

    #[test]
    fn shadow_never_touches_traffic(written in written(), evidence in anything()) {
        let written = without_hazard_modes(written);
        let enforce = decide(&Written { shadow: false, ..written.clone() }.compile(), &evidence);
        let shadow = decide(&Written { shadow: true, ..written }.compile(), &evidence);
        prop_assert_eq!(shadow.action, Action::Allow);
        prop_assert!(shadow.redactions.is_empty() && !shadow.unavailable);
        prop_assert_eq!(shadow.would.unwrap_or(Action::Allow), enforce.action);
        prop_assert_eq!(shadow.verdict, enforce.verdict);
        prop_assert_eq!(shadow.because, enforce.because);
    }

    #[test]
    fn what_cannot_be_cut_out_is_blocked(evidence in anything(), direction in direction()) {
        let policy = hazards("{ defaults: { input: redact, output: redact, tools: redact } }");
        let mut evidence = evidence;
        evidence.observations.push(whole(direction, Secrets, 1.0));
        let decision = decide(&policy, &evidence);
        prop_assert_eq!(decision.action, Action::Block);
        prop_assert!(decision.redactions.is_empty() && !decision.unavailable);
    }
}

// === cases ===

fn found(direction: Direction, category: Category, span: Range<usize>) -> Observation {
    Observation { span: Some(span), ..whole(direction, category, 1.0) }
}

const TABLE: &str = "
  defaults: { sensitivity: 0.5, input: block, output: block, tools: allow }
  hate: { input: flag }
  privacy: { input: flag }
  elections: { mode: shadow }
  secrets: { input: redact, tools: redact }
  personal_data: { input: redact, tools: redact, mode: shadow }";

/// The decision in short must be as expected: `action, would action: reasons [cuts] (unavailable)`.
fn check(cases: &[(&str, Evidence, &str)]) {
    let policy = hazards(TABLE);
    for (name, evidence, expected) in cases {
        assert_eq!(short(&decide(&policy, evidence)), *expected, "{name}");
    }
}

#[test]
fn what_wins_and_why() {
    check(&[
        ("nothing", evidence([]), "allow"),
        ("below", evidence([whole(Input, Jailbreak, 0.49)]), "allow"),
        ("at the threshold", evidence([whole(Input, Jailbreak, 0.5)]), "block: jailbreak"),
        (
            "strongest",
            evidence([whole(Input, Hate, 1.0), whole(Input, Jailbreak, 0.5)]),
            "block: jailbreak",
        ),
        (
            "equals by score, then by name",
            evidence([
                whole(Input, Privacy, 0.8),
                whole(Input, Hate, 0.9),
                whole(Input, Hate, 0.8),
            ]),
            "flag: hate, privacy",
        ),
        ("shadow alone", evidence([whole(Input, Elections, 1.0)]), "allow, would block: elections"),
        (
            "shadow beside a flag",
            evidence([whole(Input, Elections, 1.0), whole(Input, Hate, 0.6)]),
            "flag, would block: elections, hate",
        ),
        (
            "shadow beside an equal",
            evidence([whole(Input, Elections, 1.0), whole(Input, Jailbreak, 0.5)]),
            "block: jailbreak",
        ),
        (
            "not a number",
            evidence([whole(Input, Hate, f32::NAN)]),
            "block: on_failure (unavailable)",
        ),
        ("out of range", evidence([whole(Tools, Hate, 1.5)]), "block: on_failure (unavailable)"),
        (
            "a finding makes it a verdict",
            Evidence { failures: vec![failure(Output)], ..evidence([whole(Output, Hate, 1.0)]) },
            "block: hate, on_failure",
        ),
        (
            "a finding in shadow does not",
            Evidence {
                failures: vec![failure(Output)],
                ..evidence([whole(Output, Elections, 1.0)])
            },
            "block: on_failure (unavailable)",
        ),
    ]);
}

#[test]
fn what_is_cut_out() {
    check(&[
        ("cut out", evidence([found(Input, Secrets, 3..9)]), "redact: secrets [3..9]"),
        (
            "cut out in order, once each, also beside a flag",
            evidence([
                found(Input, Secrets, 20..25),
                found(Input, Secrets, 3..9),
                whole(Input, Hate, 1.0),
                found(Input, Secrets, 3..9),
            ]),
            "redact: secrets [3..9, 20..25]",
        ),
        ("an empty place", evidence([found(Input, Secrets, 3..3)]), "block: secrets"),
        (
            "cuts in shadow are not made",
            evidence([found(Input, PersonalData, 1..2), found(Input, Secrets, 3..9)]),
            "redact: secrets [3..9]",
        ),
        (
            "blocked, so nothing is cut",
            evidence([found(Input, Secrets, 3..9), whole(Input, Jailbreak, 1.0)]),
            "block: jailbreak",
        ),
    ]);
}

fn short(decision: &Decision) -> String {
    let mut short = decision.action.to_string();
    if let Some(would) = decision.would {
        short.push_str(&format!(", would {would}"));
    }
    let names: Vec<&str> = decision.because.iter().map(|because| because.name()).collect();
    if !names.is_empty() {
        short.push_str(&format!(": {}", names.join(", ")));
    }
    let spans: Vec<&Range<usize>> =
        decision.redactions.iter().map(|Redaction { span, .. }| span).collect();
    if !spans.is_empty() {
        short.push_str(&format!(" {spans:?}"));
    }
    if decision.unavailable {
        short.push_str(" (unavailable)");
    }
    short
}

#[test]
fn open_on_failure_is_what_the_policy_says() {
    let policy = policy(
        "version: 1\nname: open\nhazards: {}\non_failure: { input: allow, output: flag, tools: block }\n",
    );
    for (direction, expected) in
        [(Input, "allow"), (Output, "flag: on_failure"), (Tools, "block: on_failure (unavailable)")]
    {
        let evidence = Evidence { failures: vec![failure(direction)], observations: Vec::new() };
        assert_eq!(short(&decide(&policy, &evidence)), expected);
    }
}

#[test]
fn test_triggers_count_unless_switched_off() {
    let classifier = Arc::from(TestTriggers::NAME);
    let seen = evidence([Observation { classifier, ..found(Input, Jailbreak, 0..25) }]);
    for (switch, expected) in [("true", "block: jailbreak"), ("false", "allow")] {
        let source = format!("version: 1\nname: test\nhazards: {{}}\ntest_triggers: {switch}\n");
        assert_eq!(short(&decide(&policy(&source), &seen)), expected);
    }
}
