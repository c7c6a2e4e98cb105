//! What holds for every policy and all evidence, and the cases worth a name.

use std::ops::Range;
use std::sync::Arc;

use classifiers_core::{Category, Direction, TestTriggers};
use policies::{
    Action, Because, ClassifierCalibration, CustomObservation, Decision, Evidence, Mode,
    Observation, Policy, Redaction, Request, Spoken, decide,
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
    /// Of a category, by its place, and a key's exemptions.
    floors: Vec<(usize, [Action; 3])>,
    exemptions: Vec<(usize, Direction, Action)>,
}

/// Whose requests are exempt.
const EXEMPT: &str = "exempt-1";

impl Written {
    /// As it applies to a key with exemptions.
    fn compile(&self) -> Policy {
        let mode = |shadow| if shadow { Mode::Shadow } else { Mode::Enforce };
        let mut source = format!(
            "version: 1\nname: random\nmode: {}\ntest_triggers: {}\non_failure: {}\nhazards:\n",
            mode(self.shadow),
            self.test_triggers,
            actions(self.on_failure),
        );
        for (place, line) in self.lines.iter().enumerate() {
            source.push_str(&format!(
                "  {}: {{ sensitivity: {}, mode: {}, {}\n",
                Category::ALL[place],
                line.threshold,
                mode(line.shadow),
                actions(self.raised(place)).trim_start_matches('{'),
            ));
        }
        source.push_str("never_below:\n  hate: {}\n");
        for (place, floor) in self.floors() {
            source.push_str(&format!("  {}: {}\n", Category::ALL[place], actions(floor)));
        }
        source.push_str("exemptions:\n");
        for (n, (place, direction, action)) in self.exemptions.iter().enumerate() {
            let least = self.floor(*place)[*direction as usize];
            source.push_str(&format!(
                "  - {{ id: EX-{n}, key: 'exempt-*', hazard: {}, where: [{direction}], action: {}, \
                 why: a test, approved_by: nobody, expires: 2027-01-01 }}\n",
                Category::ALL[*place],
                least.max(*action),
            ));
        }
        if self.exemptions.is_empty() {
            source.push_str("  []\n");
        }
        policy(&source).for_request(&Request { key: Some(EXEMPT), ..Request::default() }, None)
    }

