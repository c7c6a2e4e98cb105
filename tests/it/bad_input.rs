//! Bad input gets a clear error, goes nowhere, and has a record.

use proxy_audit::Outcome;
use serde_json::json;

use crate::support::{Guard, POLICY, Script, Upstream, chat, post, raw};

#[tokio::test]
async fn bodies_that_are_not_requests() {
    let upstream = Upstream::start(Script::say("no")).await;
    let guard = Guard::with(&upstream.url(), POLICY, "limits: { request_bytes: 5000 }");
    let message = r#""messages":[{"role":"user","content":"hi"}]"#;
    let with = |field: &str| format!("{{\"model\":\"m\",{message},{field}}}");
    let messages = |messages: &str| format!("{{\"model\":\"m\",\"messages\":[{messages}]}}");
    let cases: Vec<(String, u16, &str, Option<&str>)> = vec![
        ("hello".into(), 400, "invalid_json", None),
        (String::new(), 400, "invalid_json", None),
        ("[]".into(), 400, "wrong_type", None),
        (format!("{{{message}}}"), 400, "missing_field", Some("model")),
        (r#"{"model":"m"}"#.into(), 400, "missing_field", Some("messages")),
        (messages(""), 400, "missing_field", Some("messages")),
        (with(r#""messages":[]"#), 400, "duplicate_key", None),
        (with(r#""Messages":[]"#), 400, "unknown_field", Some("Messages")),
        (with(r#""stream":"true""#), 400, "wrong_type", Some("stream")),
        (with(r#""stream":1"#), 400, "wrong_type", Some("stream")),
        (with(r#""n":"2""#), 400, "wrong_type", Some("n")),
        (with(r#""n":2.0"#), 400, "wrong_type", Some("n")),
        (with(r#""n":0"#), 400, "out_of_range", Some("n")),
        (with(r#""temperature":1e400"#), 400, "invalid_json", None),
        (with(r#""logprobs":true"#), 400, "unsupported", Some("logprobs")),
        (with(r#""store":true"#), 400, "unsupported", Some("store")),
        (with(r#""chat_template":"x""#), 400, "unsupported", Some("chat_template")),
        (with(r#""guardrails":[]"#), 400, "unknown_field", Some("guardrails")),
        (with(r#""prompt_logprobs":1"#), 400, "unsupported", Some("prompt_logprobs")),
        (
            messages(r#"{"role":"root","content":"x"}"#),
            400,
            "unsupported",
            Some("messages[0].role"),
        ),
        (
            messages(r#"{"role":"user","content":1}"#),
            400,
            "wrong_type",
            Some("messages[0].content"),
        ),
        (messages(r#"{"role":"user","content":"a\u0000b"}"#), 400, "nul_character", None),
        (messages(r#"{"role":"user","content":"\ud800"}"#), 400, "invalid_json", None),
        (
            messages(r#"{"role":"user","content":[{"type":"image_url","image_url":{"url":"x"}}]}"#),
            400,
            "unsupported",
            Some("messages[0].content[0].type"),
        ),
        (
            messages(r#"{"role":"user","content":"x","content_blocks":[]}"#),
            400,
            "unknown_field",
            Some("messages[0].content_blocks"),
        ),
        (chat(&"x".repeat(6000), false).to_string(), 413, "request_too_large", None),
        (format!("\u{feff}{}", chat("hi", false)), 400, "invalid_json", None),
        ("[".repeat(4000), 400, "too_deep", None),
    ];
    for (body, status, code, place) in &cases {
        let reply = post(guard.address, &[], body.as_bytes()).await;
        assert_eq!((reply.status, reply.code().as_str()), (*status, *code), "{body:.200}");
        assert_eq!(reply.json()["error"]["param"], json!(place), "{body:.200}");
        assert_eq!(reply.headers["x-should-retry"], "false");
    }
    assert_eq!(upstream.received(), b"");
    let closed = guard.closed();
    assert_eq!(closed.len(), cases.len());
    for (record, (.., code, _)) in closed.iter().zip(&cases) {
        assert_eq!((record.outcome, record.reason.as_deref()), (Outcome::Refused, Some(*code)));
    }
}

#[tokio::test]
async fn requests_that_are_not_plain_http() {
    let upstream = Upstream::start(Script::say("no")).await;
    let guard = Guard::start(&upstream.url());
    let body = chat("hi", false).to_string();
    let length = body.len();
    let request = |line: &str, headers: &str| {
        format!(
            "{line}\r\nhost: guard\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
        )
    };
    let json = "content-type: application/json\r\n";
    let good = "POST /v1/chat/completions HTTP/1.1";
    let cases = [
        (request("POST /v1/responses/resp_1/cancel HTTP/1.1", json), 404, "unknown_route"),
        (request("POST /v1/%63hat/completions HTTP/1.1", json), 404, "unknown_route"),
        (request("POST /v1//chat/completions HTTP/1.1", json), 404, "unknown_route"),
        (request("POST /v1/chat/completions/ HTTP/1.1", json), 404, "unknown_route"),
        (request("POST /V1/chat/completions HTTP/1.1", json), 404, "unknown_route"),
        (request("POST /invocations HTTP/1.1", json), 404, "unknown_route"),
        (request("POST /v1/chat/completions?x=1 HTTP/1.1", json), 400, "bad_http"),
        (request("POST http://other/v1/chat/completions HTTP/1.1", json), 400, "bad_http"),
        (request("GET /v1/chat/completions HTTP/1.1", json), 405, "method_not_allowed"),
        (request("PUT /v1/chat/completions HTTP/1.1", json), 405, "method_not_allowed"),
        (request("post /v1/chat/completions HTTP/1.1", json), 405, "method_not_allowed"),
        (request(good, ""), 415, "unsupported_media_type"),
        (request(good, "content-type: text/plain\r\n"), 415, "unsupported_media_type"),
        (
            request(good, "content-type: application/json; charset=utf-16\r\n"),
            415,
            "unsupported_media_type",
        ),
        (request(good, &format!("{json}{json}")), 415, "unsupported_media_type"),
        (
            request(good, &format!("{json}content-encoding: gzip\r\n")),
            415,
            "unsupported_media_type",
        ),
        (request(good, &format!("{json}host: other\r\n")), 400, "bad_http"),
        (request(good, &format!("{json}upgrade: h2c\r\n")), 400, "bad_http"),
        (request(good, &format!("{json}transfer-encoding: chunked\r\n")), 400, "bad_http"),
    ];
    for (bytes, status, code) in &cases {
        let reply = raw(guard.address, bytes.as_bytes()).await;
        assert_eq!((reply.status, reply.code().as_str()), (*status, *code), "{bytes}");
    }
    assert_eq!(upstream.received(), b"");
    assert_eq!(guard.closed().len(), cases.len());
}

#[tokio::test]
async fn a_body_that_never_comes_is_not_waited_for() {
    let upstream = Upstream::start(Script::say("no")).await;
    let guard = Guard::with(&upstream.url(), POLICY, "limits: { request_seconds: 1 }");
    let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{";
    let reply = raw(guard.address, head.as_bytes()).await;
    assert_eq!((reply.status, reply.code().as_str()), (408, "request_timeout"));
    assert_eq!(guard.closed()[0].reason.as_deref(), Some("request_timeout"));
}
