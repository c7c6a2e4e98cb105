//! What a policy's owner decides, as callers and records see it: reloads, limits, routes, exemptions, languages.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use classifiers_batching::InProcess;
use classifiers_core::{Backend, BoxClassify, TestTriggers};
use http::Request;
use http_body_util::{BodyExt, Full};
use policies::Policy;
use proxy_audit::{Action, Closed, Journal, Mode, Options, Outcome, Record};
use proxy_stack::{
    ActivePolicy, Arrival, Check, Gate, KeyNames, Limits, Panel, Parts, Reloaded, Target, stack,
};
use tokio::task::JoinSet;
use tower::ServiceExt;

use crate::support::{Guard, POLICY, Reply, Script, Upstream, chat, policy_with, post};

// === reloads ===

/// Under `block` the trigger is blocked, under `flag` it passes and is noted.
fn variant(name: &str, action: &str) -> String {
    POLICY.replace("name: test", &format!("name: {name}")).replace(
        "specialized_advice: { input: flag, output: flag, tools: flag }",
        &format!("specialized_advice: {{ input: {action}, output: {action}, tools: {action} }}"),
    )
}

async fn gate(policies: &Arc<ActivePolicy>, upstream: &Upstream, dir: &Path) -> Gate {
    let journal = Arc::new(Journal::open(dir, &Options::default()).unwrap().0);
    let triggers = TestTriggers::new();
    let id = triggers.id().clone();
    let limits = Limits::default();
    stack(Parts {
        journal,
        instance: "test".into(),
        policies: Arc::clone(policies),
        keys: KeyNames::default(),
        panel: Panel::new([Check::new(id, BoxClassify::new(InProcess::new(triggers)))]),
        metrics: Arc::default(),
        tracing: proxy_stack::Tracing::default(),
        cut_off: proxy_stack::CutOff::default(),
        issuers: None,
        limits,
        shared_limits: None,
        upstream: proxy_stack::Upstream::new(
            Target::parse(&upstream.url(), None).unwrap(),
            &limits,
        )
        .unwrap(),
    })
}

