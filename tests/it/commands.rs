//! The command line, as a person or a script meets it.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::support::{Guard, POLICY, Script, Upstream, chat, policy_with, post};

fn run(args: &[&str], input: &str) -> Output {
    let mut child = Command::new(Guard::binary())
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn the_demo_shows_what_it_promises() {
    let output = run(&["demo", "--once"], "");
    let shown = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{shown}{}", stderr(&output));
    for outcome in ["allowed", "blocked", "flagged", "redacted", "refused"] {
        assert!(shown.contains(outcome), "{outcome} is missing in\n{shown}");
    }
    assert!(!shown.contains("expected"), "{shown}");
    assert!(shown.contains("the log's chain is sound"), "{shown}");
}

#[test]
fn classify_says_every_score_and_what_would_be_done() {
    let input = "hello\n{\"text\":\"PORTCULLIS-TEST-INJECTION\",\"role\":\"tool\"}\n\n{not json\n{\"text\":\"PORTCULLIS-TEST-S12\",\"role\":\"assistant\"}\n";
    let output = run(&["classify"], input);
    let shown = stdout(&output);
    let lines: Vec<Value> = shown.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 4, "a line for each line that says something: {shown}");
    let actions: Vec<_> = lines.iter().map(|line| line["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["allow", "block", "allow", "block"]);
    assert_eq!(lines[1]["because"][0], "prompt_injection");
    for line in &lines {
        let findings = line["findings"].as_array().unwrap();
        for category in ["jailbreak", "prompt_injection", "violent_crimes", "elections"] {
            let found = findings
                .iter()
                .find(|found| found["category"] == category)
                .unwrap_or_else(|| panic!("{category} is missing: {line}"));
            assert!((0.0..=1.0).contains(&found["score"].as_f64().unwrap()), "{found}");
            assert!(found["classifier"].is_string());
        }
    }
    let strict = run(&["classify", "--json"], "hello\n");
    assert_eq!(strict.status.code(), Some(2));
    assert!(stderr(&strict).contains("line 1"), "{}", stderr(&strict));
}

#[test]
fn check_and_test_say_no_with_one_and_cannot_with_three() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let good = file("good.yaml", POLICY);
    let typo = file("typo.yaml", &policy_with("specialized_advice:", "specialised_advice:"));
    let wrong = file(
        "wrong.yaml",
        &format!(
            "{POLICY}tests:\n  - {{ name: never, at: input, scores: {{ hate: 1.0 }}, expect: {{ action: allow }} }}\n"
        ),
    );
    for name in ["default", "strict", "observe", good.as_str()] {
        assert_eq!(run(&["check", name], "").status.code(), Some(0), "{name}");
        assert_eq!(run(&["test", name], "").status.code(), Some(0), "{name}");
    }
    let output = run(&["check", &typo], "");
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).contains("specialized_advice"), "did you mean: {}", stdout(&output));
    let output = run(&["test", &wrong], "");
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).contains("FAIL  never"), "{}", stdout(&output));
    assert_eq!(run(&["check", "no-such-file"], "").status.code(), Some(3));
    assert_eq!(run(&["serve"], "").status.code(), Some(2));
    assert_eq!(run(&["serve", "--upstream", "ftp://x"], "").status.code(), Some(3));
    assert_eq!(
        run(&["serve", "--upstream", "http://x", "--policy", &typo], "").status.code(),
        Some(3)
    );
    let shipped = run(&["policy", "strict"], "");
    assert!(stdout(&shipped).contains("name: strict"));
}

/// As with `portcullis check strict | head -0`.
#[test]
fn who_reads_no_more_has_read_enough() {
    for args in [&["check", "strict"][..], &["test", "strict"], &["schema"], &["explain", "hello"]]
    {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = Command::new(Guard::binary());
        let output = command.args(args).stdout(writer).stderr(Stdio::piped()).output().unwrap();
        assert_eq!((output.status.code(), stderr(&output)), (Some(0), String::new()), "{args:?}");
    }
}

#[test]
fn a_folder_that_is_not_there_is_no_model() {
    let output = run(&["verify-model", "nowhere"], "");
    assert_eq!(output.status.code(), Some(3));
    assert!(stderr(&output).contains("nowhere: there is no such folder"), "{}", stderr(&output));
}

#[tokio::test]
async fn the_audit_commands_show_decisions_and_find_edits() {
    let upstream = Upstream::start(Script::say("ok")).await;
    let mut guard = Guard::start(&upstream.url());
    for text in ["hello", "PORTCULLIS-TEST-S1"] {
        post(guard.address, &[], chat(text, false).to_string().as_bytes()).await;
    }
    guard.signal("TERM");
    guard.wait();
    let dir = guard.audit_dir().display().to_string();
    let shown = stdout(&run(&["audit", "tail", &dir], ""));
    assert!(
        shown.contains("allowed")
            && shown.contains("input: violent_crimes")
            && shown.contains("sealed"),
        "{shown}"
    );
    let records = stdout(&run(&["audit", "tail", "--json", "-n", "3", &dir], ""));
    let kinds: Vec<Value> =
        records.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        (kinds.len(), &kinds[0]["kind"], &kinds[1]["kind"], &kinds[2]["kind"]),
        (3, &"closed".into(), &"sealed".into(), &"checkpoint".into())
    );

    let verified = run(&["audit", "verify", &dir], "");
    assert_eq!(verified.status.code(), Some(0), "{}", stdout(&verified));
    let segment = std::fs::read_dir(&dir)
        .unwrap()
        .map(|file| file.unwrap().path())
        .find(|path| path.extension().is_some_and(|end| end == "jsonl"))
        .unwrap();
    let text = std::fs::read_to_string(&segment).unwrap();
    std::fs::write(&segment, text.replacen("\"blocked\"", "\"allowed\"", 1)).unwrap();
    let verified = run(&["audit", "verify", &dir], "");
    assert_eq!(verified.status.code(), Some(1));
    assert!(stdout(&verified).contains("hash"), "{}", stdout(&verified));
    assert_eq!(run(&["audit", "verify", "no-such-dir"], "").status.code(), Some(3));
}
