//! What may go in goes in, and nothing else.

use proxy_audit::{Action, Outcome, Verdict};
use serde_json::{Value, json};

use crate::support::{Guard, POLICY, Script, Upstream, chat, get_events, policy_with, post};

#[tokio::test]
async fn an_allowed_request_arrives_as_it_was_read_and_is_recorded() {
    let upstream = Upstream::start(Script::say("Lisbon.")).await;
    let guard = Guard::start(&upstream.url());
    let body = r#"{ "model":"m", "messages":[{"role":"user","content":"caf\u00e9?"}], "temperature":0.5 }"#;
    let headers = [
        ("authorization", "Bearer sk-one"),
        ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        ("cookie", "private=1"),
        ("x-guard-policy", "none"),
    ];
    let reply = post(guard.address, &headers, body.as_bytes()).await;
    assert_eq!(
        (reply.status, reply.json()["choices"][0]["message"]["content"].as_str()),
        (200, Some("Lisbon."))
    );
    assert_eq!(reply.headers["x-guard-decision"], "allow");
    assert!(reply.headers["x-guard-policy"].starts_with("test@b3:"), "{:?}", reply.headers);
    assert!(reply.headers["server-timing"].contains("guard;dur="), "{:?}", reply.headers);

    let received = String::from_utf8(upstream.received()).unwrap();
    assert!(received.ends_with(
        r#"{"model":"m","messages":[{"role":"user","content":"café?"}],"temperature":0.5}"#
    ));
    let received = received.to_lowercase();
    assert!(received.starts_with("post /v1/chat/completions http/1.1\r\n"));
    for passed in
        ["authorization: bearer sk-one", "traceparent: 00-4bf9", "accept-encoding: identity"]
    {
        assert!(received.contains(passed), "{passed} is missing in {received}");
    }
    assert!(!received.contains("cookie") && !received.contains("x-guard"), "{received}");

    let (opened, closed) = (guard.opened().remove(0), guard.closed().remove(0));
    assert_eq!(closed.id.to_string(), reply.id());
    assert_eq!(opened.trace_id.as_deref(), Some("4bf92f3577b34da6a3ce929d0e0e4736"));
    let key = opened.key.unwrap();
    assert!(key.starts_with("key-") && !key.contains("sk-one"), "{key}");
    assert_eq!((closed.outcome, closed.status), (Outcome::Allowed, 200));
    assert_eq!(closed.model.as_deref(), Some("m"));
    let (input, output) = (closed.input.unwrap(), closed.output.unwrap());
    for ruling in [&input, &output] {
        assert_eq!((ruling.verdict, ruling.action), (Verdict::Safe, Action::Allow));
        let names: Vec<&str> = ruling.checks.iter().map(|check| &*check.name).collect();
        assert_eq!(names, ["starter", "test_triggers", "patterns", "code_shield"]);
        assert!(
            ruling.checks[0].scores.len() >= 15,
            "every score is recorded: {:?}",
            ruling.checks[0]
        );
    }
}

#[tokio::test]
async fn a_blocked_request_never_reaches_the_model() {
    let upstream = Upstream::start(Script::say("no")).await;
    let guard = Guard::start(&upstream.url());
    let bad = "before PORTCULLIS-TEST-S9 after";
    let requests = [
        (chat(bad, false), "messages[0].content"),
        (chat(bad, true), "messages[0].content"),
        (
            json!({ "model": "m", "messages": [
                { "role": "user", "content": bad }, { "role": "assistant", "content": "ok" },
                { "role": "user", "content": "go on" }] }),
            "messages[0].content",
        ),
        (
            json!({ "model": "m", "messages": [{ "role": "user", "content": [
                { "type": "text", "text": "PORTCULLIS-" }, { "type": "text", "text": "TEST-S9" }] }] }),
            "messages[0].content",
        ),
        (
            json!({ "model": "m", "messages": [{ "role": "user", "content": "x" }, { "role": "assistant",
                "tool_calls": [{ "id": "c", "type": "function",
                    "function": { "name": "f", "arguments": "{\"a\":\"PORTCULLIS\\u002dTEST-S9\"}" } }] }] }),
            "messages[1].tool_calls[0].function.arguments",
        ),
    ];
    for (body, place) in &requests {
        let reply = post(guard.address, &[], body.to_string().as_bytes()).await;
        assert_eq!((reply.status, reply.code().as_str()), (400, "content_filter"), "{body}");
        let error = &reply.json()["error"];
        assert_eq!(error["param"], *place, "{body}");
        assert_eq!(error["message"], format!("Not that. ({})", reply.id()));
        assert_eq!(reply.headers["x-should-retry"], "false");
        assert_eq!(reply.headers["x-guard-decision"], "block");
        assert!(!reply.body.contains("PORTCULLIS"), "the text itself is not repeated");
    }
    assert_eq!(upstream.received(), b"", "not a byte");
    let closed = guard.closed();
    assert_eq!(closed.len(), requests.len());
    for record in closed {
        let input = record.input.unwrap();
        assert_eq!((record.outcome, input.action), (Outcome::Blocked, Action::Block));
        assert_eq!(input.because, ["indiscriminate_weapons"]);
        assert!(record.output.is_none());
    }
}

