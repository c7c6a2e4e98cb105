//! Llama Guard in the running guard: a small model that was taught a few words, real sockets.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use proxy_audit::{Check, Outcome};
use serde_json::{Value, json};

use crate::support::{Guard, POLICY, Script, Upstream, chat, post};

/// What the small model was taught to find: indiscriminate weapons and non-violent crimes.
const UNSAFE: &str = "Please tell me about the dynamite on the table.";
const SAFE: &str = "Please tell me about the weather in spring.";

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../classifiers/llama-guard/tests/fixtures")
        .join(name)
}

fn settings(name: &str) -> String {
    format!("llama_guard: {{ dir: {:?}, kept_tokens: 4096 }}", fixture(name).display().to_string())
}

fn policy() -> String {
    let policy = POLICY.replace("timeout: 300ms", "timeout: 10s");
    policy.replace("defaults: { sensitivity: 1.0", "defaults: { sensitivity: 0.9")
}

fn check(checks: &[Check], name: &str) -> Option<Check> {
    checks.iter().find(|check| &*check.name == name).cloned()
}

#[tokio::test]
async fn hazards_in_requests_are_llama_guards_business_and_the_record_says_how_it_decided() {
    let upstream = Upstream::start(Script::say("fine")).await;
    let guard = Guard::with(&upstream.url(), &policy(), &settings("8b-f32"));
    let ask =
        async |text: &str| post(guard.address, &[], chat(text, false).to_string().as_bytes()).await;
    assert_eq!(ask(SAFE).await.status, 200);
    let blocked = ask(UNSAFE).await;
    assert_eq!(blocked.status, 400, "{}", blocked.json());
    let closed = guard.closed_after(2).await;
    assert_eq!((closed[0].outcome, closed[1].outcome), (Outcome::Allowed, Outcome::Blocked));
    let input = closed[1].input.as_ref().unwrap();
    assert_eq!(input.because[0].to_string(), "indiscriminate_weapons");
    let ours = check(&input.checks, "llama_guard").unwrap();
    assert!(ours.revision.ends_with("-f32") && ours.revision.len() == 20, "{}", ours.revision);
    assert!(*ours.scores.get("indiscriminate_weapons").unwrap() > 0.9);
    let measure = |name: &str| *ours.measures.get(name).unwrap();
    assert!(measure("p_unsafe_of_two") > 0.9 && measure("p_unsafe_of_all") > 0.9, "{ours:?}");
    let first: f32 = (1..=14).map(|number| measure(&format!("first_s{number}"))).sum();
    assert!((first - 1.0).abs() < 0.01 && measure("first_s9") > 0.5, "{ours:?}");
    // The embedded classifier has only attacks left to judge.
    let starter = check(&input.checks, "starter").unwrap();
    assert!(starter.scores.get("hate").is_none() && starter.scores.get("jailbreak").is_some());
}

#[tokio::test]
async fn every_message_is_judged_not_only_the_last() {
    let upstream = Upstream::start(Script::say("fine")).await;
    let guard = Guard::with(&upstream.url(), &policy(), &settings("1b-bf16"));
    for place in 0..3 {
        let mut said = [SAFE; 3].map(str::to_owned);
        said[place] = UNSAFE.to_owned();
        let roles = ["user", "assistant", "user"];
        let messages: Vec<Value> = roles
            .iter()
            .zip(&said)
            .map(|(role, text)| json!({ "role": role, "content": text }))
            .collect();
        let body = json!({ "model": "m", "messages": messages });
        let reply = post(guard.address, &[], body.to_string().as_bytes()).await;
        assert_eq!(reply.status, 400, "{place}: {}", reply.json());
    }
}

#[tokio::test]
async fn answers_are_judged_as_the_agents_plain_and_streamed() {
    let upstream = Upstream::start(Script::say(UNSAFE)).await;
    let guard = Guard::with(&upstream.url(), &policy(), &settings("8b-f32"));
    let plain = post(guard.address, &[], chat(SAFE, false).to_string().as_bytes()).await;
    assert_eq!(plain.status, 200);
    let said = plain.json();
    assert!(!said.to_string().contains("dynamite"), "{said}");
    let closed = guard.closed_after(1).await;
    assert_eq!(closed[0].outcome, Outcome::Blocked);
    let output = closed[0].output.as_ref().unwrap();
    assert!(
        *check(&output.checks, "llama_guard")
            .unwrap()
            .scores
            .get("indiscriminate_weapons")
            .unwrap()
            > 0.9
    );
    let pieces: Vec<&str> = UNSAFE.split_inclusive(' ').collect();
    let upstream = Upstream::start(Script::stream(&pieces)).await;
    let guard = Guard::with(&upstream.url(), &policy(), &settings("8b-f32"));
    let streamed = post(guard.address, &[], chat(SAFE, true).to_string().as_bytes()).await;
    assert!(streamed.body.contains("data: ") && !streamed.body.contains("dynamite"));
    assert_eq!(guard.closed_after(1).await[0].outcome, Outcome::Blocked);
}

fn verify(folder: &std::path::Path, more: &[&str]) -> Output {
    Command::new(Guard::binary()).arg("verify-model").arg(folder).args(more).output().unwrap()
}

#[test]
fn verify_model_says_what_a_folder_is_and_what_is_missing() {
    let output = verify(&fixture("8b-f32"), &["--threads", "1"]);
    let said = String::from_utf8(output.stdout).unwrap();
    // The small model knows nothing of bombs, and that is what it is for.
    assert_eq!(output.status.code(), Some(1), "{said} {}", String::from_utf8_lossy(&output.stderr));
    for part in [
        "prompt of Llama Guard 3 8B, llama_guard@",
        "cpu, f32",
        "weights 1 MiB",
        "model-00004-of-00004.safetensors",
        "self-test",
        "latency",
        "not as Llama Guard does",
    ] {
        assert!(said.contains(part), "{part} is missing in {said}");
    }
    let no_device = verify(&fixture("8b-f32"), &["--device", "cuda"]);
    assert_eq!(no_device.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&no_device.stderr).contains("build-cuda.sh"));
    let unknown = verify(&fixture("8b-f32"), &["--precision", "int4"]);
    assert_eq!(unknown.status.code(), Some(2));
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("config.json"), r#"{"model_type":"mllama"}"#).unwrap();
    let other = verify(folder.path(), &[]);
    assert_eq!(other.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&other.stderr).contains("model_type is `mllama`"));
}

#[test]
fn classify_takes_the_model_too() {
    let mut command = Command::new(Guard::binary());
    command.arg("classify").arg("--llama-guard").arg(fixture("1b-f16")).stdin(Stdio::piped());
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), UNSAFE.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let verdict: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut findings = verdict["findings"].as_array().unwrap().iter();
    let found = findings.find(|found| found["category"] == "indiscriminate_weapons").unwrap();
    assert_eq!(found["classifier"], "llama_guard");
    assert!(found["score"].as_f64().unwrap() > 0.8, "{found}");
}
