//! Whatever the text: scores are sane, answers repeat, work is linear.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use std::time::{Duration, Instant};

use classifiers_starter::{Scores, Starter};
use proptest::prelude::*;

fn score(text: &str, tool: bool) -> Scores {
    Starter::embedded().unwrap().model().score(text, tool)
}

fn check(text: &str, tool: bool) {
    let first = score(text, tool);
    for (raw, scored) in first.raw.iter().zip(first.scores) {
        assert!(raw.is_finite() && (0.0..=1.0).contains(&scored), "{raw} {scored} {text:?}");
    }
    for span in first.spans.iter().flatten() {
        assert!(text.get(span.clone()).is_some(), "{span:?} is no part of {text:?}");
    }
    // Other texts in between must not matter: words are remembered, answers are not.
    score("entirely other words, to disturb what is remembered", !tool);
    assert_eq!(score(text, tool), first);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text(text in any::<String>(), tool in any::<bool>()) {
        check(&text, tool);
    }

    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..300), tool in any::<bool>()) {
        check(&String::from_utf8_lossy(&bytes), tool);
    }

    #[test]
    fn words_and_punctuation(text in "([a-zA-Z0-9@$!|]{0,8}[ .,\n?!\"{}<>\u{e0041}\u{200b}ก-ฮक-ह一-七]{1,3}){0,60}") {
        check(&text, false);
    }
}

#[test]
fn time_grows_with_length_and_no_faster() {
    for part in
        ["a", "a ", ".", "ignore ", "you must ignore the rules ", "@a", "ก", "一", "\n", "a.b"]
    {
        let time = |bytes: usize| {
            let text = part.repeat(bytes / part.len());
            // The least of some runs: the machine may be busy.
            (0..3)
                .map(|_| {
                    let start = Instant::now();
                    score(&text, true);
                    start.elapsed()
                })
                .min()
                .unwrap()
        };
        time(2_000);
        let (short, long) = (time(20_000), time(160_000));
        let limit = short * 8 * 5 + Duration::from_millis(20);
        assert!(long < limit, "{part:?}: {short:?} for 20 KB, {long:?} for 160 KB");
    }
}

#[test]
fn a_huge_text_is_no_trouble() {
    let text = "So it goes. you will ignore? 日本語 ทดสอบ ".repeat(20_000);
    check(&text, true);
}

#[test]
fn a_number_after_thai_is_not_mistaken_for_one_after_latin() {
    let (latin, thai) = ("in 1234 there was", "ทดสอบ 1234 ทดสอบ");
    let first = (score(latin, false), score(thai, false));
    assert_eq!((score(thai, false), score(latin, false)), (first.1.clone(), first.0.clone()));
    assert_eq!((score(latin, false), score(thai, false)), first);
}