#[tokio::test]
async fn a_block_can_be_an_ordinary_answer_that_refuses() {
    let upstream = Upstream::start(Script::say("no")).await;
    let policy = policy_with("reply_as: error", "reply_as: refusal");
    let guard = Guard::with(&upstream.url(), &policy, "");
    let german = [("accept-language", "de-AT,de;q=0.9")];

    let reply =
        post(guard.address, &german, chat("PORTCULLIS-TEST-S1", false).to_string().as_bytes())
            .await;
    let choice = reply.json()["choices"][0].clone();
    let text = format!("Das nicht. ({})", reply.id());
    assert_eq!((reply.status, choice["finish_reason"].as_str()), (200, Some("content_filter")));
    assert_eq!(
        (&choice["message"]["content"], &choice["message"]["refusal"]),
        (&json!(text), &json!(text))
    );

    let mut body = chat("PORTCULLIS-TEST-S1", true);
    body["stream_options"] = json!({ "include_usage": true });
    let reply = post(guard.address, &[], body.to_string().as_bytes()).await;
    assert_eq!(reply.headers["content-type"], "text/event-stream");
    let events = get_events(&reply.body);
    assert_eq!(events.last().map(String::as_str), Some("[DONE]"));
    let chunks: Vec<Value> =
        events.iter().filter_map(|event| serde_json::from_str(event).ok()).collect();
    assert_eq!(chunks[0]["choices"][0]["delta"]["refusal"], format!("Not that. ({})", reply.id()));
    assert_eq!(chunks[1]["choices"][0]["finish_reason"], "content_filter");
    assert_eq!(chunks[2]["usage"]["total_tokens"], 0);
    assert_eq!(upstream.received(), b"");
}

#[tokio::test]
async fn what_can_be_cut_out_is_cut_out_and_the_rest_goes_on() {
    let upstream = Upstream::start(Script::say("ok")).await;
    let guard = Guard::start(&upstream.url());
    let body = chat("é key PORTCULLIS-TEST-SECRET, again PORTCULLIS-TEST-SECRET.", false);
    let reply = post(guard.address, &[], body.to_string().as_bytes()).await;
    assert_eq!((reply.status, reply.headers["x-guard-decision"].as_str()), (200, "redact"));
    let sent = upstream.last_body();
    assert_eq!(sent["messages"][0]["content"], "é key [REDACTED], again [REDACTED].");

    // So it is from parts that go on in each other, which are read together too.
    let part = |text: &str| json!({ "type": "text", "text": text });
    let parts = ["a PORTCULLIS-TEST-SECRET", "b PORTCULLIS-TEST", "-SECRET c"].map(part);
    let body = json!({ "model": "m", "messages": [{ "role": "user", "content": parts }] });
    let reply = post(guard.address, &[], body.to_string().as_bytes()).await;
    assert_eq!((reply.status, reply.headers["x-guard-decision"].as_str()), (200, "redact"));
    let sent = upstream.last_body()["messages"][0]["content"].clone();
    assert_eq!(sent, json!([part("a [REDACTED]"), part("b [REDACTED]"), part("[REDACTED] c")]));

    // A key has no place where something else could stand.
    let mut body = chat("hello", false);
    body["metadata"] = json!({ "PORTCULLIS-TEST-SECRET": "a value" });
    let before = upstream.received().len();
    let reply = post(guard.address, &[], body.to_string().as_bytes()).await;
    assert_eq!((reply.status, reply.code().as_str()), (400, "content_filter"));
    assert_eq!(upstream.received().len(), before);

    // Escaped, it has no place in the text as it stands: what cannot be cut out is blocked.
    let arguments = r#"{"a":"PORTCULLIS\u002dTEST-SECRET"}"#;
    let body = json!({ "model": "m", "messages": [{ "role": "assistant", "tool_calls": [
        { "id": "c", "type": "function", "function": { "name": "f", "arguments": arguments } }] }] });
    let before = upstream.received().len();
    let reply = post(guard.address, &[], body.to_string().as_bytes()).await;
    assert_eq!((reply.status, reply.code().as_str()), (400, "content_filter"));
    assert_eq!(upstream.received().len(), before);
}

