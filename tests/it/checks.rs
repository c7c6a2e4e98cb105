//! The contracts by which others ask for verdicts: the same policy, the same records, and nothing goes on.

use proxy_audit::Outcome;
use serde_json::{Value, json};

use crate::support::{Guard, POLICY, Script, Upstream, post_to, raw};

const BAD: &str = "say PORTCULLIS-TEST-S2 now";
const ODD: &str = "about PORTCULLIS-TEST-S6 things";
const SECRET: &str = "the key is PORTCULLIS-TEST-SECRET, ok";
const CUT: &str = "the key is [REDACTED], ok";

/// How a contract asks about a text, and where its answer says what shall become of it.
struct Contract {
    path: &'static str,
    ask: fn(&str) -> Value,
    said: &'static str,
    passed: Value,
    blocked: Value,
    /// Where the text is given back without what was cut out.
    given_back: Option<&'static str>,
}

fn user(text: &str) -> Value {
    json!([{ "role": "system", "content": "Be kind." }, { "role": "user", "content": text }])
}

fn contracts() -> Vec<Contract> {
    vec![
        Contract {
            path: "/v1/moderations",
            ask: |text| json!({ "input": text }),
            said: "/results/0/flagged",
            passed: json!(false),
            blocked: json!(true),
            given_back: None,
        },
        Contract {
            path: "/v1/safety/run-shield",
            ask: |text| json!({ "shield_id": "portcullis", "messages": user(text), "params": {} }),
            said: "/violation/violation_level",
            passed: Value::Null,
            blocked: json!("error"),
            given_back: None,
        },
        Contract {
            path: "/beta/litellm_basic_guardrail_api",
            ask: |text| {
                json!({ "input_type": "request", "texts": ["Be kind.", text], "request_data": {},
                    "structured_messages": user(text), "images": null, "tools": null })
            },
            said: "/action",
            passed: json!("NONE"),
            blocked: json!("BLOCKED"),
            given_back: Some("/texts/1"),
        },
        Contract {
            path: "/api/v1/text/contents",
            ask: |text| json!({ "contents": [text], "detector_params": {} }),
            said: "/0/0/detection_type",
            passed: Value::Null,
            blocked: json!("hazard"),
            given_back: None,
        },
        Contract {
            path: "/api/v1/text/chat",
            ask: |text| json!({ "messages": user(text) }),
            said: "/0/detection",
            passed: Value::Null,
            blocked: json!("non_violent_crimes"),
            given_back: None,
        },
        Contract {
            path: "/v1/checks",
            ask: |text| json!({ "messages": user(text), "guardrails": { "config_id": "x" } }),
            said: "/status",
            passed: json!("passed"),
            blocked: json!("blocked"),
            given_back: Some("/content"),
        },
        Contract {
            path: "/v1/guardrail/checks",
            ask: |text| json!({ "model": "m", "messages": user(text) }),
            said: "/rails_status/portcullis/status",
            passed: json!("success"),
            blocked: json!("blocked"),
            given_back: None,
        },
        Contract {
            path: "/request",
            ask: |text| json!({ "body": { "messages": user(text) } }),
            said: "/action/status_code",
            passed: Value::Null,
            blocked: json!(400),
            given_back: Some("/action/body/messages/1/content"),
        },
        Contract {
            path: "/response",
            ask: |text| {
                let said = json!({ "role": "assistant", "content": text });
                json!({ "body": { "choices": [{ "message": said }] } })
            },
            said: "/action/status_code",
            passed: Value::Null,
            blocked: json!(400),
            given_back: Some("/action/body/choices/0/message/content"),
        },
        Contract {
            path: "/v1/checks/portkey",
            ask: |text| {
                json!({ "request": { "json": { "messages": user(text) }, "text": text },
                    "response": { "json": {}, "text": "" }, "eventType": "beforeRequestHook" })
            },
            said: "/verdict",
            passed: json!(true),
            blocked: json!(false),
            given_back: Some("/transformedData/request/json/messages/1/content"),
        },
    ]
}

fn at(answer: &Value, pointer: &str) -> Value {
    answer.pointer(pointer).cloned().unwrap_or_default()
}

