//! A model server that fails must not make the guard fail open, nor leave a record open.

use std::time::Duration;

use proxy_audit::Outcome;

use crate::support::{
    Guard, POLICY, Script, Upstream, chat, completion, get_events, post, raw, sse,
};

const SETTINGS: &str = "limits: { upstream_seconds: 1, upstream_idle_seconds: 1, answer_bytes: 10000, upstream_failures: 0 }";

struct Case {
    name: &'static str,
    script: Script,
    status: u16,
    code: &'static str,
}

fn case(name: &'static str, script: Script, status: u16, code: &'static str) -> Case {
    Case { name, script, status, code }
}

const JSON: &str = "content-type: application/json";
const EVENTS: &str = "content-type: text/event-stream";
/// What must never be seen by a client: every bad answer below says it.
const CANARY: &str = "UNJUDGED";

fn plain_cases() -> Vec<Case> {
    let whole = completion(CANARY).to_string();
    let half = &whole[..whole.len() / 2];
    let head = |more: &str| format!("200 OK\r\n{JSON}{more}");
    let long = format!("\r\ncontent-length: {}", whole.len() + 10);
    let big = completion(&CANARY.repeat(3000)).to_string();
    vec![
        case("dies in the head", Script::Reset(b"HTTP/1.1 200".to_vec()), 502, "upstream_invalid"),
        case("closes at once", Script::Close(Vec::new()), 502, "upstream_invalid"),
        case(
            "dies in the body",
            Script::Reset(Script::response(&head(&long), half)),
            502,
            "upstream_invalid",
        ),
        case(
            "promises more than it sends",
            Script::Close(Script::response(&head(&long), &whole)),
            502,
            "upstream_invalid",
        ),
        case(
            "closes mid-body",
            Script::Close(Script::response(&head(""), half)),
            502,
            "upstream_invalid",
        ),
        case("says nothing", Script::Stall(Vec::new()), 504, "upstream_timeout"),
        case(
            "falls silent",
            Script::Stall(Script::response(&head(&long), half)),
            504,
            "upstream_timeout",
        ),
        case(
            "is not HTTP",
            Script::Close(format!("{CANARY}\r\n\r\n").into_bytes()),
            502,
            "upstream_invalid",
        ),
        case(
            "is a page",
            Script::Close(Script::response("200 OK\r\ncontent-type: text/html", CANARY)),
            502,
            "upstream_invalid",
        ),
        case(
            "streams unasked",
            Script::Close(Script::response(&format!("200 OK\r\n{EVENTS}"), &sse(&[CANARY]))),
            502,
            "upstream_invalid",
        ),
        case(
            "is compressed",
            Script::Close(Script::response(&head("\r\ncontent-encoding: gzip"), &whole)),
            502,
            "upstream_invalid",
        ),
        case(
            "is too large",
            Script::Close(Script::response(&head(""), &big)),
            502,
            "upstream_invalid",
        ),
        case(
            "is no completion",
            Script::Close(Script::response(&head(""), r#"{"choices":[]}"#)),
            502,
            "upstream_invalid",
        ),
        case(
            "says a field twice",
            Script::Close(Script::response(
                &head(""),
                &whole.replacen("\"id\":", "\"id\":\"x\",\"id\":", 1),
            )),
            502,
            "upstream_invalid",
        ),
        case(
            "redirects",
            Script::status("307 Temporary Redirect\r\nlocation: http://example.com/", CANARY),
            502,
            "upstream_refused",
        ),
        case(
            "fails inside",
            Script::status(
                "500 Internal Server Error",
                &format!("{{\"error\":{{\"message\":\"{CANARY}\"}}}}"),
            ),
            502,
            "upstream_refused",
        ),
        case(
            "quotes what is not allowed",
            Script::status(
                "400 Bad Request",
                &format!("{{\"error\":{{\"message\":\"PORTCULLIS-TEST-S1 {CANARY}\"}}}}"),
            ),
            400,
            "upstream_refused",
        ),
    ]
}

#[tokio::test]
async fn a_plain_answer_that_fails_is_a_clean_error_and_a_closed_record() {
    let upstream = Upstream::start(Script::say("")).await;
    let guard = Guard::with(&upstream.url(), POLICY, SETTINGS);
    for (count, case) in plain_cases().into_iter().enumerate() {
        upstream.play(case.script);
        let reply = post(guard.address, &[], chat("hi", false).to_string().as_bytes()).await;
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (case.status, case.code),
            "{}",
            case.name
        );
        assert!(!reply.body.contains(CANARY), "{}: {}", case.name, reply.body);
        let closed = guard.closed();
        assert_eq!(
            (closed.len(), closed[count].outcome),
            (count + 1, Outcome::UpstreamFailed),
            "{}",
            case.name
        );
    }
}

#[tokio::test]
async fn a_streamed_answer_that_fails_ends_in_an_error_event_and_a_closed_record() {
    let upstream = Upstream::start(Script::say("")).await;
    let guard = Guard::with(&upstream.url(), POLICY, SETTINGS);
    let whole = sse(&[CANARY, CANARY]);
    let events = |body: &str| Script::response(&format!("200 OK\r\n{EVENTS}"), body);
    // Before the chunk that gives the finish reason: without it, and without `[DONE]`, nothing is complete.
    let cut = whole[..whole.find(r#""finish_reason":"stop""#).unwrap()].rfind("data: ").unwrap();
    let cases = [
        ("dies", Script::Reset(events(&whole[..whole.len() / 2])), "upstream_failed"),
        ("never says it is done", Script::Close(events(&whole[..cut])), "upstream_failed"),
        ("falls silent", Script::Stall(events(&whole[..cut])), "upstream_timeout"),
        (
            "sends junk",
            Script::Close(events(&whole.replacen("data: {", "data: {{", 2))),
            "upstream_failed",
        ),
        (
            "sends an error",
            Script::Close(events(&format!(
                "{}data: {{\"error\":{{\"message\":\"x\"}}}}\n\n",
                &whole[..cut]
            ))),
            "upstream_failed",
        ),
        (
            "sends a choice nobody asked for",
            Script::Close(events(&whole.replace("\"index\":0", "\"index\":1"))),
            "upstream_failed",
        ),
        ("sends too much", Script::Close(events(&sse(&[&CANARY.repeat(3000)]))), "upstream_failed"),
    ];
    for (count, (name, script, code)) in cases.into_iter().enumerate() {
        upstream.play(script);
        let reply = post(guard.address, &[], chat("hi", true).to_string().as_bytes()).await;
        assert_eq!(reply.status, 200, "{name}");
        assert!(!reply.body.contains(CANARY), "{name}: {}", reply.body);
        let events = get_events(&reply.body);
        let error: serde_json::Value = serde_json::from_str(events.last().expect(name)).unwrap();
        assert_eq!((events.len(), error["error"]["code"].as_str()), (1, Some(code)), "{name}");
        let closed = guard.closed();
        assert_eq!(
            (closed.len(), closed[count].outcome),
            (count + 1, Outcome::UpstreamFailed),
            "{name}"
        );
    }
}

#[tokio::test]
async fn a_slow_answer_is_an_answer_and_the_client_hears_that_the_guard_lives() {
    let bytes = Script::response(&format!("200 OK\r\n{EVENTS}"), &sse(&["slow"]));
    let upstream = Upstream::start(Script::Dribble(bytes, 100, Duration::from_millis(20))).await;
    let guard = Guard::start(&upstream.url());
    let reply = post(guard.address, &[], chat("hi", true).to_string().as_bytes()).await;
    assert_eq!(get_events(&reply.body).last().map(String::as_str), Some("[DONE]"));
    upstream.play(Script::Dribble(
        Script::response(
            &format!(
                "200 OK\r\n{JSON}\r\ncontent-length: {}",
                completion("slow").to_string().len()
            ),
            &completion("slow").to_string(),
        ),
        5,
        Duration::from_millis(5),
    ));
    let reply = post(guard.address, &[], chat("hi", false).to_string().as_bytes()).await;
    assert_eq!(reply.json(), completion("slow"));
}

#[tokio::test]
async fn a_stream_that_ends_in_order_without_done_is_complete() {
    let whole = sse(&["all ", "said"])
        .replace("\"model\":\"m\"", "\"model\":\"m\",\"system_fingerprint\":\"\"");
    let body = whole.replace("data: [DONE]\n\n", "");
    let upstream =
        Upstream::start(Script::Close(Script::response(&format!("200 OK\r\n{EVENTS}"), &body)))
            .await;
    let guard = Guard::start(&upstream.url());
    let reply = post(guard.address, &[], chat("hi", true).to_string().as_bytes()).await;
    let events = get_events(&reply.body);
    assert_eq!(
        (events.len(), events.last().map(String::as_str)),
        (6, Some("[DONE]")),
        "{}",
        reply.body
    );
    assert_eq!(guard.closed()[0].outcome, Outcome::Allowed);
}

#[tokio::test]
async fn an_upstream_that_is_not_there_and_one_that_says_why_not() {
    let upstream = Upstream::start(Script::say("")).await;
    let guard = Guard::start("http://127.0.0.1:1");
    let reply = post(guard.address, &[], chat("hi", false).to_string().as_bytes()).await;
    assert_eq!((reply.status, reply.code().as_str()), (502, "upstream_unreachable"));
    assert_eq!(guard.closed()[0].outcome, Outcome::UpstreamFailed);

    let guard = Guard::start(&upstream.url());
    upstream.play(Script::status("404 Not Found", r#"{"error":{"message":"no such model"}}"#));
    let reply = post(guard.address, &[], chat("hi", true).to_string().as_bytes()).await;
    assert_eq!(
        (reply.status, reply.json()["error"]["message"].as_str()),
        (404, Some("no such model"))
    );
    upstream.play(Script::status("429 Too Many Requests\r\nretry-after: 7", "{}"));
    let reply = post(guard.address, &[], chat("hi", false).to_string().as_bytes()).await;
    assert_eq!((reply.status, reply.headers["retry-after"].as_str()), (429, "7"));
}

#[tokio::test]
async fn a_server_that_fails_again_and_again_is_left_alone_and_tried_again() {
    let upstream = Upstream::start(Script::status("503 Service Unavailable", "{}")).await;
    let admin = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let settings = format!("admin: {admin}\nlimits: {{ upstream_failures: 3 }}");
    let guard = Guard::with(&upstream.url(), POLICY, &settings);
    let ask = async || post(guard.address, &[], chat("hi", false).to_string().as_bytes()).await;
    for _ in 0..3 {
        let reply = ask().await;
        assert_eq!((reply.status, reply.code().as_str()), (503, "upstream_refused"));
    }
    let sent = upstream.received().len();
    let reply = ask().await;
    assert_eq!((reply.status, reply.code().as_str()), (503, "upstream_circuit_open"));
    assert_eq!((reply.headers["retry-after"].as_str(), upstream.received().len()), ("1", sent));
    let metrics = async || {
        raw(admin, b"GET /metrics HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.body
    };
    assert!(metrics().await.contains("\nguard_upstream_circuit_open 1\n"));
    // It comes back, and the first who tries after the pause opens the way for all.
    upstream.play(Script::say("fine"));
    tokio::time::sleep(Duration::from_millis(1100)).await;
    for _ in 0..5 {
        assert_eq!(ask().await.status, 200);
    }
    let metrics = metrics().await;
    assert!(metrics.contains("\nguard_upstream_circuit_open 0\n"), "{metrics}");
    assert!(metrics.contains("\nguard_upstream_circuit_opened_total 1\n"), "{metrics}");
    let closed = guard.closed();
    let open =
        |reason: &Option<proxy_audit::Text>| reason.as_deref() == Some("upstream_circuit_open");
    assert_eq!(closed.iter().filter(|closed| open(&closed.reason)).count(), 1);
}

#[tokio::test]
async fn a_server_never_gets_more_than_it_may_have_at_a_time() {
    let events = Script::response(&format!("200 OK\r\n{EVENTS}"), &sse(&["slow"; 20]));
    let upstream = Upstream::start(Script::Dribble(events, 100, Duration::from_millis(30))).await;
    let guard = Guard::with(&upstream.url(), POLICY, "limits: { upstream_concurrent: 2 }");
    let ask = async || post(guard.address, &[], chat("hi", true).to_string().as_bytes()).await;
    let replies = futures_util::future::join_all((0..5).map(|_| ask())).await;
    let served = replies.iter().filter(|reply| reply.status == 200).count();
    let busy = replies.iter().filter(|reply| reply.status == 503);
    assert_eq!(
        (served, busy.map(|reply| reply.code()).collect::<Vec<_>>()),
        (2, vec!["upstream_busy".to_owned(); 3])
    );
    // Their answers are over: there is room again.
    assert_eq!(ask().await.status, 200);
}
