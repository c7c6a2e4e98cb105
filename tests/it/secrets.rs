//! Canaries planted wherever a secret can stand: none of them is in a log, a metric, a trace or a record.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use jsonwebtoken::Algorithm;
use serde_json::json;
use tempfile::TempDir;

use crate::support::{Guard, Script, Signer, Upstream, chat, policy_with, post, post_to, raw};
use crate::tokens::{self, claims};
use crate::traces::Collector;

const UPSTREAMS_KEY: &str = "canary-upstream-key-7f3a";
const GUARDS_KEY: &str = "canary-guard-key-19bd";
const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
/// In how many ways canaries are planted.
const KINDS: usize = 12;

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
async fn plant(field: &Field, number: usize, canary: &str) {
    let (guard, stream) = (&field.guard, number / KINDS % 2 == 1);
    let key = format!("Bearer {canary}");
    let hello = chat("hello", stream).to_string();
    let plain = chat(&format!("my secret word is {canary}"), stream).to_string();
    let send = async |headers: &[(&str, &str)], body: &str| {
        drop(post(guard.address, headers, body.as_bytes()).await);
    };
    match number % KINDS {
        0 => send(&[("authorization", &key)], &hello).await,
        1 => send(&[("x-api-key", canary), ("cookie", canary), ("x-other", canary)], &plain).await,
        2 => send(&[], &plain).await,
        // A block, with the canary in the text that is blocked.
        3 => send(&[], &chat(&format!("{canary} PORTCULLIS-TEST-S1"), stream).to_string()).await,
        // Not JSON, an unknown field, a field of the wrong type.
        4 => send(&[], &format!("{{\"model\": \"m\", \"{canary}")).await,
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
            let mut body = chat("hello", stream);
            body["metadata"] = json!({ canary: "a word" });
            let schema =
                json!({ "type": "object", "properties": { canary: { "description": "a word" } } });
            body["tools"] =
                json!([{ "type": "function", "function": { "name": "f", "parameters": schema } }]);
            send(&[], &body.to_string()).await;
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
        // What tracing systems add.
        9 => {
            let (state, bad) = (format!("vendor={canary}"), format!("00-{canary}-01"));
            let parent = if stream { PARENT } else { &bad };
            let headers = [("traceparent", parent), ("tracestate", &*state), ("baggage", &*state)];
            send(&headers, &hello).await;
        }
        // What only operators should reach.
        10 => {
            let request = format!(
                "GET /{canary}?token={canary} HTTP/1.1\r\nhost: a\r\nauthorization: {key}\r\nconnection: close\r\n\r\n"
            );
            drop(raw(field.admin, request.as_bytes()).await);
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

fn plain(number: usize) -> String {
    format!("canary{number:05}{:08x}", number * 2_654_435_761usize % 4_294_967_291)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_canary_is_in_a_log_a_metric_a_trace_or_a_record() {
    nowhere("text: none", plain).await;
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
    let field = Field::start(audit, "").await;
    let canaries: Vec<String> = (0..count()).map(canary).collect();
    for (number, canary) in canaries.iter().enumerate() {
        field.upstream.play(match number / KINDS % 3 {
            0 => Script::say("fine"),
            1 => Script::status("500 Oops", &json!({ "error": { "message": canary } }).to_string()),
            _ => Script::say(&format!("{canary} PORTCULLIS-TEST-S1")),
        });
        plant(&field, number, canary).await;
    }
    // They were there to be found: the model server got them.
    let received = text(&field.upstream.received());
    assert!(received.contains(UPSTREAMS_KEY) && received.contains(&canaries[2]));
    field.bears_none_of(&canaries).await;
}

/// Tokens that are believed, and tokens that are not: nothing of what they say is kept, and none of their parts.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_token_is_in_a_log_a_metric_a_trace_or_a_record() {
    let signer = Signer::new("rsa", Algorithm::RS256);
    let keys = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(keys.path(), json!({ "keys": [signer.public()] }).to_string()).unwrap();
    let place = format!("jwks_file: {}", keys.path().display());
    let field = Field::start("text: none", &tokens::settings(&place, "")).await;
    let hello = chat("hello", false).to_string();
    let (mut planted, mut believed) = (Vec::new(), 0);
    for number in 0..count() / 4 {
        let canary = plain(number);
        let said = |name: &str| signer.sign(&claims(json!({ name: canary })));
        let token = match number % 9 {
            0 => said("sub"),
            1 => said("email"),
            2 => said("iss"),
            3 => said("aud"),
            4 => said("exp"),
            5 => signer.sign_with(&claims(json!({})), |header| header.kid = Some(canary.clone())),
            6 => format!("{}{canary}", said("email")),
            7 => format!("{canary}.{canary}.{canary}"),
            _ => canary.clone(),
        };
        let key = format!("Bearer {token}");
        let reply = post(field.guard.address, &[("authorization", &key)], hello.as_bytes()).await;
        believed += usize::from(reply.status == 200);
        planted.extend(token.split('.').filter(|part| !part.is_empty()).map(str::to_owned));
        planted.push(canary);
    }
    assert!(believed >= count() / 4 / 9 * 2, "{believed}");
    // All tokens of one key begin alike.
    planted.sort_unstable();
    planted.dedup();
    field.bears_none_of(&planted).await;
}

fn count() -> usize {
    std::env::var("CANARIES").map_or(1000, |count| count.parse().unwrap())
}

/// A guard that logs all it can, and traces, and where that goes.
struct Field {
    guard: Guard,
    upstream: Upstream,
    collector: Collector,
    admin: SocketAddr,
    /// Its secrets, and what it said.
    dir: TempDir,
}

impl Field {
    /// Under an `audit` section of the policy, with more settings.
    async fn start(audit: &str, more: &str) -> Self {
        let upstream = Upstream::start(Script::say("fine")).await;
        let collector = Collector::start().await;
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let admin = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let settings = format!(
            "admin: {admin}\nupstream: {{ url: {:?}, key_file: {} }}\n\
             moderations: {{ urls: [\"http://127.0.0.1:1\"], key_file: {} }}\n{more}",
            upstream.url(),
            file("upstream-key", UPSTREAMS_KEY),
            file("guard-key", GUARDS_KEY),
        );
        let (log, out) = (file("log", ""), file("out", ""));
        // All that can be logged is.
        let before = collector.exported(&format!(
            "PORTCULLIS_LOG=trace RUST_BACKTRACE=full; exec >{out} 2> >(tee {log} >&2)"
        ));
        // What gives no verdict is flagged here, so that texts reach the model server and its errors come back.
        let policy = policy_with(
            "input: block, output: block, tools: block, timeout",
            "input: flag, output: flag, tools: flag, timeout",
        );
        let policy = format!("{policy}audit: {{ {audit} }}\n");
        let guard = Guard::shell(&upstream.url(), (&policy, &settings), &before);
        Self { guard, upstream, collector, admin, dir }
    }

    /// Stops the guard, and looks for these and its own secrets in all that it said.
    async fn bears_none_of(mut self, planted: &[String]) {
        let request = b"GET /metrics HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
        let metrics = raw(self.admin, request).await.body;
        self.guard.signal("TERM");
        assert!(self.guard.wait().success());
        tokio::time::sleep(Duration::from_millis(200)).await;
        let read = |name: &str| text(&std::fs::read(self.dir.path().join(name)).unwrap());
        let mut records = Vec::new();
        everything(&self.guard.audit_dir(), &mut records);
        let places = [
            ("log", read("log")),
            ("output", read("out")),
            ("metrics", metrics),
            ("records", text(&records)),
            ("traces", self.collector.heard()),
        ];
        let own = [UPSTREAMS_KEY, GUARDS_KEY];
        let mut found = Vec::new();
        for (place, said) in &places {
            println!("{} canaries, {} bytes of {place}", planted.len(), said.len());
            assert!(*place == "output" || said.len() > 10_000, "{place}");
            let borne = planted.iter().map(String::as_str).chain(own);
            found.extend(borne.filter(|canary| said.contains(canary)).map(|one| (place, one)));
        }
        assert_eq!(found, []);
    }
}