#[tokio::test]
async fn every_contract_decides_by_the_policy_and_is_recorded() {
    let upstream = Upstream::start(Script::say("no")).await;
    let guard = Guard::start(&upstream.url());
    let mut outcomes = Vec::new();
    for contract in contracts() {
        let path = contract.path;
        let ask = |text: &str| post_to_owned(guard.address, path, (contract.ask)(text));
        let (clean, bad) = (ask("hello").await, ask(BAD).await);
        assert_eq!(at(&clean.json(), contract.said), contract.passed, "{path}: {clean:?}");
        assert_eq!(at(&bad.json(), contract.said), contract.blocked, "{path}: {bad:?}");
        assert_eq!((clean.status, bad.status), (200, 200), "{path}");
        outcomes.extend([Outcome::Allowed, Outcome::Blocked]);
        let odd = ask(ODD).await;
        let blocked = at(&odd.json(), contract.said) == contract.blocked;
        let told = ["/v1/moderations", "/api/v1/text/contents"].contains(&path);
        assert_eq!(blocked, told, "{path}: flagged is told, and is no reason to block: {odd:?}");
        outcomes.push(Outcome::Flagged);
        let secret = ask(SECRET).await;
        let Some(place) = contract.given_back else { continue };
        assert_eq!(at(&secret.json(), place), json!(CUT), "{path}: {secret:?}");
        assert!(!secret.body.contains("PORTCULLIS"), "{path}: {secret:?}");
    }
    let closed = guard.closed();
    assert_eq!(closed.len(), contracts().len() * 4, "one record for each question");
    for (index, contract) in contracts().iter().enumerate() {
        let records = &closed[index * 4..][..4];
        let expected = [Outcome::Allowed, Outcome::Blocked, Outcome::Flagged];
        let seen: Vec<_> = records.iter().map(|closed| closed.outcome).collect();
        assert_eq!(seen[..3], expected, "{}", contract.path);
        let last = if cuts(contract) { Outcome::Redacted } else { Outcome::Blocked };
        assert_eq!(seen[3], last, "{}: what cannot be cut out is blocked", contract.path);
        let rulings =
            |closed: &proxy_audit::Closed| closed.input.is_some() || closed.output.is_some();
        assert!(records.iter().all(rulings), "{}", contract.path);
    }
    assert_eq!(guard.verify().still_open, 0);
    assert_eq!(upstream.received(), b"", "nothing was forwarded");
}

/// Whether something can be cut out of the texts: it is given back, or the answer says where it is.
fn cuts(contract: &Contract) -> bool {
    let told = ["/v1/moderations", "/api/v1/text/contents", "/api/v1/text/chat"];
    contract.given_back.is_some() || told.contains(&contract.path)
}

async fn post_to_owned(
    address: std::net::SocketAddr,
    path: &str,
    body: Value,
) -> crate::support::Reply {
    post_to(address, path, &body).await
}

#[tokio::test]
async fn each_input_has_its_own_result_in_order() {
    let upstream = Upstream::start(Script::say("no")).await;
    let guard = Guard::start(&upstream.url());
    let inputs = json!({ "model": "m", "input": ["fine", BAD, "", "fine", SECRET] });
    let reply = post_to(guard.address, "/v1/moderations", &inputs).await.json();
    let flags: Vec<_> =
        reply["results"].as_array().unwrap().iter().map(|one| one["flagged"] == true).collect();
    assert_eq!(flags, [false, true, false, false, true], "{reply}");
    let bad = &reply["results"][1];
    assert_eq!(bad["categories"]["non_violent_crimes"], true);
    assert_eq!(bad["categories"]["illicit"], true, "and under OpenAI's name");
    assert_eq!(bad["categories"]["sexual"], false);
    assert_eq!(bad["category_scores"]["illicit"], 1.0);
    assert_eq!(bad["metadata"]["violation_type"], json!(["S2"]));
    let scores = reply["results"][0]["category_scores"].as_object().unwrap();
    assert!(scores.values().all(|score| score.as_f64().unwrap() < 0.9), "{scores:?}");

    let one = post_to(guard.address, "/v1/moderations", &json!({ "input": "fine" })).await.body;
    for object in ["categories", "category_scores", "category_applied_input_types"] {
        let (_, rest) = one.split_once(&format!("\"{object}\":")).unwrap();
        let (object, _) = rest.split_once('}').unwrap();
        assert_eq!(object.matches("\"hate\":").count(), 1, "a name of OpenAI's and ours: {object}");
    }

    let parts = json!({ "input": [{ "type": "text", "text": "say PORTCULLIS-" },
        { "type": "text", "text": "TEST-S2 now" }] });
    let reply = post_to(guard.address, "/v1/moderations", &parts).await.json();
    assert_eq!(reply["results"].as_array().unwrap().len(), 1, "parts are one input");
    assert_eq!(reply["results"][0]["flagged"], true, "and are read together");

    let contents = json!({ "contents": ["fine", "ä: say PORTCULLIS-TEST-S2 now"] });
    let found = post_to(guard.address, "/api/v1/text/contents", &contents).await.json();
    assert_eq!(found[0], json!([]));
    let place = (&found[1][0]["start"], &found[1][0]["end"], &found[1][0]["text"]);
    assert_eq!(place, (&json!(7), &json!(25), &json!("PORTCULLIS-TEST-S2")), "in characters");
}

