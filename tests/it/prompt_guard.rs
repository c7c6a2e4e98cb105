//! Prompt Guard in the running guard: a small model with random weights, the real ONNX Runtime, real sockets.

use std::path::PathBuf;
use std::process::{Command, Output};

use proxy_audit::{Closed, Outcome};
use serde_json::Value;

use crate::support::{Guard, Script, Upstream, chat, policy_with, post};

/// What the random weights take for a jailbreak, and what they do not.
const ATTACK: &str = "today the attached garden recipe";
const HARMLESS: &str = "please the summer";

fn fixture() -> PathBuf {
    PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../classifiers/prompt-guard/tests/fixtures/labels3"
    ))
}

/// Whether ONNX Runtime is there; if it is not, that is said, and is an error where it is required.
fn available() -> bool {
    let output = verify(&[], &fixture());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let missing = said.contains("cargo xtask onnxruntime");
    let required = std::env::var_os("PORTCULLIS_REQUIRE_ONNXRUNTIME").is_some()
        || std::env::var_os("CI").is_some();
    assert!(!(missing && required), "{said}");
    if missing {
        eprintln!("SKIPPED: {said}");
    }
    !missing
}

fn verify(environment: &[(&str, &str)], folder: &std::path::Path) -> Output {
    let mut command = Command::new(Guard::binary());
    command.arg("verify-model").arg(folder).args(["--threads", "1"]);
    command.envs(environment.iter().copied()).output().unwrap()
}

#[tokio::test]
async fn attacks_are_prompt_guards_business_and_the_record_names_its_digest() {
    if !available() {
        return;
    }
    let upstream = Upstream::start(Script::say("fine")).await;
    let policy = policy_with(
        "  specialized_advice:",
        "  jailbreak: { sensitivity: 0.9, input: block, output: allow, tools: block }\n  specialized_advice:",
    );
    let policy = policy.replace("timeout: 300ms", "timeout: 10s");
    let settings = format!(
        "prompt_guard: {{ dir: {:?}, threads: 1, sessions: 2 }}",
        fixture().display().to_string()
    );
    let guard = Guard::with(&upstream.url(), &policy, &settings);
    let ask =
        async |text: &str| post(guard.address, &[], chat(text, false).to_string().as_bytes()).await;
    assert_eq!(ask(HARMLESS).await.status, 200);
    assert_eq!(ask(ATTACK).await.status, 400);
    // In base64, and as the third window of a long text.
    let hidden = ask("dG9kYXkgdGhlIGF0dGFjaGVkIGdhcmRlbiByZWNpcGU=").await;
    assert_eq!(hidden.status, 400, "{}", hidden.json());
    let closed = guard.closed_after(3).await;
    let (allowed, blocked) = (&closed[0], &closed[1]);
    assert_eq!((allowed.outcome, blocked.outcome), (Outcome::Allowed, Outcome::Blocked));
    assert_eq!(blocked.input.as_ref().unwrap().because[0].to_string(), "jailbreak");
    let check = |closed: &Closed, name: &str| {
        let checks = &closed.input.as_ref().unwrap().checks;
        checks.iter().find(|check| &*check.name == name).unwrap().clone()
    };
    let ours = check(blocked, "prompt_guard");
    assert_eq!(ours.revision.len(), 16);
    assert!(ours.scores.get("jailbreak").is_some_and(|score| *score >= 0.9), "{ours:?}");
    assert!(check(blocked, "starter").scores.get("jailbreak").is_none());
    assert!(check(blocked, "starter").scores.get("hate").is_some());
}

#[test]
fn verify_model_says_what_a_folder_is_and_what_is_missing() {
    if !available() {
        return;
    }
    let output = verify(&[], &fixture());
    let said = String::from_utf8(output.stdout).unwrap();
    // Random weights do not behave like Prompt Guard, and that is what it is for.
    assert_eq!(output.status.code(), Some(1), "{said}");
    for part in [
        "Prompt Guard 1, prompt_guard@",
        "0 BENIGN, 1 INJECTION, 2 JAILBREAK",
        "model.onnx",
        "ids ",
        "latency",
        "not as Prompt Guard does",
    ] {
        assert!(said.contains(part), "{part} is missing in {said}");
    }
    let missing = verify(&[("ORT_DYLIB_PATH", "/nowhere/libonnxruntime.so")], &fixture());
    let said = String::from_utf8(missing.stderr).unwrap();
    assert_eq!(missing.status.code(), Some(3));
    assert!(said.contains("/nowhere") && said.contains("cargo xtask onnxruntime"), "{said}");
    let empty = tempfile::tempdir().unwrap();
    let output = verify(&[], empty.path());
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8(output.stderr).unwrap().contains("export.py"));
}

#[test]
fn classify_takes_the_model_too() {
    if !available() {
        return;
    }
    let mut command = Command::new(Guard::binary());
    command
        .arg("classify")
        .arg("--prompt-guard")
        .arg(fixture())
        .stdin(std::process::Stdio::piped());
    let mut child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), ATTACK.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let verdict: Value = serde_json::from_slice(&output.stdout).unwrap();
    let jailbreak = verdict["findings"]
        .as_array()
        .unwrap()
        .iter()
        .find(|found| found["category"] == "jailbreak");
    let jailbreak = jailbreak.unwrap();
    assert_eq!(jailbreak["classifier"], "prompt_guard");
    assert!((jailbreak["score"].as_f64().unwrap() - 0.9873).abs() < 1e-3, "{jailbreak}");
}
