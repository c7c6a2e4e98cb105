//! Canaries planted wherever a secret can stand: none of them is in a log, a metric or a record.

use std::path::Path;
use std::time::Duration;

use serde_json::json;

use crate::support::{Guard, POLICY, Script, Upstream, chat, post, post_to, raw};

const UPSTREAMS_KEY: &str = "canary-upstream-key-7f3a";
const GUARDS_KEY: &str = "canary-guard-key-19bd";

/// Every byte of every file below.
fn everything(dir: &Path, found: &mut Vec<u8>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => everything(&path, found),
            false => found.extend(std::fs::read(&path).unwrap()),
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Sends one canary somewhere; `CANARIES` of them in turns.
async fn plant(guard: &Guard, number: usize, canary: &str) {
    let key = format!("Bearer {canary}");
    let plain = chat(&format!("my secret word is {canary}"), false).to_string();
    match number % 10 {
        0 => drop(
            post(
                guard.address,
                &[("authorization", &key)],
                chat("hello", false).to_string().as_bytes(),
            )
            .await,
        ),
        1 => drop(
            post(
                guard.address,
                &[("x-api-key", canary), ("cookie", canary), ("x-other", canary)],
                plain.as_bytes(),
            )
            .await,
        ),
        2 => drop(post(guard.address, &[], plain.as_bytes()).await),
        // A block, with the canary in the text that is blocked.
        3 => drop(
            post(
                guard.address,
                &[],
                chat(&format!("{canary} PORTCULLIS-TEST-S1"), false).to_string().as_bytes(),
            )
            .await,
        ),
        // Not JSON, an unknown field, a field of the wrong type.
        4 => drop(
            post(guard.address, &[], format!("{{\"model\": \"m\", \"{canary}").as_bytes()).await,
        ),
        5 => {
            let body = json!({ "model": canary, "messages": [{ "role": canary, "content": [canary] }], canary: canary });
            drop(post_to(guard.address, "/v1/chat/completions", &body).await);
        }
        // An unknown route and query.
        6 => {
            let request = format!(
                "GET /v1/{canary}?key={canary} HTTP/1.1\r\nhost: {canary}\r\nconnection: close\r\n\r\n"
            );
            drop(raw(guard.address, request.as_bytes()).await);
        }
        // A key of the caller's choice, which every text below it is named by.
        7 => {
            let mut body = chat("hello", false);
            body["metadata"] = json!({ canary: "a word" });
            let schema =
                json!({ "type": "object", "properties": { canary: { "description": "a word" } } });
            body["tools"] =
                json!([{ "type": "function", "function": { "name": "f", "parameters": schema } }]);
            drop(post(guard.address, &[], body.to_string().as_bytes()).await);
        }
        8 => {
            let used = json!({ "type": "tool_use", "id": "a", "name": "f", "input": { canary: "a word" } });
            let result = json!({ "type": "tool_result", "tool_use_id": "a", "content": canary });
            let body = json!({ "model": "m", "max_tokens": 9, "messages": [
                { "role": "user", "content": "hello" },
                { "role": "assistant", "content": [used] },
                { "role": "user", "content": [result] },
            ] });
            drop(post_to(guard.address, "/v1/messages", &body).await);
        }
        // Not HTTP.
        _ => {
            let request = format!(
                "POST / HTTP/1.1\r\nhost: a\r\n {canary}: {canary}\r\ncontent-length: x{canary}\r\n\r\n"
            );
            drop(raw(guard.address, request.as_bytes()).await);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_canary_is_in_a_log_a_metric_or_a_record() {
    let canary = |number: usize| {
        format!("canary{number:05}{:08x}", number * 2_654_435_761usize % 4_294_967_291)
    };
    nowhere("text: none", canary).await;
}

/// Where texts are kept, what detectors know is masked, also where it is a key.
#[tokio::test(flavor = "multi_thread")]
async fn no_canary_that_detectors_know_is_in_a_record_of_texts() {
    let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let canary = |number: usize| {
        let hash = number.wrapping_add(7).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let letter = |at: u32| char::from(letters[hash.rotate_left(at * 5 + at / 12) % 32]);
        format!("AKIA{}", (0..16).map(letter).collect::<String>())
    };
    nowhere("text: redacted", canary).await;
}

/// Plants canaries under an `audit` section, and looks for them.
async fn nowhere(audit: &str, canary: impl Fn(usize) -> String) {
    let count = std::env::var("CANARIES").map_or(80, |count| count.parse().unwrap());
    let upstream = Upstream::start(Script::say("fine")).await;
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let admin = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let settings = format!(
        "admin: {admin}\nupstream: {{ url: {:?}, key_file: {} }}\n\
         moderations: {{ urls: [\"http://127.0.0.1:1\"], key_file: {} }}",
        upstream.url(),
        file("upstream-key", UPSTREAMS_KEY),
        file("guard-key", GUARDS_KEY),
    );
    let logs = tempfile::tempdir().unwrap();
    let log = logs.path().join("log");
    // All that can be logged is.
    let before = format!(
        "export PORTCULLIS_LOG=trace RUST_BACKTRACE=full; exec 2> >(tee {} >&2)",
        log.display()
    );
    // What gives no verdict is flagged here, so that texts reach the model server and its errors come back.
    let policy = POLICY.replace(
        "input: block, output: block, tools: block, timeout",
        "input: flag, output: flag, tools: flag, timeout",
    );
    let policy = format!("{policy}audit: {{ {audit} }}\n");
    let mut guard = Guard::shell(&upstream.url(), (&policy, &settings), &before);
    let canaries: Vec<String> = (0..count).map(canary).collect();
    for (number, canary) in canaries.iter().enumerate() {
        upstream.play(match number / 10 % 3 {
            0 => Script::say("fine"),
            1 => Script::status("500 Oops", &json!({ "error": { "message": canary } }).to_string()),
            _ => Script::say(&format!("{canary} PORTCULLIS-TEST-S1")),
        });
        plant(&guard, number, canary).await;
    }
    let metrics =
        raw(admin, b"GET /metrics HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    guard.signal("TERM");
    assert!(guard.wait().success());
    tokio::time::sleep(Duration::from_millis(200)).await;
    let mut records = Vec::new();
    everything(&guard.audit_dir(), &mut records);
    let (records, logged) = (text(&records), text(&std::fs::read(&log).unwrap()));
    assert!(logged.len() > 10_000 && records.len() > 10_000, "{} {}", logged.len(), records.len());
    let places = [("log", &logged), ("metrics", &metrics.body), ("records", &records)];
    let mut found = Vec::new();
    for (place, said) in places {
        let planted = canaries.iter().map(String::as_str).chain([UPSTREAMS_KEY, GUARDS_KEY]);
        found.extend(
            planted
                .filter(|canary| said.contains(*canary))
                .map(|canary| (place, canary.to_owned())),
        );
    }
    println!("{count} canaries, {} bytes of log, {} of records", logged.len(), records.len());
    assert_eq!(found, []);
    // They were there to be found: the model server got them.
    let received = text(&upstream.received());
    assert!(received.contains(UPSTREAMS_KEY) && received.contains(&canaries[2]));
}
