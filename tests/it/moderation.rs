//! OpenAI's `moderation`: a caller is told what the guard found, and may ask for more than the policy does.

use proxy_audit::Outcome;
use serde_json::{Value, json};

use crate::classifiers::Bench;
use crate::support::{
    Guard, Script, Upstream, chat, completion, policy_with, post_to, responded, responded_sse, sse,
};

const CHAT: &str = "/v1/chat/completions";
const RESPONSES: &str = "/v1/responses";
/// What the tests' policy only flags.
const NOTED: &str = "PORTCULLIS-TEST-S6";
const BLOCKED: &str = "PORTCULLIS-TEST-S9";

/// `text`, asked with scores for both sides, or with a block of one.
fn ask(path: &str, text: &str, stream: bool, blocks: &str) -> Value {
    let mut body = match path {
        CHAT => chat(text, stream),
        _ => json!({ "model": "m", "input": text, "stream": stream }),
    };
    let mode = |side: &str| json!({ "mode": if side == blocks { "block" } else { "score" } });
    body["moderation"] = json!({ "model": "omni-moderation-latest",
        "policy": { "input": mode("input"), "output": mode("output") } });
    body
}

fn script(path: &str, text: &str, stream: bool) -> Script {
    match (path, stream) {
        (CHAT, false) => Script::json(&completion(text)),
        (CHAT, true) => Script::stream(&[text, " and more"]),
        (_, false) => Script::json(&responded(text)),
        (_, true) => Script::sse(&responded_sse(&[text, " and more"])),
    }
}

/// Where an answer says what was found: in a chunk of its own before the end, or in the last event.
fn found(path: &str, stream: bool, body: &str) -> Value {
    if !stream {
        return serde_json::from_str::<Value>(body).unwrap()["moderation"].clone();
    }
    let data = body.lines().filter_map(|line| line.strip_prefix("data: "));
    let mut events: Vec<Value> =
        data.filter_map(|event| serde_json::from_str(event).ok()).collect();
    let last = events.pop().unwrap();
    if path == CHAT {
        assert_eq!(last["choices"], json!([]), "{body}");
        assert!(body.ends_with("data: [DONE]\n\n"), "{body}");
        return last["moderation"].clone();
    }
    assert_eq!(last["sequence_number"], json!(events.len()), "{body}");
    last["response"]["moderation"].clone()
}

/// The result of one side; a chat completion has a list of one.
fn side(path: &str, moderation: &Value, side: &str) -> Value {
    let said = &moderation[side];
    if path != CHAT {
        return said.clone();
    }
    assert_eq!(
        (&said["type"], &said["model"]),
        (&"moderation_results".into(), &"portcullis".into()),
        "{said}"
    );
    said["results"][0].clone()
}

#[tokio::test]
async fn scores_come_with_the_answer() {
    let upstream = Upstream::start(Script::say("")).await;
    let guard = Guard::start(&upstream.url());
    for path in [CHAT, RESPONSES] {
        for stream in [false, true] {
            upstream.play(script(path, "good day", stream));
            let reply = post_to(guard.address, path, &ask(path, NOTED, stream, "")).await;
            let moderation = found(path, stream, &reply.body);
            let (input, output) =
                (side(path, &moderation, "input"), side(path, &moderation, "output"));
            assert_eq!(input["type"], "moderation_result", "{}", reply.body);
            assert_eq!((&input["flagged"], &output["flagged"]), (&true.into(), &false.into()));
            assert_eq!(input["categories"]["specialized_advice"], true, "{input}");
            assert_eq!(input["category_scores"]["specialized_advice"], 1.0, "{input}");
            assert_eq!(
                input["category_applied_input_types"]["specialized_advice"],
                json!(["text"])
            );
            assert_eq!(output["categories"]["hate"], false, "{output}");
            assert!(upstream.last_body().get("moderation").is_none());
            assert!(reply.body.contains("good day"), "{}", reply.body);
        }
    }
}