/// Asks for something that one policy blocks and the other notes, and says who decided how.
async fn ask(gate: &Gate) -> (String, u16) {
    let body = Full::new(Bytes::from(chat("PORTCULLIS-TEST-S6", false).to_string()));
    let request = Request::post("/v1/chat/completions")
        .header("host", "guard")
        .header("content-type", "application/json")
        .body(body.map_err(|never: Infallible| match never {}).boxed_unsync())
        .unwrap();
    let Ok(response) = gate.clone().oneshot(Arrival { request, remote: None, fault: None }).await;
    let label = response.headers()["x-guard-policy"].to_str().unwrap().to_owned();
    let status = response.status().as_u16();
    response.into_body().collect().await.unwrap();
    (label, status)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn reloads_under_load_mix_nothing() {
    reload_under_load(500).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "takes minutes in a debug build"]
async fn ten_thousand_reloads_under_load_mix_nothing() {
    reload_under_load(10_000).await;
}

/// So many reloads, half of them invalid, while callers ask: every decision is wholly of one valid policy, and
/// nobody is refused for a reload.
async fn reload_under_load(reloads: usize) {
    let upstream = Upstream::start(Script::say("PORTCULLIS-TEST-S6")).await;
    let dir = tempfile::tempdir().unwrap();
    let [blocks, flags] = [variant("blocks", "block"), variant("flags", "flag")];
    let policies =
        Arc::new(ActivePolicy::new(Policy::parse(&blocks, "test").unwrap().0, Vec::new()));
    let gate = gate(&policies, &upstream, dir.path()).await;
    let over = Arc::new(AtomicBool::new(false));
    let mut callers = JoinSet::new();
    for _ in 0..8 {
        let (gate, over) = (gate.clone(), Arc::clone(&over));
        callers.spawn(async move {
            let mut seen = Vec::new();
            while !over.load(Ordering::Relaxed) {
                seen.push(ask(&gate).await);
            }
            seen
        });
    }
    let reloaded = Arc::clone(&policies);
    let reloading = tokio::task::spawn_blocking(move || {
        let wrong = [
            flags.replace("hazards:", "hazard:"),
            flags.chars().take(flags.len() / 2).collect(),
            format!(
                "{flags}tests: [{{ name: no, at: input, scores: {{ hate: 1 }}, expect: {{ action: allow }} }}]\n"
            ),
        ];
        let mut taken = 0;
        for n in 0..reloads {
            if n % 2 == 1 {
                assert!(reloaded.reload(&wrong[n / 2 % 3], "wrong.yaml").is_err());
                continue;
            }
            let source = if n.is_multiple_of(4) { &flags } else { &blocks };
            let taking = reloaded.reload(source, "good.yaml");
            assert!(matches!(taking, Ok(Reloaded::Replaced(_))), "{taking:?}");
            taken += 1;
        }
        taken
    });
    assert_eq!(reloading.await.unwrap(), reloads / 2);
    over.store(true, Ordering::Relaxed);
    assert_eq!(policies.counts(), (reloads as u64 / 2, reloads as u64 / 2));
    let mut seen = BTreeMap::new();
    for answer in callers.join_all().await.into_iter().flatten() {
        *seen.entry(answer).or_insert(0) += 1;
    }
    // Two kinds of answers and no third: the header's policy is the one that decided.
    let kinds: Vec<(&str, u16)> =
        seen.keys().map(|(label, status)| (label.split_once('@').unwrap().0, *status)).collect();
    assert_eq!(kinds, [("blocks", 400), ("flags", 200)], "{seen:?}");
    drop(gate);
    let entries = proxy_audit::tail(dir.path(), u64::MAX).unwrap();
    let closed = entries.into_iter().filter_map(|entry| match entry.record {
        Record::Closed(closed) => Some(*closed),
        _ => None,
    });
    let mut records = 0;
    for closed in closed {
        records += 1;
        let label = closed.policy.as_deref().unwrap();
        let input = closed.input.as_ref().unwrap().action;
        let output = closed.output.as_ref().map(|ruling| ruling.action);
        match label.split_once('@').unwrap().0 {
            "blocks" => assert_eq!((input, output), (Action::Block, None)),
            "flags" => assert_eq!((input, output), (Action::Flag, Some(Action::Flag))),
            other => panic!("{other}"),
        }
    }
    assert_eq!(records, seen.values().sum::<i32>());
    assert!(records > 20, "{records} decisions are no load");
    println!("{reloads} reloads, {records} decisions");
}

/// Asks until the policy called `name` decides.
async fn until(guard: &Guard, name: &str) -> Reply {
    let started = Instant::now();
    loop {
        let reply = post(guard.address, &[], chat("hello", false).to_string().as_bytes()).await;
        if reply.headers["x-guard-policy"].starts_with(&format!("{name}@")) {
            return reply;
        }
        assert!(started.elapsed() < Duration::from_secs(15), "{name} is never in force");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_changed_file_is_taken_and_a_bad_one_is_not() {
    let upstream = Upstream::start(Script::say("ok")).await;
    let guard = Guard::start(&upstream.url());
    let dir = guard.audit_dir().parent().unwrap().to_owned();
    let file = dir.join("policy.yaml");
    until(&guard, "test").await;
    // As editors write: in place, and beside with a rename.
    std::fs::write(&file, variant("written", "flag")).unwrap();
    until(&guard, "written").await;
    let beside = dir.join("new.yaml");
    std::fs::write(&beside, variant("renamed", "flag")).unwrap();
    std::fs::rename(&beside, &file).unwrap();
    until(&guard, "renamed").await;
    // As a ConfigMap is mounted: a link to a link to a folder, of which the middle one is swapped.
    for (number, name) in ["mounted", "remounted"].into_iter().enumerate() {
        let folder = format!("..2026_{number}");
        std::fs::create_dir(dir.join(&folder)).unwrap();
        std::fs::write(dir.join(&folder).join("policy.yaml"), variant(name, "flag")).unwrap();
        std::os::unix::fs::symlink(&folder, dir.join("..data_tmp")).unwrap();
        std::fs::rename(dir.join("..data_tmp"), dir.join("..data")).unwrap();
        if number == 0 {
            std::os::unix::fs::symlink("..data/policy.yaml", dir.join("link")).unwrap();
            std::fs::rename(dir.join("link"), &file).unwrap();
        }
        until(&guard, name).await;
    }
    // A bad file, a missing file, and a signal keep what is in force.
    std::fs::write(&file, "version: 1\nname: broken\nhazards: { hat: {} }\n").unwrap();
    guard.signal("HUP");
    guard.says("the new policy is wrong").await;
    until(&guard, "remounted").await;
    // So is one that needs a model which is not there.
    let absent = variant("absent", "flag")
        .replace("timeout:", "instead: { llama_guard: [llama_guard_local] }, timeout:");
    std::fs::write(&file, absent).unwrap();
    guard.signal("HUP");
    guard.says("standby: { llama_guard: { dir: ... } }").await;
    until(&guard, "remounted").await;
    std::fs::remove_file(&file).unwrap();
    guard.signal("HUP");
    guard.says("the policy file cannot be read").await;
    until(&guard, "remounted").await;
    std::fs::write(&file, variant("restored", "flag")).unwrap();
    guard.signal("HUP");
    until(&guard, "restored").await;
}

// === limits ===

/// How many of the requests of 64 connections were let through within `time`.
async fn admitted(guard: &Guard, time: Duration) -> (u64, u64) {
    let body: Arc<[u8]> = chat("hello", false).to_string().into_bytes().into();
    let until = Instant::now() + time;
    let mut callers = JoinSet::new();
    for _ in 0..64 {
        let (address, body) = (guard.address, Arc::clone(&body));
        callers.spawn(async move {
            let (mut passed, mut refused) = (0, 0);
            while Instant::now() < until {
                let reply = post(address, &[("authorization", "Bearer one")], &body).await;
                match reply.status {
                    200 => passed += 1,
                    429 => {
                        assert_eq!(reply.code(), "rate_limit_exceeded");
                        refused += 1;
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                    other => panic!("{other}: {}", reply.body),
                }
            }
            (passed, refused)
        });
    }
    let mut total = (0, 0);
    for (passed, refused) in callers.join_all().await {
        total = (total.0 + passed, total.1 + refused);
    }
    total
}

async fn measure_rate(limits: &str, quota: f64, time: Duration) {
    let upstream = Upstream::start(Script::say("ok")).await;
    let guard = Guard::with(&upstream.url(), &format!("{POLICY}limits: {limits}\n"), "");
    let (passed, refused) = admitted(&guard, time).await;
    let share = passed as f64 / quota;
    println!("{limits}: {passed} admitted in {time:?}, {refused} refused, {share:.4} of the quota");
    assert!((0.99..=1.01).contains(&share), "{passed} of {quota}");
    assert!(refused > 0, "nobody asked for more than the quota");
}

/// 64 connections ask for four times the quota: exactly the quota passes, and a slow machine changes nothing.
#[tokio::test]
async fn of_too_many_requests_exactly_the_quota_passes() {
    let upstream = Upstream::start(Script::say("ok")).await;
    let guard =
        Guard::with(&upstream.url(), &format!("{POLICY}limits: {{ requests: 80/h }}\n"), "");
    let asks = (0..64).map(|_| async {
        let mut passed = 0;
        for _ in 0..5 {
            let reply = say(&guard, "one", "hello").await;
            assert!(matches!(reply.status, 200 | 429), "{}", reply.body);
            passed += usize::from(reply.status == 200);
        }
        passed
    });
    let passed: usize = futures_util::future::join_all(asks).await.into_iter().sum();
    assert_eq!(passed, 80);
    assert_eq!(say(&guard, "another", "hello").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes a minute"]
async fn the_admitted_rate_is_the_quota_over_a_minute() {
    measure_rate("{ requests: 600/min }", 600.0, Duration::from_secs(60)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes a minute"]
async fn the_admitted_rate_is_the_quota_of_many_short_periods() {
    measure_rate("{ requests: 100/3s }", 2_000.0, Duration::from_secs(60)).await;
}

async fn say(guard: &Guard, key: &str, text: &str) -> Reply {
    let bearer = format!("Bearer {key}");
    post(guard.address, &[("authorization", &bearer)], chat(text, false).to_string().as_bytes())
        .await
}

#[tokio::test]
async fn who_is_blocked_again_and_again_is_paused_alone() {
    let upstream = Upstream::start(Script::say("ok")).await;
    let limits = "limits: { blocked: { allow: 2/min, then: pause 1s } }\n";
    let guard = Guard::with(&upstream.url(), &format!("{POLICY}{limits}"), "");
    for _ in 0..3 {
        let blocked = say(&guard, "probing", "PORTCULLIS-TEST-S1").await;
        assert_eq!((blocked.status, blocked.code().as_str()), (400, "content_filter"));
        assert_eq!(say(&guard, "honest", "hello").await.status, 200);
    }
    // Flags and other refusals do not count, and others are not touched.
    let paused = say(&guard, "probing", "hello").await;
    assert_eq!((paused.status, paused.code().as_str()), (429, "blocked_too_often"));
    assert_eq!(paused.headers["x-should-retry"], "false");
    assert_eq!(say(&guard, "honest", "PORTCULLIS-TEST-S6").await.status, 200);
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    assert_eq!(say(&guard, "probing", "hello").await.status, 200, "the pause has an end");
    let reasons: Vec<_> = guard.closed().into_iter().filter_map(|closed| closed.reason).collect();
    assert!(reasons.contains(&"blocked_too_often".into()), "{reasons:?}");
}

#[tokio::test]
async fn tokens_are_counted_when_an_exchange_ends() {
    let upstream = Upstream::start(Script::say("ok")).await;
    let guard = Guard::with(&upstream.url(), &format!("{POLICY}limits: {{ tokens: 1K/h }}\n"), "");
    // About 1,000 tokens of 4 bytes: not known to be too many before they were used.
    let long = "harmless ".repeat(500);
    assert_eq!(say(&guard, "one", &long).await.status, 200);
    let refused = say(&guard, "one", "hello").await;
    assert_eq!((refused.status, refused.code().as_str()), (429, "rate_limit_exceeded"));
    assert_eq!(refused.headers["x-ratelimit-limit-tokens"], "1000");
    assert!(refused.headers["retry-after"].parse::<u64>().unwrap() > 3_000);
    assert_eq!(say(&guard, "another", "hello").await.status, 200);
}

// === routes, exemptions, languages ===

fn routed() -> String {
    format!(
        "{POLICY}never_below:\n  child_sexual_exploitation: {{ input: block, output: block }}\n\
         languages: {{ checked: [en], others: flag }}\n\
         profiles:\n  kids: {{ hazards: {{ specialized_advice: {{ input: block }} }} }}\n  research: {{ mode: shadow }}\n\
         routes:\n  - {{ key: 'kids-*', use: kids }}\n  - {{ header: {{ x-team: red }}, use: research }}\n  - {{ use: base }}\n\
         exemptions:\n  - {{ id: EX-7, key: clinic-bot, hazard: hate, where: [input], action: allow, why: a, approved_by: b, expires: {} }}\n",
        jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date(),
    )
}

fn named(name: &str, key: &str) -> String {
    format!("  {name}: {}\n", proxy_stack::fingerprint(key))
}

#[tokio::test]
async fn records_say_which_rules_applied_and_why() {
    let upstream = Upstream::start(Script::say("ok")).await;
    let keys =
        format!("keys:\n{}{}", named("kids-tablet", "secret-1"), named("clinic-bot", "secret-2"));
    let guard = Guard::with(&upstream.url(), &routed(), &keys);
    let red = [("authorization", "Bearer x"), ("x-team", "red")];
    let ask = async |headers: &[(&str, &str)], text: &str| {
        post(guard.address, headers, chat(text, false).to_string().as_bytes()).await.status
    };
    assert_eq!(say(&guard, "secret-1", "PORTCULLIS-TEST-S6").await.status, 400);
    // A key that is called like a name is not the key with that name.
    assert_eq!(say(&guard, "kids-tablet", "PORTCULLIS-TEST-S6").await.status, 200);
    assert_eq!(ask(&red, "PORTCULLIS-TEST-JAILBREAK").await, 200);
    assert_eq!(ask(&red, "PORTCULLIS-TEST-S4").await, 400);
    assert_eq!(say(&guard, "secret-2", "PORTCULLIS-TEST-S10").await.status, 200);
    assert_eq!(say(&guard, "x", "PORTCULLIS-TEST-S10").await.status, 400);
    let greek = "Καλημέρα, μπορείτε να μου πείτε πού βρίσκεται η πλησιέστερη βιβλιοθήκη;";
    assert_eq!(say(&guard, "x", greek).await.status, 200);
    let closed = guard.closed_after(7).await;
    let shown: Vec<String> = closed.iter().map(shown).collect();
    assert_eq!(
        shown,
        [
            "kids-tablet kids enforce blocked: specialized_advice",
            "- base enforce flagged: specialized_advice",
            "- research shadow allowed, would block: jailbreak",
            "- research shadow blocked: child_sexual_exploitation",
            "clinic-bot base enforce allowed, exempt by EX-7",
            "- base enforce blocked: hate",
            "- base enforce flagged: languages (el)",
        ]
    );
    explained(&guard, &closed);
}

fn shown(closed: &Closed) -> String {
    let input = closed.input.as_ref().unwrap();
    let mut text = format!(
        "{} {} {} {}",
        closed.key_name.as_deref().unwrap_or("-"),
        closed.profile.as_deref().unwrap_or("base"),
        if closed.mode == Mode::Shadow { "shadow" } else { "enforce" },
        closed.outcome
    );
    if let Some(would) = input.would {
        text += &format!(", would {would}");
    }
    if !input.exemptions.is_empty() {
        text += &format!(", exempt by {}", input.exemptions.join(", "));
    }
    if !input.because.is_empty() {
        text += &format!(": {}", input.because.join(", "));
    }
    if !input.languages.is_empty() && closed.outcome == Outcome::Flagged {
        let others = input.languages.iter().filter(|language| *language != "en");
        let others: Vec<&str> = others.map(AsRef::as_ref).collect();
        text +=
            &if others.is_empty() { String::new() } else { format!(" ({})", others.join(", ")) };
    }
    text
}

/// The same journal, through `explain` and `diff`.
fn explained(guard: &Guard, closed: &[Closed]) {
    let policy = guard.audit_dir().parent().unwrap().join("policy.yaml").display().to_string();
    let dir = guard.audit_dir().display().to_string();
    let run = |args: &[&str]| {
        let output = std::process::Command::new(Guard::binary())
            .args(args)
            .args(["--audit-dir", &dir])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let told = run(&["explain", &closed[0].id.to_string(), "--policy", &policy]);
    for part in
        ["kids-tablet", "profile `kids`", "specialized_advice at input", "threshold 1.0000: counts"]
    {
        assert!(told.contains(part), "{part} is missing in\n{told}");
    }
    let other = "that is not the policy that decided then";
    assert!(!told.contains(other), "{told}");
    let told = run(&["explain", &closed[0].id.to_string(), "--policy", "strict"]);
    assert!(told.contains(other), "{told}");
    let told = run(&["explain", &closed[4].id.to_string(), "--policy", &policy]);
    assert!(told.contains("weakened by EX-7"), "{told}");
    let told = run(&["diff", "--json", &policy, &policy]);
    let counts: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!((&counts["flips"], &counts["exchanges"]), (&0.into(), &7.into()), "{told}");
    let stricter = guard.audit_dir().parent().unwrap().join("stricter.yaml");
    std::fs::write(&stricter, policy_with("{ input: flag, output", "{ input: block, output"))
        .unwrap();
    let told = run(&["diff", "--json", &policy, &stricter.display().to_string()]);
    let counts: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!(counts["by_change"]["input: flag → block"], 1, "{told}");
    assert_eq!(counts["by_hazard"]["specialized_advice"], 1, "{told}");
    assert_eq!(counts["by_key"]["clinic-bot"], 1, "the exemption is gone: {told}");
}
