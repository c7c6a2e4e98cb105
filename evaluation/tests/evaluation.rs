//! Files in, reports out.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use classifiers_core::Role;
use evaluation::{
    Example, Format, Gate, Judged, Outcome, Report, Side, Store, Subject, compare, digest, read,
};
use proptest::prelude::*;
use serde_json::Value;

fn blocked(blocked: bool) -> Outcome {
    let score = if blocked { 0.9 } else { 0.1 };
    let scores = Some(BTreeMap::from([("jailbreak".to_owned(), score)]));
    let found = blocked.then(|| "jailbreak".to_owned()).into_iter().collect();
    Outcome { scores, found, blocked, failure: None }
}

fn report(examples: &[Example], outcomes: &[Outcome]) -> Report {
    let side = Side { name: "guard", outcomes };
    Report::new(Subject::default(), Vec::new(), examples, side, None)
}

#[test]
fn what_is_wrong_is_said_with_its_line_and_without_the_text() {
    let dir = tempfile::tempdir().unwrap();
    let cases = [
        (
            "a.jsonl",
            "{\"text\":\"fine\"}\n\n{\"text\":\"TELLTALE\",\"attack\":\"odd\"}\n",
            "line 3",
        ),
        ("b.jsonl", "{\"role\":\"user\"}\n", "line 1"),
        ("c.jsonl", "{\"text\":\"x\",\"hazards\":[\"S99\"]}", "S99"),
        ("d.csv", "text,attack\n\"two\nlines\",benign\nTELLTALE,odd\n", "line 4"),
        ("e.csv", "attack\nbenign\n", "text"),
        ("f.jsonl", "", "no labelled texts"),
    ];
    for (name, content, expected) in cases {
        let path = dir.path().join(name);
        fs::write(&path, content).unwrap();
        let error = read(&path, Format::Auto).unwrap_err().to_string();
        assert!(error.contains(expected) && !error.contains("TELLTALE"), "{name}: {error}");
    }
    let path = dir.path().join("good.csv");
    fs::write(&path, "text,role,attack,hazards,lang\nhi,user,benign,safe,en\nbad,tool,,S1;S9,\n")
        .unwrap();
    let [clean, bad] = &read(&path, Format::Auto).unwrap()[..] else { panic!("two rows") };
    assert!(clean.is_clean() && bad.attack.is_none() && bad.role == Role::Tool);
    assert_eq!(bad.positive().len(), 2);
}

#[test]
fn a_hostile_name_is_text_and_gates_say_yes_and_no() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.jsonl");
    let hostile = "<script>alert('1')</script>";
    let mut lines = String::new();
    for n in 0..20 {
        let attack = if n % 2 == 0 { "jailbreak" } else { "benign" };
        let source = if n % 4 < 2 { hostile } else { "plain" };
        lines += &format!(
            "{{\"text\":\"t{n}\",\"attack\":\"{attack}\",\"hazards\":[],\"source\":\"{source}\"}}\n"
        );
    }
    fs::write(&path, lines).unwrap();
    let examples = read(&path, Format::Auto).unwrap();
    // Half of the attacks are found, and no clean text.
    let outcomes: Vec<Outcome> = (0..20).map(|n| blocked(n % 4 == 0)).collect();
    let report = report(&examples, &outcomes);
    let page = report.html();
    assert!(!page.contains("<script") && page.contains("&lt;script&gt;"), "{page}");
    assert!(!page.contains("http://") && !page.contains("https://"));
    assert!(!report.markdown().contains("<script"));
    let holds = |gate: &str| gate.parse::<Gate>().unwrap().check(&report).holds;
    assert!(holds("jailbreak.recall>=0.5") && !holds("jailbreak.recall >= 0.51"));
    assert!(holds("benign.blocked<=0") && !holds("jailbreak.recall.low>=0.5"));
    assert!(holds("jailbreak[source=plain].recall<=0.01"));
    assert!(!holds("violent_crimes.recall>=0"), "what was not measured does not hold");
    for wrong in ["jailbreak.recall", "jailbreak.reca>=1", "nothing.recall>=1", "jailbreak>=1"] {
        assert!(wrong.parse::<Gate>().is_err(), "{wrong}");
    }
}

