//! HTTP/2 frame by frame: what the library leaves to us, and that it holds what it promises.

use std::time::Duration;

use proxy_audit::Outcome;

use crate::support::wire::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, Http2, PING, RST_STREAM,
    block,
};
use crate::support::{Guard, Script, Upstream, chat, post, sse};

type Headers<'a> = Vec<(&'a str, &'a str)>;

/// The headers of a good request.
fn good() -> Headers<'static> {
    vec![
        (":method", "POST"),
        (":scheme", "http"),
        (":authority", "guard"),
        (":path", "/v1/chat/completions"),
        ("content-type", "application/json"),
    ]
}

fn plus<'a>(more: &[(&'a str, &'a str)]) -> Headers<'a> {
    good().into_iter().chain(more.iter().copied()).collect()
}

fn changed<'a>(name: &str, value: &'a str) -> Headers<'a> {
    good().into_iter().map(|(n, v)| if n == name { (n, value) } else { (n, v) }).collect()
}

#[tokio::test]
async fn a_request_that_contradicts_itself_goes_nowhere() {
    let upstream = Upstream::start(Script::say("fine")).await;
    let guard = Guard::start(&upstream.url());
    let body = chat("hello", false).to_string();

    let mut client = Http2::connect(guard.address).await;
    client.request(1, &good(), body.as_bytes()).await;
    let answer = client.answer(1).await.expect("the plain request is answered");
    assert!(String::from_utf8(answer).unwrap().contains("fine"));
    let (before, records) = (upstream.received().len(), guard.closed().len());

    let mut late = good();
    late.rotate_right(1);
    // With the code of our answer, or without where the library ends the stream.
    let cases: Vec<(&str, Headers<'_>, Option<&str>)> = vec![
        ("another host", plus(&[("host", "other")]), Some("bad_http")),
        ("two hosts", plus(&[("host", "guard"), ("host", "guard")]), Some("bad_http")),
        ("another path", changed(":path", "/v1/rerank"), Some("unknown_route")),
        ("an encoded path", changed(":path", "/v1/%63hat/completions"), Some("unknown_route")),
        ("a query", changed(":path", "/v1/chat/completions?a=b"), Some("bad_http")),
        ("another method", changed(":method", "PUT"), Some("method_not_allowed")),
        ("compressed", plus(&[("content-encoding", "gzip")]), Some("unsupported_media_type")),
        ("the method twice", plus(&[(":method", "GET")]), None),
        ("the path twice", [vec![(":path", "/v1/models")], good()].concat(), None),
        ("a pseudo-header after a header", late, None),
        ("an unknown pseudo-header", [vec![(":guard", "off")], good()].concat(), None),
        ("a pseudo-header of answers", [vec![(":status", "200")], good()].concat(), None),
        ("an empty path", changed(":path", ""), None),
        ("a path without a slash", changed(":path", "v1/chat/completions"), None),
        ("a space in the path", changed(":path", "/v1/chat/completions HTTP/1.1"), None),
        ("a line break in the path", changed(":path", "/v1\r\nx: y"), None),
        ("a line break in the authority", changed(":authority", "a\r\nb"), None),
        ("a line break in a value", plus(&[("x", "a\r\nhost: b")]), None),
        ("a NUL in a value", plus(&[("x", "a\0b")]), None),
        ("an upper-case name", plus(&[("X-Guard", "a")]), None),
        ("a name with a colon", plus(&[("a:b", "c")]), None),
        ("a connection header", plus(&[("connection", "close")]), None),
        ("a transfer encoding", plus(&[("transfer-encoding", "chunked")]), None),
        ("an upgrade", plus(&[("upgrade", "h2c")]), None),
        ("keep-alive", plus(&[("keep-alive", "1")]), None),
        ("TE that is not trailers", plus(&[("te", "gzip")]), None),
        ("a length that is not the body's", plus(&[("content-length", "3")]), None),
        ("no length at all", plus(&[("content-length", "x")]), None),
        (
            "extended CONNECT",
            [vec![(":protocol", "websocket")], changed(":method", "CONNECT")].concat(),
            None,
        ),
    ];
    for (name, headers, code) in &cases {
        let mut client = Http2::connect(guard.address).await;
        client.request(1, headers, body.as_bytes()).await;
        let answer = client.answer(1).await.map(|data| String::from_utf8(data).unwrap());
        match (code, &answer) {
            (Some(code), Some(answer)) => {
                assert!(answer.contains(&format!("\"code\":\"{code}\"")), "{name}: {answer}");
            }
            // An error in words is as good as the end of the stream.
            (None, Some(answer)) => assert!(answer.contains("\"error\""), "{name}: {answer}"),
            (None, None) => {}
            (Some(_), None) => panic!("{name}: no answer"),
        }
    }
    assert_eq!(upstream.received().len(), before, "nothing was forwarded");
    let answered = cases.iter().filter(|(.., code)| code.is_some()).count();
    assert!(guard.closed_after(records + answered).await.len() >= records + answered);
    assert_eq!(guard.opened().len(), guard.closed_after(guard.opened().len()).await.len());
}

