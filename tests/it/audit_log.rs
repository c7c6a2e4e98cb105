//! What is kept of texts, and how people find it.

use std::path::Path;
use std::process::{Command, Output};

use proxy_audit::{Examined, Follower, Keep, Record};
use serde_json::Value;

use crate::support::{Guard, POLICY, Script, Upstream, chat, post};

/// A key as one of the formats that are looked for, put together here so that no scanner takes it for a real one.
fn secret() -> String {
    ["sk_live_", "4eC39HqLyjWDarjtT1zdp7dc"].concat()
}

fn policy(text: &str) -> String {
    format!("{POLICY}audit: {{ text: {text}, redact: [secrets, personal_data] }}\n")
}

fn examined(dir: &Path) -> Vec<Examined> {
    let entries = Follower::first(dir).unwrap().map(|entry| entry.unwrap().record);
    let examined = entries.filter_map(|record| match record {
        Record::Examined(examined) => Some(*examined),
        _ => None,
    });
    examined.collect()
}

/// Whether `bytes` stand anywhere below `dir`.
fn is_on_disk(dir: &Path, bytes: &str) -> bool {
    std::fs::read_dir(dir).unwrap().flatten().any(|file| {
        let content = std::fs::read(file.path()).unwrap();
        content.windows(bytes.len()).any(|window| window == bytes.as_bytes())
    })
}

/// Asks once plain and once streamed, and gives the log's folder.
async fn exchange(keep: &str) -> Guard {
    let upstream = Upstream::start(Script::say("mail me at jane.doe@acme-corp.co.uk")).await;
    let mut guard = Guard::with(&upstream.url(), &policy(keep), "");
    let question = format!("is {} a good key, Anna?", secret());
    post(guard.address, &[], chat(&question, false).to_string().as_bytes()).await;
    let pieces = ["a long ", "story, and ", &secret(), " in it"];
    upstream.play(Script::stream(&pieces));
    post(guard.address, &[], chat("tell a story", true).to_string().as_bytes()).await;
    guard.signal("TERM");
    guard.wait();
    guard
}

#[tokio::test]
async fn texts_are_kept_as_the_policy_says() {
    for (word, keep) in Keep::ALL.iter().map(|keep| (keep.as_str(), *keep)) {
        let guard = exchange(word).await;
        let dir = guard.audit_dir();
        let kept = examined(&dir);
        assert_eq!(kept.len(), 2, "{word}: one record of texts for each exchange");
        assert!(kept.iter().all(|examined| examined.keep == keep));
        let texts: Vec<Option<&str>> = kept
            .iter()
            .flat_map(|e| e.input.iter().chain(&e.output))
            .map(|k| k.text.as_deref())
            .collect();
        let question =
            kept[0].input.iter().find(|kept| &*kept.at == "/messages/0/content").unwrap();
        let told = format!("is {} a good key, Anna?", secret());
        assert_eq!((question.role.as_ref(), question.bytes), ("user", told.len() as u64));
        let story =
            kept[1].output.iter().find(|kept| &*kept.at == "/choices/0/message/content").unwrap();
        let full = format!("a long story, and {} in it", secret());
        assert_eq!(story.bytes, full.len() as u64);
        match keep {
            Keep::Full => {
                assert_eq!(question.text.as_deref(), Some(told.as_str()));
                assert_eq!(story.text.as_deref(), Some(full.as_str()));
            }
            Keep::Redacted => {
                let stars = "*".repeat(secret().len());
                assert_eq!(
                    question.text.as_deref(),
                    Some(format!("is {stars} a good key, Anna?").as_str())
                );
                assert_eq!(
                    story.text.as_deref(),
                    Some(format!("a long story, and {stars} in it").as_str())
                );
                assert_eq!(
                    (question.masked[0].start, &*question.masked[0].category),
                    (3, "secrets")
                );
                assert!(
                    question.fingerprint.as_ref().is_some_and(|print| print.starts_with("text-"))
                );
                assert!(!is_on_disk(&dir, "jane.doe"), "personal data is masked too");
            }
            _ => assert!(texts.iter().all(Option::is_none), "{word}: {texts:?}"),
        }
        assert_eq!(
            question.fingerprint.is_some(),
            matches!(keep, Keep::Redacted | Keep::Fingerprint)
        );
        assert_eq!(is_on_disk(&dir, &secret()), keep == Keep::Full, "{word}");
        assert_eq!(guard.verify().examined, 2);
    }
}

