//! Streamed answers leave window by window, each after its verdict and its record; what is bad never does.

use std::time::{Duration, Instant};

use proxy_audit::{Action, Outcome};
use serde_json::Value;

use crate::support::{Guard, POLICY, Reading, Script, Upstream, chat, get_events, post, raw, sse};

pub const HEAD: &str = "200 OK\r\ncontent-type: text/event-stream";
const OVERLAP: usize = 100;

pub fn policy(mode: &str) -> String {
    format!(
        "{POLICY}streaming: {{ mode: {mode}, window: 50 chars, overlap: {OVERLAP} chars, max_wait: 100ms }}\n"
    )
}

/// Words enough for several windows, none of them twice.
pub fn story(words: usize) -> String {
    (0..words).map(|number| format!("word {number}, ")).collect()
}

fn pieces(text: &str) -> Vec<&str> {
    text.split_inclusive(' ').collect()
}

fn content(body: &str) -> String {
    let chunks = get_events(body).into_iter().filter_map(|event| serde_json::from_str(&event).ok());
    let said = |chunk: Value| chunk["choices"][0]["delta"]["content"].as_str().map(str::to_owned);
    chunks.filter_map(said).collect()
}

/// The stream that says `text`, before its end.
fn begun(text: &str) -> Vec<u8> {
    let whole = sse(&pieces(text));
    let end = whole.find(r#""finish_reason":"stop""#).unwrap();
    let start = whole[..end].rfind("data: ").unwrap();
    Script::response(HEAD, &whole[..start])
}

#[tokio::test]
async fn the_model_server_is_left_within_100_ms_of_the_client() {
    // The best of some: other tests run at the same time.
    let mut best = Duration::MAX;
    for _ in 0..5 {
        let upstream = Upstream::start(Script::Stall(begun(&story(60)))).await;
        let guard = Guard::with(&upstream.url(), &policy("hold"), "");
        let mut client = Reading::ask(guard.address, &chat("hi", true)).await;
        client.until(|received| !received.is_empty()).await;
        let left = Instant::now();
        drop(client);
        best = best.min(upstream.left().await.saturating_duration_since(left));
    }
    assert!(best < Duration::from_millis(100), "the model server was left after {best:?}");
}

#[tokio::test]
async fn text_leaves_while_the_model_still_speaks_and_its_tail_does_not() {
    let text = story(60);
    let upstream = Upstream::start(Script::Stall(begun(&text))).await;
    let guard = Guard::with(&upstream.url(), &policy("hold"), "");
    let mut client = Reading::ask(guard.address, &chat("hi", true)).await;
    let enough = text.len() - OVERLAP - "word 59, ".len();
    let received = client.until(|received| received.len() >= enough).await;
    assert!(text.starts_with(&received) && received.len() <= text.len() - OVERLAP, "{received}");
    let released = guard.released();
    let until = released.last().unwrap().until["/choices/0/message/content"];
    assert_eq!((released[0].action, until), (Action::Allow, received.len() as u64));

    drop(client);
    upstream.left().await;
    let closed = guard.closed_after(1).await;
    assert_eq!(closed[0].outcome, Outcome::ClientGone);
    assert!(closed[0].released_bytes > received.len() as u64);
    assert_eq!(closed[0].output.as_ref().unwrap().action, Action::Allow);
    assert_eq!(guard.verify().released, released.len() as u64);
}

#[tokio::test]
async fn a_violation_is_cut_off_before_its_first_character() {
    let (before, bad) = (story(60), "PORTCULLIS-TEST-S12");
    let text = format!("{before}{bad} and more of that");
    let upstream = Upstream::start(Script::Stall(begun(&text))).await;
    let guard = Guard::with(&upstream.url(), &policy("hold"), "");
    let reply = post(guard.address, &[], chat("hi", true).to_string().as_bytes()).await;
    let received = content(&reply.body);
    assert!(before.starts_with(&received) && !received.is_empty(), "{received}");
    assert!(!reply.body.contains("PORT"), "{}", reply.body);
    let events = get_events(&reply.body);
    let [said, ended, done] = &events[events.len() - 3..] else { panic!("{events:?}") };
    let (said, ended): (Value, Value) =
        (serde_json::from_str(said).unwrap(), serde_json::from_str(ended).unwrap());
    assert_eq!(
        said["choices"][0]["delta"],
        serde_json::json!({ "refusal": format!("Not that. ({})", reply.id()) })
    );
    assert_eq!(
        (&ended["choices"][0]["finish_reason"], done.as_str()),
        (&"content_filter".into(), "[DONE]")
    );

    upstream.left().await;
    let closed = guard.closed().pop().unwrap();
    assert_eq!(
        (closed.outcome, closed.output.as_ref().unwrap().action),
        (Outcome::Blocked, Action::Block)
    );
    let check = &closed.output.as_ref().unwrap().checks[1];
    assert_eq!(
        (check.spans[0].start, check.spans[0].end),
        (before.len() as u64, (before.len() + bad.len()) as u64)
    );
    let until = guard.released().last().unwrap().until["/choices/0/message/content"];
    assert_eq!(until, received.len() as u64);
}

#[tokio::test]
async fn a_secret_is_cut_out_of_a_long_stream() {
    let text = format!("{}PORTCULLIS-TEST-SECRET {}", story(40), story(40));
    let upstream = Upstream::start(Script::stream(&pieces(&text))).await;
    let guard = Guard::with(&upstream.url(), &policy("hold"), "");
    let reply = post(guard.address, &[], chat("hi", true).to_string().as_bytes()).await;
    assert_eq!(content(&reply.body), text.replace("PORTCULLIS-TEST-SECRET", "[REDACTED]"));
    let closed = guard.closed().pop().unwrap();
    assert_eq!(
        (closed.outcome, closed.released_bytes),
        (Outcome::Redacted, reply.body.len() as u64)
    );
    let spans = &closed.output.unwrap().checks[1].spans;
    assert_eq!(spans.len(), 1, "found in several windows, and one place: {spans:?}");
}

#[tokio::test]
async fn a_kill_leaves_nothing_outside_that_is_not_on_record() {
    let text = story(3000);
    let bytes = begun(&text);
    let upstream = Upstream::start(Script::Dribble(bytes, 500, Duration::from_millis(1))).await;
    let mut guard = Guard::with(&upstream.url(), &policy("hold"), "");
    for round in 1..=3 {
        let mut client = Reading::ask(guard.address, &chat("hi", true)).await;
        client.until(|received| received.len() > 300 * round).await;
        guard.signal("KILL");
        let received = client.until(|_| false).await;
        guard = guard.restart(&upstream.url());
        let released = guard.released().pop().unwrap();
        let until = released.until["/choices/0/message/content"];
        assert!(
            until >= received.len() as u64,
            "{until} is on record, {} was received",
            received.len()
        );
        assert!(text.starts_with(&received));
    }
    assert_eq!(guard.verify().abandoned, 3);
}

#[tokio::test]
async fn who_does_not_read_is_not_read_for() {
    let chunk = sse(&["some words again "]);
    let chunk = chunk.split_inclusive("\n\n").nth(1).unwrap().repeat(100);
    let script = Script::Endless(Script::response(HEAD, ""), chunk.into_bytes());
    let upstream = Upstream::start(script).await;
    let guard = Guard::with(&upstream.url(), &policy("hold"), "");
    let client = Reading::ask(guard.address, &chat("hi", true)).await;
    let mut taken = 0;
    // Until nothing moves any more: every buffer on the way is full.
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(300)).await;
        if taken > 0 && upstream.taken() == taken {
            break;
        }
        taken = upstream.taken();
    }
    assert_eq!(upstream.taken(), taken, "it is read on for nobody");
    assert!(taken < 32 << 20, "{taken} bytes were taken");
    drop(client);
    upstream.left().await;
    assert_eq!(guard.closed_after(1).await[0].outcome, Outcome::ClientGone);
}