#[tokio::test]
async fn trailers_are_refused() {
    let upstream = Upstream::start(Script::say("fine")).await;
    let guard = Guard::start(&upstream.url());
    let body = chat("hello", false).to_string();
    let mut client = Http2::connect(guard.address).await;
    client.send(HEADERS, END_HEADERS, 1, &block(&good())).await;
    client.send(DATA, 0, 1, body.as_bytes()).await;
    client.send(HEADERS, END_HEADERS | END_STREAM, 1, &block(&[("x-late", "y")])).await;
    let answer = String::from_utf8(client.answer(1).await.unwrap()).unwrap();
    assert!(answer.contains("\"code\":\"bad_http\""), "{answer}");
    assert_eq!(upstream.received(), b"");
}

#[tokio::test]
async fn floods_end_the_connection_and_leave_no_open_record() {
    let upstream = Upstream::start(Script::say("fine")).await;
    let guard = Guard::start(&upstream.url());
    let body = chat("hello", false).to_string();

    // Rapid reset: requests that are taken back at once.
    let mut client = Http2::connect(guard.address).await;
    for number in 0..2_000 {
        let stream = 2 * number + 1;
        client.send(HEADERS, END_HEADERS, stream, &block(&good())).await;
        client.send(RST_STREAM, 0, stream, &8_u32.to_be_bytes()).await;
    }
    let mut ended = false;
    while let Some(frame) = client.next().await {
        ended |= frame.kind == GOAWAY;
    }
    assert!(ended, "the connection was ended");

    // A head that never ends.
    let mut client = Http2::connect(guard.address).await;
    client.send(HEADERS, 0, 1, &block(&good())).await;
    for number in 0..2_000 {
        let name = format!("x-{number}");
        client.send(CONTINUATION, 0, 1, &block(&[(&name, "y")])).await;
    }
    assert!(client.answer(1).await.is_none());

    // One header that unpacks to much.
    let mut client = Http2::connect(guard.address).await;
    let large = "y".repeat(12_000);
    client.request(1, &plus(&[("x", &large), ("y", &large)]), body.as_bytes()).await;
    assert!(client.answer(1).await.is_none_or(|data| data.is_empty()), "431 has no text");

    let opened = guard.opened().len();
    assert_eq!(guard.closed_after(opened).await.len(), opened, "every record is closed");
    assert!(opened < 500, "{opened} requests were recognised before the flood was stopped");
    assert_eq!(upstream.received(), b"");
    let reply = post(guard.address, &[], body.as_bytes()).await;
    assert_eq!(reply.status, 200, "others are served as before");
}

/// It answers pings, and never makes room for more of the answer.
#[tokio::test]
async fn an_answer_of_which_a_lively_client_takes_nothing_is_given_up() {
    let chunk = sse(&["some words again "]);
    let chunk = chunk.split_inclusive("\n\n").nth(1).unwrap().repeat(100);
    let head = "200 OK\r\ncontent-type: text/event-stream";
    let upstream =
        Upstream::start(Script::Endless(Script::response(head, ""), chunk.into_bytes())).await;
    let guard = Guard::start(&upstream.url());
    let mut client = Http2::connect(guard.address).await;
    client.request(1, &good(), chat("hi", true).to_string().as_bytes()).await;
    let (mut pings, mut received) = (0, 0);
    let given_up = async {
        while guard.closed().is_empty() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        guard.closed()
    };
    let lively = async {
        while let Some(frame) = client.next().await {
            received += frame.payload.len();
            if frame.kind == PING {
                pings += 1;
                client.send(PING, ACK, 0, &frame.payload).await;
            }
        }
    };
    let closed = tokio::select! {
        closed = tokio::time::timeout(Duration::from_secs(100), given_up) => closed.expect("it is given up"),
        () = lively => panic!("the connection was closed"),
    };
    assert_eq!(closed[0].outcome, Outcome::ClientGone);
    upstream.left().await;
    assert!(pings > 0 && received > 60_000, "{pings} pings, {received} bytes");
    // Whoever else is on the connection is answered.
    upstream.play(Script::say("fine"));
    client.request(3, &good(), chat("hello", false).to_string().as_bytes()).await;
    while let Some(frame) = client.next().await {
        match (frame.kind, frame.stream) {
            (HEADERS, 3) => return,
            (GOAWAY, _) => break,
            _ => {}
        }
    }
    panic!("there is no answer");
}
