//! The commands around policies, as their owner meets them.

use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::support::{Guard, POLICY};

fn run(args: &[&str]) -> Output {
    Command::new(Guard::binary()).args(args).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// A policy with one test that fails, one with a text, and none for most cells.
fn policy() -> String {
    format!(
        "{POLICY}tests:\n  - {{ name: \"<never> & #1\", at: input, scores: {{ hate: 1.0 }}, expect: {{ action: allow }} }}\n  \
         - {{ name: a jailbreak, at: input, user: PORTCULLIS-TEST-JAILBREAK, scores: {{ jailbreak: 1.0 }}, \
         expect: {{ action: block, because: jailbreak }} }}\n"
    )
}

#[test]
fn tests_are_told_in_every_format() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("policy.yaml").display().to_string();
    std::fs::write(&file, policy()).unwrap();
    let told = |args: &[&str]| {
        let output = run(&[&["test", &file], args].concat());
        assert_eq!(output.status.code(), Some(1), "one test fails: {}", stdout(&output));
        stdout(&output)
    };
    let value: Value = serde_json::from_str(&told(&["--output", "json", "--coverage"])).unwrap();
    assert_eq!((&value["passed"], &value["failed"]), (&json!(1), &json!(1)));
    assert_eq!(value["tests"][0]["got"], "block because of hate");
    assert_eq!((&value["cells"], value["untested"].as_array().unwrap().len()), (&json!(57), 55));
    let junit = told(&["--output", "junit"]);
    assert!(junit.contains("tests=\"2\" failures=\"1\""), "{junit}");
    assert!(junit.contains("name=\"&lt;never&gt; &amp; #1\""), "{junit}");
    let tap = told(&["--output", "tap"]);
    assert!(tap.starts_with("TAP version 14\n1..2\nnot ok 1 - <never> & \\#1\n"), "{tap}");
    assert!(tap.contains("ok 2 - a jailbreak"), "{tap}");
    let human = told(&["--coverage"]);
    assert!(human.contains("2 of 57 cells") && human.contains("FAIL  <never>"), "{human}");
    // The real classifiers find the trigger, so the one test that has a text passes.
    let live = run(&["test", &file, "--live"]);
    assert_eq!(live.status.code(), Some(0), "{}", stdout(&live));
    assert!(stdout(&live).contains("1 passed, 0 failed"), "{}", stdout(&live));
}

#[test]
fn checks_are_told_to_programs_too() {
    let output = run(&["check", "--json", "default", "observe"]);
    let said: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(said.as_array().unwrap().len(), 1, "{said}");
    assert_eq!((&said[0]["file"], &said[0]["severity"]), (&json!("observe"), &json!("warning")));
    assert_eq!(run(&["check", "--deny-warnings", "observe"]).status.code(), Some(1));
    let listed = stdout(&run(&["policy", "--list"]));
    for name in ["default", "children", "coding-assistant", "healthcare", "finance"] {
        assert!(listed.contains(name), "{listed}");
        assert_eq!(run(&["check", "--deny-warnings", name]).status.code(), Some(0), "{name}");
        assert_eq!(run(&["test", name]).status.code(), Some(0), "{name}");
    }
    let schema: Value = serde_json::from_str(&stdout(&run(&["schema"]))).unwrap();
    assert!(schema["properties"]["never_below"]["description"].is_string());
    assert!(stdout(&run(&["schema", "--reference"])).contains("| `never_below` |"));
}

#[test]
fn a_text_is_explained() {
    let told = stdout(&run(&["explain", "PORTCULLIS-TEST-JAILBREAK", "--key", "x"]));
    for part in [
        "policy    default@b3:",
        "profile `base`, enforce",
        "decision  block because of jailbreak",
        "jailbreak at input: test_triggers says 1.0000, threshold 0.9000: counts",
        "what would change it: a sensitivity above 1",
    ] {
        assert!(told.contains(part), "{part} is missing in\n{told}");
    }
    let told = stdout(&run(&["explain", "hello", "--at", "output"]));
    assert!(told.contains("decision  allow"), "{told}");
    let missing =
        run(&["explain", "0198a000-0000-7000-8000-000000000001", "--audit-dir", "nowhere"]);
    assert_eq!(missing.status.code(), Some(3));
}

/// Scores of clean texts 0.0001, 0.0002, ...: the rates are known beforehand.
#[test]
fn a_calibration_keeps_to_the_rates_it_promises() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("scores.jsonl").display().to_string();
    let line = |hazards: &[&str], score: f64| {
        json!({ "role": "user", "attack": "benign", "hazards": hazards, "scores": { "hate": score } })
            .to_string()
    };
    let clean = (1..=10_000).map(|n| line(&[], f64::from(n) / 10_000.0));
    let positive = (1..=100).map(|n| line(&["S10"], f64::from(n) / 100.0));
    let lines: Vec<String> = clean.chain(positive).collect();
    std::fs::write(&file, lines.join("\n")).unwrap();
    assert_eq!(run(&["calibrate", &file]).status.code(), Some(3), "whose scores are they?");
    let args = ["calibrate", &file, "--revision", "abc", "--loosen"];
    let told = stdout(&run(&args));
    for part in [
        "revision: \"abc\"",
        "clean: 10000",
        "low:    { score: 0.9991, false_alarms: 1.00,",
        "medium: { score: 0.9951, false_alarms: 5.00,",
        "high:   { score: 0.9801, false_alarms: 20.00,",
        "found: 0.020",
    ] {
        assert!(told.contains(part), "{part} is missing in\n{told}");
    }
    let calibration = policies::ClassifierCalibration::parse(&told, "abc.yaml").unwrap();
    assert_eq!((&*calibration.classifier, calibration.revision.as_str()), ("starter", "abc"));
    std::fs::write(&file, lines[..500].join("\n")).unwrap();
    assert_eq!(run(&args).status.code(), Some(3), "500 texts say nothing about 1 in 1,000");
}

#[test]
fn a_key_is_never_an_argument() {
    let mut child = Command::new(Guard::binary())
        .arg("fingerprint")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"secret-1\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(stdout(&output).trim(), proxy_stack::fingerprint("secret-1"));
}