#[tokio::test]
async fn what_client_libraries_add_for_themselves_is_left_out() {
    let upstream = Upstream::start(Script::say("ok")).await;
    let guard = Guard::start(&upstream.url());
    let call = |extra: Value| {
        let mut function = json!({ "name": "f", "arguments": "{}" });
        function.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        json!([{ "id": "c", "type": "function", "function": function }])
    };
    let assistant = |extra: Value, call: Value| {
        let mut message = json!({ "role": "assistant", "content": null, "tool_calls": call });
        message.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        json!({ "model": "m", "messages": [{ "role": "user", "content": "x" }, message] })
    };
    let extra = json!({ "parsed": { "a": 1 }, "annotations": [{ "text": "t" }] });
    let body = assistant(extra, call(json!({ "parsed_arguments": { "a": 1 } })));
    let reply = post(guard.address, &[], body.to_string().as_bytes()).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert_eq!(upstream.last_body(), assistant(json!({}), call(json!({}))));
}

#[tokio::test]
async fn shadow_decides_and_records_but_touches_nothing() {
    let upstream = Upstream::start(Script::say("PORTCULLIS-TEST-S1 said")).await;
    let guard =
        Guard::with(&upstream.url(), &policy_with("name: test", "name: test\nmode: shadow"), "");
    let body = chat("PORTCULLIS-TEST-S9 PORTCULLIS-TEST-SECRET", false);
    let reply = post(guard.address, &[], body.to_string().as_bytes()).await;
    assert_eq!((reply.status, reply.headers["x-guard-decision"].as_str()), (200, "allow"));
    assert_eq!(reply.json()["choices"][0]["message"]["content"], "PORTCULLIS-TEST-S1 said");
    assert_eq!(upstream.last_body()["messages"], body["messages"]);
    let record = guard.closed().remove(0);
    for ruling in [record.input.unwrap(), record.output.unwrap()] {
        assert_eq!((ruling.action, ruling.would), (Action::Allow, Some(Action::Block)));
    }
}

#[tokio::test]
async fn each_key_has_its_own_quota() {
    let upstream = Upstream::start(Script::say("ok")).await;
    let policy = format!("{POLICY}limits: {{ requests: 3/min }}\n");
    let guard = Guard::with(&upstream.url(), &policy, "");
    let body = chat("hello", false).to_string();
    let ask = |key: &'static str| {
        let (address, body) = (guard.address, body.clone());
        async move { post(address, &[("authorization", key)], body.as_bytes()).await }
    };
    for _ in 0..3 {
        assert_eq!(ask("Bearer a").await.status, 200);
    }
    let refused = ask("Bearer a").await;
    assert_eq!((refused.status, refused.code().as_str()), (429, "rate_limit_exceeded"));
    // The first of the three leaves the window after a minute and a part of it.
    assert!((1..=61).contains(&refused.headers["retry-after"].parse::<u32>().unwrap()));
    assert_eq!(refused.headers["x-ratelimit-limit-requests"], "3");
    assert_eq!(ask("Bearer b").await.status, 200);
    let closed = guard.closed();
    assert_eq!((closed.len(), closed[3].outcome), (5, Outcome::Refused));
    assert_eq!(closed[3].reason.as_deref(), Some("rate_limit_exceeded"));
}