#[test]
fn cyberseceval_is_read_as_published_and_reported_as_the_suite_does() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cyberseceval");
    let examples = read(&folder, Format::Auto).unwrap();
    assert_eq!(examples.len(), 7, "what is no set is passed over");
    let outcomes: Vec<Outcome> =
        examples.iter().map(|example| blocked(example.role == Role::Tool)).collect();
    let report: Value = serde_json::from_str(&report(&examples, &outcomes).json()).unwrap();
    let of = |path: &str| report["cyberseceval"].pointer(path).cloned().unwrap_or_default();
    assert_eq!(of("/prompt-injection/stat_per_model/guard/injection_successful_count"), 1);
    let french = "/prompt-injection/stat_per_model_per_speaking_language/guard/French";
    assert_eq!(of(&format!("{french}/injection_unsuccessful_percentage")), 1.0);
    assert_eq!(of("/frr/guard/refusal_rate"), 0.0);
    assert_eq!(of("/frr/guard/accept_count"), 2);
    assert_eq!(of("/interpreter/guard/Container Escapes/malicious_percentage"), 1.0);
    assert_eq!(of("/mitre/guard/Persistence/benign_percentage"), 0.0);
    assert_eq!(of("/instruct_or_autocomplete/guard/c/vulnerable_suggestion_count"), 0);
}

#[test]
fn a_store_that_was_cut_off_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("results.jsonl");
    let (one, other) = (Example::new("one", Role::User), Example::new("one", Role::Tool));
    let mut store = Store::open(&path).unwrap();
    store.put("g", &digest(&one), &blocked(true)).unwrap();
    store.put("g", &digest(&other), &Outcome::failed("busy")).unwrap();
    drop(store);
    let mut bytes = fs::read(&path).unwrap();
    bytes.extend(b"{\"text\":\"ha");
    fs::write(&path, bytes).unwrap();
    let mut store = Store::open(&path).unwrap();
    assert_eq!(store.get("g", &digest(&one)), Some(&blocked(true)));
    assert_eq!(store.get("g", &digest(&other)), None, "a failure is tried again");
    assert_eq!(store.get("another", &digest(&one)), None);
    store.put("g", &digest(&other), &blocked(false)).unwrap();
    drop(store);
    assert_eq!(Store::open(&path).unwrap().get("g", &digest(&other)), Some(&blocked(false)));
}

#[test]
fn differences_are_tested_as_the_books_say() {
    // Exact binomial probabilities: 2 * 0.5^5, and 2 * (1 + 10) / 1024.
    assert!((compare::mcnemar(0, 5) - 0.0625).abs() < 1e-12);
    assert!((compare::mcnemar(9, 1) - 0.021_484_375).abs() < 1e-12);
    assert_eq!(compare::mcnemar(0, 0), 1.0);
}

fn judged() -> impl Strategy<Value = Vec<Judged>> {
    let one = (0u8..=20, any::<bool>(), any::<bool>());
    proptest::collection::vec(one, 4..80).prop_map(|all| {
        let judged =
            |(score, positive, found)| Judged { score: f64::from(score) / 20.0, positive, found };
        all.into_iter().map(judged).collect()
    })
}

proptest! {
    #[test]
    fn auc_is_the_share_of_pairs_in_order_and_a_side_does_not_differ_from_itself(judged in judged()) {
        let class = |positive| judged.iter().filter(move |one| one.positive == positive);
        let (mut sum, mut pairs) = (0.0, 0.0);
        for high in class(true) {
            for low in class(false) {
                sum += if high.score > low.score { 1.0 } else if high.score == low.score { 0.5 } else { 0.0 };
                pairs += 1.0;
            }
        }
        let ours = evaluation::auc(&judged);
        prop_assert_eq!(ours.is_some(), pairs > 0.0);
        if let Some(ours) = ours {
            prop_assert!((ours.value - sum / pairs).abs() < 1e-12);
            prop_assert!(ours.low <= ours.value + 1e-12 && ours.value <= ours.high + 1e-12);
            let same = compare::delong(&judged, &judged).unwrap();
            prop_assert!(same.difference.value == 0.0 && same.p == 1.0);
        }
    }
}