#[tokio::test]
async fn to_follow_is_said_and_bounded() {
    let (before, bad) = (story(60), "PORTCULLIS-TEST-S12");
    let text = format!("{before}{bad} {}", story(60));
    let upstream = Upstream::start(Script::stream(&pieces(&text))).await;
    let guard = Guard::with(&upstream.url(), &policy("follow"), "");
    let reply = post(guard.address, &[], chat("hi", true).to_string().as_bytes()).await;
    assert_eq!(reply.headers["x-guard-streaming"], "follow");
    let received = content(&reply.body);
    assert!(text.starts_with(&received) && received.len() < before.len() + 200, "{received}");
    let closed = guard.closed().pop().unwrap();
    assert_eq!(closed.outcome, Outcome::Blocked);
    assert!(closed.unchecked[0].why.contains("100 characters"), "{:?}", closed.unchecked);
}

#[tokio::test]
async fn whole_answers_leave_at_their_end() {
    let upstream = Upstream::start(Script::Stall(begun(&story(200)))).await;
    let guard = Guard::with(&upstream.url(), &policy("whole"), "");
    let mut client = Reading::ask(guard.address, &chat("hi", true)).await;
    let waited =
        tokio::time::timeout(Duration::from_millis(500), client.until(|text| !text.is_empty()));
    assert!(waited.await.is_err(), "something left early");
}