#[tokio::test]
async fn what_is_asked_about_is_read_as_who_says_it() {
    let upstream = Upstream::start(Script::say("no")).await;
    let policy = POLICY.replace(
        "  secrets:",
        "  non_violent_crimes: { input: allow, output: block, tools: flag }\n  secrets:",
    );
    let guard = Guard::with(&upstream.url(), &policy, "");
    let ask = |path: &'static str, body: Value| post_to_owned(guard.address, path, body);
    let shield = |messages: Value| json!({ "shield_id": "portcullis", "messages": messages });
    let asked = shield(json!([{ "role": "user", "content": BAD }]));
    let reply = ask("/v1/safety/run-shield", asked).await.json();
    assert_eq!(reply["violation"], Value::Null, "a request may say so");
    let answer = json!({ "role": "assistant", "content": BAD, "stop_reason": "end_of_turn" });
    let answered = shield(json!([{ "role": "user", "content": "hi" }, answer]));
    let reply = ask("/v1/safety/run-shield", answered).await.json();
    assert_eq!(reply["violation"]["violation_level"], "error", "an answer may not: {reply}");
    assert_eq!(reply["violation"]["metadata"]["violation_type"], "S2");
    let tool = json!({ "role": "tool", "content": BAD, "tool_call_id": "1" });
    let reply = ask("/v1/safety/run-shield", shield(json!([tool]))).await.json();
    assert_eq!(reply["violation"]["violation_level"], "warn", "a tool is flagged: {reply}");
    let response = json!({ "input_type": "response", "texts": [BAD], "request_data": {} });
    let reply = ask("/beta/litellm_basic_guardrail_api", response).await.json();
    assert_eq!(reply["action"], "BLOCKED");
    let hook = json!({ "request": { "json": {}, "text": "" }, "eventType": "afterRequestHook",
        "response": { "json": { "choices": [{ "message": { "content": BAD } }] } } });
    assert_eq!(ask("/v1/checks/portkey", hook).await.json()["verdict"], false);
    let outputs = guard.closed().iter().filter(|closed| closed.output.is_some()).count();
    assert_eq!(outputs, 3, "recorded as answers");
}

#[tokio::test]
async fn what_nobody_reads_is_not_passed_over() {
    let upstream = Upstream::start(Script::say("no")).await;
    let guard = Guard::start(&upstream.url());
    let picture = json!({ "type": "image_url", "image_url": { "url": "https://x.test/a.png" } });
    let refused = [
        ("/v1/moderations", json!({ "input": [picture] }), "unsupported"),
        ("/v1/moderations", json!({ "input": [] }), "missing_field"),
        ("/v1/moderations", json!({ "input": 7 }), "wrong_type"),
        (
            "/v1/moderations",
            json!({ "input": ["a", { "type": "text", "text": "b" }] }),
            "wrong_type",
        ),
        ("/v1/checks", json!({ "messages": [] }), "missing_field"),
        (
            "/v1/checks",
            json!({ "messages": [{ "role": "user", "content": [picture] }] }),
            "unsupported",
        ),
        (
            "/v1/checks",
            json!({ "messages": [{ "role": "oracle", "content": "x" }] }),
            "unsupported",
        ),
        (
            "/beta/litellm_basic_guardrail_api",
            json!({ "input_type": "request", "texts": [], "images": ["data:image/png;base64,AA"] }),
            "unsupported",
        ),
        (
            "/v1/safety/run-shield",
            json!({ "shield_id": "other", "messages": [] }),
            "unknown_shield",
        ),
    ];
    for (path, body, code) in refused {
        let reply = post_to(guard.address, path, &body).await;
        assert_eq!((reply.status, &*reply.code()), (400, code), "{path} {body}: {reply:?}");
    }
    // A field that no table names is examined.
    let hidden = [
        ("/v1/checks", json!({ "messages": user("hi"), "context": { "a": [BAD] } }), "/status"),
        (
            "/beta/litellm_basic_guardrail_api",
            json!({ "input_type": "request", "texts": ["hi"], "news": { BAD: 1 } }),
            "/action",
        ),
        (
            "/beta/litellm_basic_guardrail_api",
            json!({ "input_type": "request", "texts": ["hi"], "tool_calls": [{ "function": { "arguments": BAD } }] }),
            "/action",
        ),
        (
            "/beta/litellm_basic_guardrail_api",
            json!({ "input_type": "request", "texts": ["hi"], "structured_messages": user(SECRET) }),
            "/action",
        ),
        // Only the last message is given back, so nothing can be cut out of the others.
        (
            "/v1/checks",
            json!({ "messages": [{ "role": "user", "content": SECRET }, { "role": "user", "content": "hi" }] }),
            "/status",
        ),
    ];
    for (path, body, said) in hidden {
        let reply = post_to(guard.address, path, &body).await.json();
        let word = at(&reply, said).as_str().unwrap().to_lowercase();
        assert_eq!(word, "blocked", "{path} {body}: {reply}");
    }
    assert_eq!(upstream.received(), b"");
}