#[tokio::test]
async fn a_caller_may_ask_for_more_and_not_for_less() {
    let upstream = Upstream::start(Script::say("")).await;
    let guard = Guard::start(&upstream.url());
    let last = || guard.closed().pop().unwrap().outcome;
    for path in [CHAT, RESPONSES] {
        for stream in [false, true] {
            upstream.play(script(path, "good day", stream));
            let before = upstream.received().len();
            for (text, blocks) in [(NOTED, "input"), (BLOCKED, "")] {
                let reply = post_to(guard.address, path, &ask(path, text, stream, blocks)).await;
                assert_eq!((reply.status, reply.code()), (400, "content_filter".to_owned()));
                assert_eq!((upstream.received().len(), last()), (before, Outcome::Blocked));
            }
            for (text, blocks) in [(NOTED, "output"), (BLOCKED, "")] {
                upstream.play(script(path, text, stream));
                let reply = post_to(guard.address, path, &ask(path, "hi", stream, blocks)).await;
                assert!(!reply.body.contains(text) && last() == Outcome::Blocked, "{}", reply.body);
                assert!(reply.body.contains("content_filter"), "{}", reply.body);
                let moderation = found(path, stream, &reply.body);
                assert_eq!(side(path, &moderation, "output")["flagged"], true, "{}", reply.body);
            }
            upstream.play(script(path, NOTED, stream));
            let reply = post_to(guard.address, path, &ask(path, "hi", stream, "input")).await;
            assert!(reply.body.contains(NOTED) && last() == Outcome::Flagged, "{}", reply.body);
        }
    }
}

#[tokio::test]
async fn what_is_not_asked_is_not_told_and_what_is_asked_wrongly_is_refused() {
    let upstream = Upstream::start(Script::say("good day")).await;
    let guard = Guard::start(&upstream.url());
    let reply = post_to(guard.address, CHAT, &chat(NOTED, false)).await;
    assert!(reply.json().get("moderation").is_none(), "{}", reply.body);
    for (asked, code) in [
        (json!({}), "missing_field"),
        (json!(true), "wrong_type"),
        (json!({ "model": "m", "policy": { "input": { "mode": "off" } } }), "out_of_range"),
        (json!({ "model": "m", "words": "x" }), "unknown_field"),
    ] {
        let mut body = chat("hi", false);
        body["moderation"] = asked;
        let reply = post_to(guard.address, CHAT, &body).await;
        assert_eq!((reply.status, reply.code()), (400, code.to_owned()), "{}", reply.body);
    }
    let body = json!({ "model": "m", "prompt": "hi", "moderation": { "model": "m" } });
    let reply = post_to(guard.address, "/v1/completions", &body).await;
    assert_eq!(reply.code(), "unknown_field");
}

#[tokio::test]
async fn a_verdict_that_failed_is_an_error_and_no_clean_result() {
    let open = policy_with(
        "on_failure: { input: block, output: block, tools: block, timeout: 300ms }",
        "on_failure: { input: allow, output: allow, tools: allow, timeout: 300ms }",
    );
    let bench = Bench::new(&open, None).await;
    let (_, body) = bench.post(&ask(CHAT, "do-fail", false, "")).await;
    let moderation = found(CHAT, false, &body);
    assert_eq!(moderation["input"]["type"], "error", "{body}");
    assert_eq!(moderation["output"]["type"], "moderation_results", "{body}");
    bench.upstream.play(Script::sse(&sse(&["do-fail"])));
    let (_, body) = bench.post(&ask(CHAT, "hi", true, "")).await;
    assert_eq!(found(CHAT, true, &body)["output"]["code"], "guard_unavailable", "{body}");
    // Who asks for a block does not get what nobody has looked at.
    let (status, _) = bench.post(&ask(CHAT, "do-fail", false, "input")).await;
    assert_eq!(status, 503);
}