    /// The floors of distinct categories; that of `hate` is written down already.
    fn floors(&self) -> impl Iterator<Item = (usize, [Action; 3])> + '_ {
        let distinct = self.floors.iter().enumerate().filter(|(n, (place, _))| {
            Category::ALL[*place] != Hate && !self.floors[..*n].iter().any(|(p, _)| p == place)
        });
        distinct.map(|(_, floor)| *floor)
    }

    fn floor(&self, place: usize) -> [Action; 3] {
        let found = self.floors().find(|(known, _)| *known == place);
        found.map_or([Action::Allow; 3], |(_, floor)| floor)
    }

    /// The actions of a line, not below its floor.
    fn raised(&self, place: usize) -> [Action; 3] {
        let (actions, floor) = (self.lines[place].actions, self.floor(place));
        std::array::from_fn(|direction| actions[direction].max(floor[direction]))
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
    let places = 0..Category::ALL.len();
    let floors = vec((places.clone(), [action(), action(), action()]), 0..4);
    let exemptions = vec((places, direction(), action()), 0..4);
    let lines = vec(line, Category::ALL.len());
    let on_failure = [failing(), failing(), failing()];
    (lines, on_failure, any::<bool>(), any::<bool>(), floors, exemptions).prop_map(
        |(lines, on_failure, shadow, test_triggers, floors, exemptions)| Written {
            lines,
            on_failure,
            shadow,
            test_triggers,
            floors,
            exemptions,
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
    (vec(observation(), 0..12), failures).prop_map(|(observations, failures)| Evidence {
        observations,
        failures,
        ..Evidence::default()
    })
}

/// What each observation asks for, worked out the slow way.
fn asked(written: &Written, policy: &Policy, seen: &Observation) -> Vec<(Action, Mode)> {
    if &*seen.classifier == TestTriggers::NAME && !policy.test_triggers() {
        return Vec::new();
    }
    if seen.score.is_nan() || seen.score < 0.0 || seen.score > 1.0 {
        return failed(policy, seen.direction);
    }
    let rule = policy.rule(seen.category, seen.direction);
    if seen.score < rule.threshold {
        return Vec::new();
    }
    let cuttable = seen.span.as_ref().is_some_and(|span| !span.is_empty());
    let done = |action| if action == Action::Redact && !cuttable { Action::Block } else { action };
    let exempt = written.exemptions.iter().filter(|(place, direction, _)| {
        (Category::ALL[*place], *direction) == (seen.category, seen.direction)
    });
    let floor = policy.floor(seen.category, seen.direction);
    let weakest = exempt.map(|(_, _, action)| floor.max(*action)).min().unwrap_or(Action::Block);
    vec![(done(rule.action.min(weakest)), rule.mode), (done(floor), Mode::Enforce)]
}

/// What a check without a verdict asks for: what the policy says, and not less than the strongest floor.
fn failed(policy: &Policy, direction: Direction) -> Vec<(Action, Mode)> {
    let floors = Category::ALL.into_iter().map(|category| policy.floor(category, direction));
    let strongest = match floors.max().unwrap_or_default() {
        Action::Redact => Action::Block,
        action => action,
    };
    vec![(policy.on_failure(direction), policy.mode()), (strongest, Mode::Enforce)]
}

fn all_asked(written: &Written, policy: &Policy, evidence: &Evidence) -> Vec<(Action, Mode)> {
    let seen = evidence.observations.iter().flat_map(|seen| asked(written, policy, seen));
    seen.chain(evidence.failures.iter().flat_map(|f| failed(policy, f.direction))).collect()
}

fn check_consistent(written: &Written, evidence: &Evidence) {
    let policy = &written.compile();
    let decision = decide(policy, evidence);
    let Decision { verdict, action, would, because, redactions, unavailable, .. } = &decision;
    let asked = all_asked(written, policy, evidence);
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
        check_consistent(&written, &evidence);
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
        let other = Evidence { observations: shuffled, failures, ..Evidence::default() };
        prop_assert_eq!(decide(&policy, &evidence), decide(&policy, &other));
    }

    /// Only floors act in shadow: without any, nothing is done.
    #[test]
    fn shadow_never_touches_traffic(written in written(), evidence in anything()) {
        let written = without_hazard_modes(written);
        let enforcing = Written { shadow: false, ..written.clone() };
        let enforce = decide(&enforcing.compile(), &evidence);
        let watching = Written { shadow: true, ..written };
        let policy = watching.compile();
        let shadow = decide(&policy, &evidence);
        let floors = all_asked(&watching, &policy, &evidence);
        let floors = floors.into_iter().filter(|(_, mode)| *mode == Mode::Enforce);
        prop_assert_eq!(shadow.action, floors.map(|(action, _)| action).max().unwrap_or_default());
        prop_assert_eq!(shadow.would.unwrap_or(shadow.action), enforce.action);
        prop_assert_eq!(shadow.verdict, enforce.verdict);
        if watching.floors().next().is_none() {
            prop_assert_eq!(shadow.action, Action::Allow);
            prop_assert!(shadow.redactions.is_empty() && !shadow.unavailable);
            prop_assert_eq!(shadow.because, enforce.because);
        }
    }

    /// Whatever else the policy says: shadow, exemptions, a check that failed.
    #[test]
    fn a_floor_always_holds(written in written(), evidence in anything()) {
        let policy = written.compile();
        let decision = decide(&policy, &evidence);
        for seen in &evidence.observations {
            let counts = policy.test_triggers() || &*seen.classifier != TestTriggers::NAME;
            let rule = policy.rule(seen.category, seen.direction);
            if counts && seen.score >= rule.threshold {
                prop_assert!(decision.action >= policy.floor(seen.category, seen.direction));
            }
        }
        for failure in &evidence.failures {
            for category in Category::ALL {
                prop_assert!(decision.action >= policy.floor(category, failure.direction));
            }
        }
    }

    /// An exemption makes weaker what it is about, and nothing else; its name is on the decision.
    #[test]
    fn exemptions_are_named_and_only_weaken(written in written(), evidence in anything()) {
        let policy = written.compile();
        let without = policy.with_profile(Policy::BASE).unwrap();
        let (exempt, plain) = (decide(&policy, &evidence), decide(&without, &evidence));
        prop_assert!(exempt.action <= plain.action && exempt.verdict <= plain.verdict);
        prop_assert!(plain.exemptions.is_empty());
        if exempt.exemptions.is_empty() {
            prop_assert_eq!(exempt, plain);
        }
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
    let names: Vec<&str> = decision.because.iter().map(Because::name).collect();
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
        let evidence = Evidence { failures: vec![failure(direction)], ..Evidence::default() };
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

#[test]
fn languages_and_own_hazards_are_evidence_too() {
    let policy = policy(
        "version: 1\nname: test\nhazards: {}\nlanguages: { checked: [en, pt-BR], others: flag }\n\
         custom_hazards: { dosing: { title: t, should_not: [x], mode: shadow, input: block } }\n",
    );
    let spoken = |language: &str| Spoken { direction: Input, language: Arc::from(language) };
    for (language, expected) in
        [("en-GB", "allow"), ("pt", "allow"), ("ru", "flag: languages"), ("und", "flag: languages")]
    {
        let evidence = Evidence { languages: vec![spoken(language)], ..Evidence::default() };
        assert_eq!(short(&decide(&policy, &evidence)), expected, "{language}");
    }
    for (hazard, score, expected) in [
        ("dosing", 0.8, "allow, would block: dosing"),
        ("dosing", 0.6, "allow"),
        ("dosing", f32::NAN, "block: on_failure (unavailable)"),
        ("another", 0.8, "allow"),
    ] {
        let seen = CustomObservation { direction: Input, hazard: Arc::from(hazard), score };
        let evidence = Evidence { custom: vec![seen], ..Evidence::default() };
        assert_eq!(short(&decide(&policy, &evidence)), expected, "{hazard} {score}");
    }
}

/// Who asks, for what, and what comes of it: routes, exemptions, floors and days.
#[test]
fn what_applies_depends_on_who_asks() {
    let policy = policy(include_str!("example.yaml"));
    let day = |text: &str| text.parse().unwrap();
    let header = |_: &str| None;
    for (key, model, profile) in [
        (Some("kids-tablet"), None, "kids"),
        (Some("kids-tablet"), Some("my-coder-1"), "kids"),
        (Some("x"), Some("my-coder-1"), "coding"),
        (None, Some("other"), "base"),
        (Some("Kids-tablet"), None, "base"),
    ] {
        let request = Request { key, model, path: None, header: &header };
        assert_eq!(policy.for_request(&request, None).profile(), profile, "{key:?} {model:?}");
    }
    let advice = evidence([whole(Output, Category::SpecializedAdvice, 0.95)]);
    for (key, today, expected) in [
        ("clinic-bot", "2027-02-15", "allow"),
        ("clinic-bot", "2027-02-16", "flag: specialized_advice"),
        ("clinic-bot", "2026-11-01", "flag: specialized_advice"),
        ("clinic-bots", "2027-02-15", "flag: specialized_advice"),
    ] {
        let request = Request { key: Some(key), ..Request::default() };
        let applied = policy.for_request(&request, Some(day(today)));
        assert_eq!(short(&decide(&applied, &advice)), expected, "{key} {today}");
    }
}

/// What a classifier's own calibration says counts for that classifier's findings alone.
#[test]
fn calibrations_turn_words_into_scores() {
    let measured = ClassifierCalibration::parse(
        "version: 1\nclassifier: starter\nrevision: a\nhazards:\n  hate:\n    low: { score: 0.8 }\n    \
         medium: { score: 0.5 }\n    high: { score: 0.2 }\n",
        "starter.yaml",
    );
    let policy = hazards("{ privacy: { sensitivity: 0.6 } }").calibrated(measured);
    for (category, classifier, score, expected) in [
        (Hate, "starter", 0.5, Action::Block),
        (Hate, "another", 0.5, Action::Allow),
        (Jailbreak, "starter", 0.5, Action::Allow),
        (Privacy, "starter", 0.6, Action::Block),
    ] {
        let classifier = Arc::from(classifier);
        let seen = Observation { classifier, ..whole(Input, category, score) };
        assert_eq!(decide(&policy, &evidence([seen])).action, expected, "{category}");
    }
}