#[tokio::test]
async fn what_streams_hold_at_most_is_declared_and_what_they_held_is_counted() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let upstream = Upstream::start(Script::stream(&pieces(&story(300)))).await;
    let policy = policy("hold")
        + "profiles: { slow: { streaming: { mode: whole } } }\nroutes: [{ use: base }]\n";
    let guard = Guard::with(&upstream.url(), &policy, &format!("admin: {free}\n"));
    post(guard.address, &[], chat("hi", true).to_string().as_bytes()).await;
    let get = |path: &str| {
        let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        async move { raw(free, request.as_bytes()).await }
    };
    for path in ["/livez", "/readyz"] {
        assert_eq!(get(path).await.body, "ok\n");
    }
    assert_eq!(get("/v1/models").await.status, 404);
    // A stream is counted when it is over, which may be a moment after its last byte.
    let mut metrics = get("/metrics").await.body;
    let started = Instant::now();
    while !metrics.contains("guard_stream_held_bytes_count 1\n") {
        assert!(started.elapsed() < Duration::from_secs(10), "{metrics}");
        tokio::time::sleep(Duration::from_millis(20)).await;
        metrics = get("/metrics").await.body;
    }
    let value = |name: &str| {
        let line = metrics.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
        line.unwrap_or_else(|| panic!("{name}: {metrics}")).parse::<f64>().unwrap()
    };
    let of = |name: &str, profile: &str| value(&format!("{name}{{profile=\"{profile}\"}}"));
    // The overlap, eight windows that wait and the one that is judged; `max_wait` and two verdicts of 300 ms.
    assert_eq!(of("guard_stream_held_characters_bound", "base"), 550.0);
    assert_eq!(of("guard_stream_wait_seconds_bound", "base"), 0.7);
    assert_eq!(of("guard_stream_held_characters_bound", "slow"), f64::INFINITY);
    let (held, bound) =
        (value("guard_stream_held_bytes_max"), value("guard_stream_held_bytes_bound"));
    assert!(held > 0.0 && held < bound, "{metrics}");
    // At most nine windows of 50 characters at a time, whatever the speed: seven verdicts at least on 2,900.
    assert!(value("guard_stream_wait_seconds_count") > 5.0, "{metrics}");
    // The callers' listener knows nothing of it.
    let request = b"GET /metrics HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    assert_eq!(raw(guard.address, request).await.status, 404);
}
