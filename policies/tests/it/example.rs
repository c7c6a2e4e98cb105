//! The example policy, and everything a policy can be asked.

use std::time::Duration;

use classifiers_core::{Category, Direction};
use policies::{
    Action, Because, BlockedBudget, Forward, Limits, Mode, Quota, ReplyAs, Rule, Streaming,
    StreamingMode, TestOutcome, TextRetention,
};

use crate::support::{assert_own_tests_pass, checked, hazards, policy, said};

const EXAMPLE: &str = include_str!("example.yaml");

const SELF_HARM: Because = Because::Hazard(Category::SuicideSelfHarm);
const JAILBREAK: Because = Because::Hazard(Category::Jailbreak);

#[test]
fn the_example_behaves_as_its_tests_say() {
    let policy = policy(EXAMPLE);
    assert_own_tests_pass(&policy);
    assert_eq!(policy.run_tests().len(), 10);
    insta::assert_snapshot!("example", checked(EXAMPLE, "2026-11-23"));
}

/// Limits, streaming, retention and floors of the example.
#[test]
fn what_the_example_asks_for() {
    let policy = policy(EXAMPLE);
    let quota = |count: u32, seconds| Quota {
        count: count.try_into().unwrap(),
        per: Duration::from_secs(seconds),
    };
    let blocked = BlockedBudget { allow: quota(5, 600), pause: Duration::from_secs(900) };
    let limits = Limits {
        requests: Some(quota(600, 60)),
        tokens: Some(quota(2_000_000, 3600)),
        blocked: Some(blocked),
    };
    assert_eq!(policy.limits(), limits);
    assert_eq!(policy.streaming(), Streaming { overlap: 800, ..Streaming::DEFAULT });
    assert_eq!(policy.forward(), Forward::AfterVerdict);
    let retention = policy.retention().unwrap();
    assert_eq!(retention.text, TextRetention::Redacted);
    assert_eq!(retention.redact, [Category::Secrets, Category::PersonalData]);
    assert_eq!(retention.review.allowed, Some(0.005));
    assert_eq!(retention.keep.flagged, Some(Duration::from_secs(90 * 86_400)));
    assert!(retention.reveal_needs_reason && retention.reveal_roles == ["reviewer", "lead"]);
    let floor = policy.floor(Category::IndiscriminateWeapons, Direction::Input);
    assert_eq!(floor, Action::Flag);
    assert_eq!(policy.profiles().collect::<Vec<_>>(), ["base", "kids", "coding", "research"]);
    let kids = policy.with_profile("kids").unwrap();
    let rule = kids.rule(Category::Hate, Direction::Input);
    assert_eq!(rule, Rule { action: Action::Block, threshold: 0.4, mode: Mode::Enforce });
    assert_eq!(policy.with_profile("research").unwrap().mode(), Mode::Shadow);
    assert!(policy.asks_for_languages() && policy.is_checked("de-AT") && !policy.is_checked("ru"));
}

#[test]
fn what_a_policy_answers() {
    let policy = policy(EXAMPLE);
    assert_eq!(policy.name(), "acme-assistant");
    assert_eq!(policy.owner(), Some("trust-safety@acme.example"));
    assert!(policy.about().is_some_and(|about| about.starts_with("What ACME's")));
    assert_eq!(policy.label(), format!("acme-assistant@{}", policy.revision()));
    let digits = policy.revision().strip_prefix("b3:").unwrap();
    assert!(digits.len() == 12 && digits.bytes().all(|b| b.is_ascii_hexdigit()));
    assert_ne!(policy.revision(), self::policy(&format!("{EXAMPLE} ")).revision());
    assert_eq!((policy.mode(), policy.reply_as()), (Mode::Enforce, ReplyAs::Refusal));
    assert_eq!(policy.timeout(), Duration::from_millis(1500));
    let quota = Quota { count: 600.try_into().unwrap(), per: Duration::from_secs(60) };
    assert_eq!(policy.requests(), Some(quota));
    let rule = |action, threshold, mode| Rule { action, threshold, mode };
    for (category, direction, expected) in [
        (Category::Hate, Direction::Input, rule(Action::Flag, 0.7, Mode::Enforce)),
        (Category::SexRelatedCrimes, Direction::Input, rule(Action::Block, 0.4, Mode::Enforce)),
        (Category::Elections, Direction::Tools, rule(Action::Block, 0.7, Mode::Shadow)),
        (Category::PersonalData, Direction::Output, rule(Action::Redact, 0.7, Mode::Enforce)),
    ] {
        assert_eq!(policy.rule(category, direction), expected, "{category} {direction}");
    }
}

#[test]
fn what_is_not_said_blocks() {
    let policy = hazards("{}");
    for direction in Direction::ALL {
        for category in Category::ALL {
            let expected = Rule { action: Action::Block, threshold: 0.7, mode: Mode::Enforce };
            assert_eq!(policy.rule(category, direction), expected);
        }
        assert_eq!(policy.on_failure(direction), Action::Block);
    }
    assert_eq!((policy.mode(), policy.reply_as()), (Mode::Enforce, ReplyAs::Error));
    assert_eq!(policy.timeout(), Duration::from_millis(1500));
    assert_eq!((policy.requests(), policy.test_triggers()), (None, true));
}

