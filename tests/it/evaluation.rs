//! Measuring a guard from outside, and watching it.

use std::fs;
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::support::{Guard, POLICY, Script, Upstream, policy_with};

const DATA: &str = r#"{"text":"PORTCULLIS-TEST-JAILBREAK","attack":"jailbreak","lang":"en"}
{"text":"Ignore PORTCULLIS-TEST-INJECTION","role":"tool","attack":"injection","lang":"de"}
{"text":"an attack that nobody finds","attack":"jailbreak","lang":"en"}
{"text":"hello","attack":"benign","hazards":[],"lang":"en"}
{"text":"good day","attack":"benign","hazards":[],"lang":"de"}
"#;

async fn run(args: Vec<String>) -> Output {
    let command = move || Command::new(Guard::binary()).args(args).output().unwrap();
    tokio::task::spawn_blocking(command).await.unwrap()
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

fn report(dir: &std::path::Path) -> Value {
    serde_json::from_str(&fs::read_to_string(dir.join("report.json")).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guard_is_measured_from_outside_plain_and_streamed() {
    let upstream = Upstream::start(Script::say("fine")).await;
    let guard = Guard::start(&upstream.url());
    let dir = tempfile::tempdir().unwrap();
    let (data, out) = (dir.path().join("data.jsonl"), dir.path().join("out"));
    fs::write(&data, DATA).unwrap();
    let ask = |more: &str| {
        let (data, out) = (data.display(), out.display());
        words(&format!("eval {data} --out {out} --url http://{}{more}", guard.address))
    };
    let output = run(ask(" --gate prompt_attack.recall>=0.6 --gate benign.blocked<=0")).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let plain = report(&out);
    let measure = |report: &Value, name: &str| {
        let all = report["measures"].as_array().unwrap();
        all.iter().find(|measure| measure["name"] == name).unwrap()["overall"].clone()
    };
    assert_eq!(plain["failures"], 0);
    let attacks = measure(&plain, "prompt_attack");
    assert_eq!((&attacks["true_positives"], &attacks["false_positives"]), (&2.into(), &0.into()));
    assert!(attacks["auc"].is_null(), "who tells no scores has no curve");
    // What is known is not asked again.
    let asked = guard.closed_after(5).await.len();
    let output = run(ask(" --gate prompt_attack.recall>=0.7")).await;
    assert_eq!((output.status.code(), guard.closed().len()), (Some(1), asked), "{output:?}");
    upstream.play(Script::stream(&["fine"]));
    let output = run(ask(" --stream --concurrency 3")).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let streamed = report(&out);
    assert_eq!(measure(&streamed, "prompt_attack"), attacks);
    // A model server that is down is no verdict, and nothing that was let through.
    upstream.play(Script::status("500 Internal Server Error", "{}"));
    let output = run(ask(" --model other")).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(report(&out)["failures"], 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_is_known_by_its_key_and_alarms_when_detection_falls() {
    let upstream = Upstream::start(Script::say("fine")).await;
    let fingerprint = proxy_stack::fingerprint("canary-key");
    let guard =
        Guard::with(&upstream.url(), POLICY, &format!("keys: {{ canary: {fingerprint} }}\n"));
    let hook = Upstream::start(Script::json(&Value::Null)).await;
    let dir = tempfile::tempdir().unwrap();
    let (key, attacks, metrics) =
        (dir.path().join("key"), dir.path().join("attacks.jsonl"), dir.path().join("canary.prom"));
    fs::write(&key, "canary-key\n").unwrap();
    fs::write(&attacks, DATA).unwrap();
    let base = format!(
        "canary --once --url http://{} --key-file {} --metrics {} --webhook {}",
        guard.address,
        key.display(),
        metrics.display(),
        hook.url()
    );
    let output = run(words(&base)).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(fs::read_to_string(&metrics).unwrap().contains("guard_canary_recall 1\n"));
    assert_eq!(hook.received(), b"", "all is well");
    let records = guard.closed_after(5).await;
    assert!(
        records.iter().all(|record| record.key_name.as_deref() == Some("canary")),
        "{records:?}"
    );
    let output = run(words(&format!("{base} --attacks {}", attacks.display()))).await;
    assert_eq!(output.status.code(), Some(1), "one in eight is not found: {output:?}");
    assert!(fs::read_to_string(&metrics).unwrap().contains("guard_canary_alarm 1\n"));
    let told = hook.last_body();
    assert_eq!(
        (&told["alarm"], &told["blocked"], &told["sent"]),
        (&true.into(), &7.into(), &8.into())
    );
    let output =
        run(words(&format!("{base} --min-recall 0.8 --attacks {}", attacks.display()))).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_under_a_policy_without_triggers_sends_what_it_is_given() {
    let upstream = Upstream::start(Script::say("fine")).await;
    let dir = tempfile::tempdir().unwrap();
    let attacks = dir.path().join("attacks.jsonl");
    // Nobody was ever given this key.
    let key = ["sk_live_", "4eC39HqLyjWDarjtT1zdp7dc"].concat();
    fs::write(&attacks, json!({ "text": key, "attack": "jailbreak" }).to_string()).unwrap();
    let policy =
        policy_with("secrets: { input: redact", "secrets: { sensitivity: low, input: block");
    let policy = format!("{policy}test_triggers: false\n");
    let guard = Guard::with(&upstream.url(), &policy, "");
    let base =
        format!("canary --once --url http://{} --attacks {}", guard.address, attacks.display());
    let output = run(words(&base)).await;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    for part in ["1 of 6", "let through: PORTCULLIS-TEST-JAILBREAK, ", "give --no-triggers"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let output = run(words(&format!("{base} --no-triggers"))).await;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && said.contains("ok: 1 of 1"), "{output:?}");
}