fn audit(args: &[&str]) -> Output {
    Command::new(Guard::binary()).arg("audit").args(args).output().unwrap()
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[tokio::test]
async fn decisions_are_found_shown_and_exported() {
    let upstream = Upstream::start(Script::say("ok")).await;
    let mut guard = Guard::with(&upstream.url(), &policy("redacted"), "");
    for text in ["hello \u{1b}[2J there", "PORTCULLIS-TEST-S1", "PORTCULLIS-TEST-S6", "=cmd()"] {
        let key = [("authorization", "Bearer someone")];
        post(guard.address, &key, chat(text, false).to_string().as_bytes()).await;
    }
    let path = guard.audit_dir().display().to_string();
    let dir = path.as_str();

    // Beside the proxy that writes the log.
    let rows = |args: &[&str]| -> Vec<Value> {
        let shown = stdout(&audit(&[&["query", dir, "--json"], args].concat()));
        shown.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    assert_eq!(rows(&[]).len(), 4);
    let blocked = rows(&["action:block"]);
    assert_eq!((blocked.len(), &blocked[0]["hazards"][0]), (1, &Value::from("violent_crimes")));
    assert_eq!(rows(&["--action", "block"]), blocked);
    assert_eq!(rows(&["hazard:violent_crimes", "-action:flag", "since:1h"]), blocked);
    assert_eq!(rows(&["--text", "hello", "there"]).len(), 1);
    assert_eq!(stdout(&audit(&["query", dir, "--count", "-action:block"])).trim(), "3");
    let facets = stdout(&audit(&["query", dir, "--facets", "action,key"]));
    assert!(facets.contains("2  allow") && facets.contains("4  key-"), "{facets}");
    let table = stdout(&audit(&["query", dir, "-n", "1"]));
    assert!(table.contains("allow"), "{table}");
    let tail = stdout(&audit(&["tail", dir, "action:block"]));
    assert!(tail.contains("block: violent_crimes") && tail.lines().count() == 1, "{tail}");

    let records = stdout(&audit(&["tail", dir, "--json", "-n", "100"]));
    assert!(records.contains("\"examined\"") && !records.contains("hello"), "{records}");

    let id = rows(&["hello"])[0]["id"].as_str().unwrap().to_owned();
    let shown = stdout(&audit(&["show", dir, &id]));
    assert!(shown.contains("/messages/0/content") && !shown.contains("hello"), "{shown}");
    let locked = audit(&["show", dir, &id, "--reveal", "ticket 7"]);
    assert_eq!(locked.status.code(), Some(3), "a look that cannot be recorded is refused");
    let wrong = audit(&["query", dir, "colour:red"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("there is no field `colour`"));

    guard.signal("TERM");
    guard.wait();
    let shown = stdout(&audit(&["show", dir, &id, "--reveal", "ticket 7"]));
    assert!(shown.contains("hello \\u{1b}[2J there"), "{shown}");
    let again: Value =
        serde_json::from_str(&stdout(&audit(&["show", dir, &id, "--json"]))).unwrap();
    assert_eq!(again["reveals"][0]["why"], "ticket 7");

    let csv = stdout(&audit(&["export", dir, "--format", "csv"]));
    assert_eq!(csv.lines().count(), 5);
    let ocsf = stdout(&audit(&["export", dir, "--format", "ocsf", "action:block"]));
    let finding: Value = serde_json::from_str(&ocsf).unwrap();
    assert_eq!((&finding["class_uid"], &finding["disposition_id"]), (&2004.into(), &2.into()));
    let out = guard.audit_dir().join("../out.jsonl").display().to_string();
    stdout(&audit(&["export", dir, "-o", &out]));
    assert_eq!(std::fs::read_to_string(&out).unwrap().lines().count(), 4);
    assert_eq!(
        audit(&["export", dir, "-o", &out]).status.code(),
        Some(3),
        "nothing is overwritten"
    );
    assert!(guard.verify().acts >= 1);
}
