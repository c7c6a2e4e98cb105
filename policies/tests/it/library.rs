//! The shipped policies: they do what their tests say, and their tests say everything they do.

use classifiers_core::{Category, Direction};
use policies::{Action, Calibration, Mode, Policy, Rule, library};

use crate::support::{assert_own_tests_pass, checked, policy};

#[test]
fn they_pass_their_own_tests() {
    for (name, source) in library::ALL {
        let (policy, warnings) = Policy::parse(source, name).unwrap();
        assert_eq!(policy.name(), name);
        assert_eq!(library::by_name(name), Some(source));
        let expected =
            if name == "observe" { "warning: the whole policy is in shadow" } else { "" };
        let said = warnings.to_string();
        assert!(warnings.is_empty() == expected.is_empty() && said.starts_with(expected), "{said}");
        assert_own_tests_pass(&policy);
        assert_eq!(checked(source, "2026-11-23").to_string().replace("policy.yaml", name), said);
        assert!(source.starts_with("# yaml-language-server: $schema=./policy-v1.schema.json\n"));
        assert_eq!(policy.untested_cells(), [], "{name}");
    }
    assert_eq!(library::by_name("lax"), None);
}

/// A mutation test over the compiled table: any other action in any cell, a threshold that lets everything
/// or nothing count, and any other answer to a failed check must make a test of the file fail.
#[test]
fn no_rule_can_change_without_a_failing_test() {
    for (name, source) in library::ALL {
        let original = policy(source);
        assert_own_tests_pass(&rewritten(source, &original, &|_, _, rule| rule).unwrap());
        let mut mutants = 0;
        // What undercuts a floor is no policy at all.
        let mut must_be_noticed = |what: String, mutant: Option<&Policy>| {
            mutants += 1;
            let noticed = mutant
                .is_none_or(|mutant| mutant.run_tests().iter().any(|outcome| !outcome.passed));
            assert!(noticed, "{name}: no test notices {what}");
        };
        for category in Category::ALL {
            for direction in Direction::ALL {
                for action in other_actions(original.rule(category, direction).action) {
                    let mutant = rewritten(source, &original, &|c, d, rule| {
                        if (c, d) == (category, direction) { Rule { action, ..rule } } else { rule }
                    });
                    must_be_noticed(
                        format!("{category} at {direction} becoming {action}"),
                        mutant.as_ref(),
                    );
                }
            }
            for threshold in thresholds(&original, category) {
                let mutant = rewritten(source, &original, &|c, _, rule| {
                    if c == category { Rule { threshold, ..rule } } else { rule }
                });
                must_be_noticed(format!("{category} counting from {threshold}"), mutant.as_ref());
            }
        }
        for direction in Direction::ALL {
            let rule = format!("  {direction}: block\n");
            assert_eq!(source.matches(&rule).count(), 1, "{name}: on_failure says {rule}");
            let mutant = policy(&source.replace(&rule, &format!("  {direction}: flag\n")));
            // A floor closes the gate as well, so only one without floors there opens.
            let floors = Category::ALL.map(|category| mutant.floor(category, direction));
            if floors.into_iter().max() == Some(Action::Allow) {
                must_be_noticed(format!("failures passing at {direction}"), Some(&mutant));
            }
        }
        assert!(mutants > 120, "{name}: {mutants} mutants");
    }
}

/// Every action that evidence can tell from `action`: without a span, redact is block.
fn other_actions(action: Action) -> impl Iterator<Item = Action> {
    [Action::Allow, Action::Flag, Action::Block].into_iter().filter(move |other| *other != action)
}

/// A threshold that only certainty reaches, and one that everything reaches.
fn thresholds(policy: &Policy, category: Category) -> Vec<f32> {
    let acts = |direction| policy.rule(category, direction).action != Action::Allow;
    if !Direction::ALL.into_iter().any(acts) {
        return Vec::new();
    }
    // Certain findings with exact spans reach any threshold, so only the lower one can be told.
    let only_spans =
        category == Category::PersonalData && ["default", "observe"].contains(&policy.name());
    if only_spans { vec![0.0] } else { vec![0.0, 1.0] }
}

/// `source` with its table written out in full, each rule as `change` says.
fn rewritten(
    source: &str,
    original: &Policy,
    change: &dyn Fn(Category, Direction, Rule) -> Rule,
) -> Option<Policy> {
    let (before, rest) = source.split_once("hazards:\n").unwrap_or_default();
    let (_, after) = rest.split_once("\n\n").unwrap_or_default();
    let lines: String = Category::ALL
        .into_iter()
        .map(|category| {
            let rule = |d| change(category, d, original.rule(category, d));
            let [input, output, tools] = Direction::ALL.map(|direction| rule(direction).action);
            let sensitivity = rule(Direction::Input).threshold;
            format!(
                "  {category}: {{ sensitivity: {sensitivity}, input: {input}, output: {output}, tools: {tools} }}\n"
            )
        })
        .collect();
    let source = format!("{before}hazards:\n{lines}\n{after}");
    Policy::parse(&source, "mutant.yaml").ok().map(|(policy, _)| policy)
}

#[test]
fn observe_is_default_in_shadow() {
    let (default, observe) = (policy(library::DEFAULT), policy(library::OBSERVE));
    assert_eq!((default.mode(), observe.mode()), (Mode::Enforce, Mode::Shadow));
    for category in Category::ALL {
        for direction in Direction::ALL {
            let expected = Rule { mode: Mode::Shadow, ..default.rule(category, direction) };
            assert_eq!(observe.rule(category, direction), expected, "{category} {direction}");
        }
    }
}

/// At `low`, one harmless text in 1,000 for each rule that blocks: the default may stop about 1 %.
#[test]
fn default_blocks_few_harmless_texts() {
    let default = policy(library::DEFAULT);
    for direction in Direction::ALL {
        let blocking = Category::ALL
            .into_iter()
            .map(|category| default.rule(category, direction))
            .filter(|rule| rule.action == Action::Block);
        let alarms: usize = blocking
            .map(|rule| if rule.threshold >= Calibration::REFERENCE.low { 1 } else { 20 })
            .sum();
        assert!(alarms <= 10, "{direction}: {alarms} in 1,000");
    }
}