#[test]
fn streaming_says_how_answers_are_released() {
    let streaming = |section: &str| {
        policy(&format!("version: 1\nname: test\nhazards: {{}}\n{section}")).streaming()
    };
    assert_eq!(streaming(""), Streaming::DEFAULT);
    let whole = streaming("streaming: { mode: whole }");
    assert_eq!(whole, Streaming { mode: StreamingMode::Whole, ..Streaming::DEFAULT });
    let all = streaming(
        "streaming: { mode: follow, window: 600 chars, overlap: 900chars, max_wait: 2s }",
    );
    let (window, overlap, max_wait) = (600, 900, Duration::from_secs(2));
    assert_eq!(all, Streaming { mode: StreamingMode::Follow, window, overlap, max_wait });
}

/// Reasons, language, and how the text starts.
#[test]
fn messages_fall_back_step_by_step() {
    let full = "version: 1\nname: test\nhazards: {}\nmessages:\n\
        \x20 default: { en: default en, de: default de, pt-br: default pt-BR, no: default no }\n\
        \x20 suicide_self_harm: { en: own en, fr: own fr }\n";
    let policy = policy(full);
    for (because, language, expected) in [
        (&[JAILBREAK][..], None, "default en"),
        (&[JAILBREAK], Some("de"), "default de"),
        (&[JAILBREAK], Some("de-AT"), "default de"),
        (&[JAILBREAK], Some("DE_at"), "default de"),
        (&[JAILBREAK], Some("pt-BR"), "default pt-BR"),
        (&[JAILBREAK], Some("no"), "default no"),
        (&[JAILBREAK], Some("fr"), "default en"),
        (&[JAILBREAK], Some("tlh"), "default en"),
        (&[JAILBREAK], Some(""), "default en"),
        (&[SELF_HARM], Some("fr"), "own fr"),
        (&[SELF_HARM], Some("de"), "default de"),
        (&[SELF_HARM], Some("it"), "own en"),
        (&[JAILBREAK, SELF_HARM], Some("fr"), "own fr"),
        (&[JAILBREAK, SELF_HARM], None, "own en"),
        (&[Because::OnFailure, SELF_HARM], None, "own en"),
        (&[Because::OnFailure, JAILBREAK], Some("de"), "default de"),
        (&[Because::OnFailure], Some("de"), "This could not be checked"),
        (&[], None, "default en"),
    ] {
        let got = policy.message(because, language, "D-1");
        assert!(got.starts_with(expected), "{because:?} {language:?}: {got}");
    }
    let bare = hazards("{}");
    assert_eq!(
        bare.message(&[SELF_HARM], Some("de"), "D-1"),
        "This was blocked by a content policy. Reference: D-1"
    );
    // A reference is filled in wherever it stands.
    let example = self::policy(EXAMPLE);
    assert_eq!(
        example.message(&[SELF_HARM], None, "D-1"),
        "You are not alone. You can talk to someone now: https://findahelpline.com. (D-1)"
    );
}

#[test]
fn a_failing_test_says_what_came_out() {
    let source =
        EXAMPLE.replace("{ action: flag, because", "{ action: block, would: block, because");
    assert!(said(&source).to_string().contains("`would` must be stronger"));
    let wrong = "version: 1\nname: test\nhazards: { hate: { mode: shadow }, privacy: { tools: flag } }\ntests:\n\
        \x20 - { name: one, at: input, scores: { hate: 1, privacy: 1 }, expect: { action: flag } }\n\
        \x20 - { name: two, at: output, scores: { hate: 1 }, expect: { action: allow } }\n\
        \x20 - { name: three, at: [input, tools], scores: { privacy: 1 }, expect: { action: block, because: hate } }\n\
        \x20 - { name: four, at: [input, tools], scores: { privacy: 1 }, expect: { action: block } }\n\
        \x20 - { name: five, at: input, failed: [a, b], scores: { hate: 0.1 }, expect: { action: block } }\n";
    let described: Vec<String> = policy(wrong).run_tests().iter().map(describe).collect();
    insta::assert_snapshot!(described.join("\n"), @r"
    5 one failed: expected flag; got block because of privacy
    6 two failed: expected allow; got allow, would block because of hate
    7 three failed: expected block because of hate; got block because of privacy, at input
    8 four failed: expected block; got flag because of privacy, at tools
    9 five passed: expected block; got block
    ");
}

fn describe(outcome: &TestOutcome) -> String {
    let TestOutcome { name, line, passed, expected, got } = outcome;
    let passed = if *passed { "passed" } else { "failed" };
    format!("{line} {name} {passed}: expected {expected}; got {got}")
}