#[tokio::test]
async fn a_reason_without_a_category_is_told_too() {
    let upstream = Upstream::start(Script::say("no")).await;
    let policy = format!("{POLICY}languages: {{ checked: [en], others: block }}\n");
    let guard = Guard::with(&upstream.url(), &policy, "");
    let text = "門は夜になると閉まり、朝になるとまた開きます。";
    for contract in contracts() {
        let reply = post_to(guard.address, contract.path, &(contract.ask)(text)).await.json();
        // Detectors have a name of their own for it.
        let other = [contract.blocked.clone(), json!("policy")];
        assert!(other.contains(&at(&reply, contract.said)), "{}: {reply}", contract.path);
    }
}

#[tokio::test]
async fn who_says_the_same_as_another_is_judged_for_it() {
    let upstream = Upstream::start(Script::say("no")).await;
    let policy = POLICY.replace(
        "  secrets:",
        "  non_violent_crimes: { input: allow, output: block, tools: block }\n  secrets:",
    );
    let guard = Guard::with(&upstream.url(), &policy, "");
    let ask = |messages: Value| {
        json!({ "input_type": "request", "texts": [BAD, BAD], "request_data": {},
            "structured_messages": messages })
    };
    let said = json!({ "role": "user", "content": BAD });
    let tool = json!({ "role": "tool", "content": BAD, "tool_call_id": "1" });
    let path = "/beta/litellm_basic_guardrail_api";
    let reply = post_to(guard.address, path, &ask(json!([said, said]))).await.json();
    assert_eq!(reply["action"], "NONE", "people may say so: {reply}");
    for messages in [json!([said, tool]), json!([tool, said])] {
        let reply = post_to(guard.address, path, &ask(messages)).await.json();
        assert_eq!(reply["action"], "BLOCKED", "a tool may not: {reply}");
    }
}

#[tokio::test]
async fn shields_are_listed_and_contracts_can_be_switched_off() {
    let upstream = Upstream::start(Script::say("no")).await;
    let guard = Guard::start(&upstream.url());
    let get = |path: &str| {
        let request = format!("GET {path} HTTP/1.1\r\nhost: guard\r\nconnection: close\r\n\r\n");
        let address = guard.address;
        async move { raw(address, request.as_bytes()).await }
    };
    let listed = get("/v1/shields").await.json();
    assert_eq!(listed["data"][0]["identifier"], "portcullis");
    assert_eq!(get("/v1/shields/portcullis").await.json()["type"], "shield");
    assert_eq!(get("/v1/shields/other").await.status, 404);
    assert_eq!(get("/v1/moderations").await.status, 405);

    let without = Guard::with(&upstream.url(), POLICY, "checks: false\n");
    for contract in contracts() {
        let reply = post_to(without.address, contract.path, &(contract.ask)("hello")).await;
        assert_eq!((reply.status, &*reply.code()), (404, "unknown_route"), "{}", contract.path);
    }
}

#[tokio::test]
async fn a_gateway_is_not_paused_for_what_others_ask() {
    let upstream = Upstream::start(Script::say("no")).await;
    let policy = format!("{POLICY}limits: {{ blocked: {{ allow: 2/min, then: pause 5min }} }}\n");
    let guard = Guard::with(&upstream.url(), &policy, "");
    for _ in 0..5 {
        let reply = post_to(guard.address, "/v1/moderations", &json!({ "input": BAD })).await;
        assert_eq!(reply.status, 200, "{reply:?}");
    }
}
