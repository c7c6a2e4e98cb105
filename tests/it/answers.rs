//! What comes out was judged, and recorded, first.

use proxy_audit::{Action, Outcome};
use serde_json::{Value, json};

use crate::support::{Guard, Script, Upstream, chat, completion, get_events, post, sse};

fn chunks(body: &str) -> Vec<Value> {
    get_events(body).iter().filter_map(|event| serde_json::from_str(event).ok()).collect()
}

fn said(chunks: &[Value]) -> String {
    chunks.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str()).collect()
}

#[tokio::test]
async fn the_text_of_a_blocked_answer_never_reaches_the_client() {
    let bad = "It begins well. PORTCULLIS-TEST-S12 and goes on.";
    let upstream = Upstream::start(Script::say(bad)).await;
    let guard = Guard::start(&upstream.url());

    let reply = post(guard.address, &[], chat("hi", false).to_string().as_bytes()).await;
    let answer = reply.json();
    assert_eq!((reply.status, reply.headers["x-guard-decision"].as_str()), (200, "block"));
    let choice = &answer["choices"][0];
    assert_eq!(choice["finish_reason"], "content_filter");
    assert_eq!(choice["message"]["content"], Value::Null);
    assert_eq!(choice["message"]["refusal"], format!("Not that. ({})", reply.id()));
    assert_eq!(answer["usage"]["total_tokens"], 3);
    assert!(!reply.body.contains("begins"), "{}", reply.body);

    upstream.play(Script::stream(&[
        "It begins ",
        "well. PORTCULLIS-",
        "TEST-S12 and ",
        "goes on.",
    ]));
    let reply = post(guard.address, &[], chat("hi", true).to_string().as_bytes()).await;
    assert!(!reply.body.contains("begins") && !reply.body.contains("PORTCULLIS"), "{}", reply.body);
    let chunks = chunks(&reply.body);
    assert_eq!(chunks[0]["choices"][0]["delta"]["refusal"], format!("Not that. ({})", reply.id()));
    assert_eq!(chunks[1]["choices"][0]["finish_reason"], "content_filter");
    assert_eq!(chunks[2]["usage"]["total_tokens"], 3);
    assert_eq!(get_events(&reply.body).last().map(String::as_str), Some("[DONE]"));

    for record in guard.closed() {
        assert_eq!(record.outcome, Outcome::Blocked);
        assert_eq!(record.input.unwrap().action, Action::Allow);
        assert_eq!(record.output.unwrap().because, ["sexual_content"]);
    }
}

#[tokio::test]
async fn every_text_of_an_answer_is_judged() {
    let upstream = Upstream::start(Script::say("")).await;
    let guard = Guard::start(&upstream.url());
    let bad = "PORTCULLIS-TEST-S1";
    let call =
        json!([{ "id": "c", "type": "function", "function": { "name": "f", "arguments": bad } }]);
    let named =
        json!([{ "id": "c", "type": "function", "function": { "name": bad, "arguments": "{}" } }]);
    let known_by =
        json!([{ "id": bad, "type": "function", "function": { "name": "f", "arguments": "{}" } }]);
    let fields = [
        ("tool_calls", known_by),
        ("content", json!(bad)),
        ("refusal", json!(bad)),
        ("reasoning", json!(bad)),
        ("reasoning_content", json!(bad)),
        ("tool_calls", call),
        ("tool_calls", named),
        ("function_call", json!({ "name": "f", "arguments": bad })),
    ];
    for (name, value) in fields {
        let mut answer = completion("fine");
        let mut second = answer["choices"][0].clone();
        second["index"] = json!(1);
        second["message"][name] = value;
        answer["choices"].as_array_mut().unwrap().push(second);
        upstream.play(Script::json(&answer));
        let mut request = chat("hi", false);
        request["n"] = json!(2);
        let reply = post(guard.address, &[], request.to_string().as_bytes()).await;
        assert_eq!(reply.headers["x-guard-decision"], "block", "{name}");
        assert!(
            !reply.body.contains(bad) && !reply.body.contains("fine"),
            "{name}: {}",
            reply.body
        );
    }
}

#[tokio::test]
async fn what_the_guard_does_not_know_does_not_pass() {
    let mut answer = completion("fine");
    answer["prompt_text"] = json!("PORTCULLIS-TEST-S1");
    answer["choices"][0]["token_ids"] = json!([1, 2]);
    answer["choices"][0]["logprobs"] = json!({ "content": [{ "token": "PORTCULLIS-TEST-S1" }] });
    answer["choices"][0]["message"]["annotations"] = json!([{ "text": "PORTCULLIS-TEST-S1" }]);
    let upstream = Upstream::start(Script::json(&answer)).await;
    let guard = Guard::start(&upstream.url());
    let reply = post(guard.address, &[], chat("hi", false).to_string().as_bytes()).await;
    assert_eq!(reply.json(), completion("fine"));
}

#[tokio::test]
async fn a_streamed_answer_is_delivered_as_it_was_judged() {
    let upstream = Upstream::start(Script::stream(&["Once ", "upon ", "a time é."])).await;
    let guard = Guard::start(&upstream.url());
    let reply = post(guard.address, &[], chat("hi", true).to_string().as_bytes()).await;
    assert_eq!((reply.status, reply.headers["x-guard-decision"].as_str()), (200, "pending"));
    assert_eq!(
        get_events(&reply.body),
        get_events(&sse(&["Once ", "upon ", "a time é."]))
            .iter()
            .map(|event| {
                // The same fields in the same order; only the guard's own spelling of JSON.
                serde_json::from_str::<Value>(event)
                    .map_or_else(|_| event.clone(), |chunk| chunk.to_string())
            })
            .collect::<Vec<_>>()
    );
    assert_eq!(guard.closed()[0].outcome, Outcome::Allowed);

    upstream.play(Script::stream(&["the key is PORTCULLIS-", "TEST-SECRET", ", keep it"]));
    let reply = post(guard.address, &[], chat("hi", true).to_string().as_bytes()).await;
    assert_eq!(said(&chunks(&reply.body)), "the key is [REDACTED], keep it");
    assert_eq!(guard.closed()[1].outcome, Outcome::Redacted);

    upstream.play(Script::stream(&["PORTCULLIS-TEST-S6 advice"]));
    let reply = post(guard.address, &[], chat("hi", true).to_string().as_bytes()).await;
    assert_eq!(said(&chunks(&reply.body)), "PORTCULLIS-TEST-S6 advice");
    assert_eq!(guard.closed()[2].outcome, Outcome::Flagged);
}
