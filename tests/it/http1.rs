//! HTTP/1.1 as attackers write it: what has more than one reading is refused, in words, and goes nowhere.

use proxy_audit::Outcome;

use crate::support::{Guard, POLICY, Script, Upstream, chat, leave, post, raw, raw_all};

const POST: &str = "POST /v1/chat/completions HTTP/1.1\r\n";
const JSON: &str = "host: guard\r\ncontent-type: application/json\r\n";

/// A body that says hello, and the same in chunks.
fn bodies() -> (String, String) {
    let body = chat("hello", false).to_string();
    let chunks = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    (body, chunks)
}

/// A head with these `headers`, and a `body`.
fn with(headers: &str, body: &str) -> String {
    format!("{POST}{JSON}{headers}\r\n{body}")
}

#[tokio::test]
async fn what_two_servers_could_delimit_differently_is_refused() {
    let upstream = Upstream::start(Script::say("no")).await;
    let guard = Guard::start(&upstream.url());
    let (body, chunks) = bodies();
    let length = format!("content-length: {}\r\n", body.len());
    let chunked = "transfer-encoding: chunked\r\n";
    // Each could be read as a good request: as the first length says, or as the second, or with the line mended.
    let cases = [
        (
            "a length, and chunks",
            with(&format!("content-length: {}\r\n{chunked}", chunks.len()), &chunks),
        ),
        (
            "chunks, and a length",
            with(&format!("{chunked}content-length: {}\r\n", chunks.len()), &chunks),
        ),
        (
            "chunks, and a length of nothing",
            with(&format!("{chunked}content-length: 0\r\n"), &chunks),
        ),
        ("two encodings", with(&format!("{chunked}{chunked}"), &chunks)),
        (
            "an encoding and another",
            with(&format!("transfer-encoding: identity\r\n{chunked}"), &chunks),
        ),
        ("chunked, then identity", with("transfer-encoding: chunked, identity\r\n", &chunks)),
        ("gzip, then chunked", with("transfer-encoding: gzip, chunked\r\n", &chunks)),
        ("an empty encoding first", with("transfer-encoding: ,chunked\r\n", &chunks)),
        ("an encoding that is not one", with("transfer-encoding: xchunked\r\n", &chunks)),
        ("a quoted encoding", with("transfer-encoding: \"chunked\"\r\n", &chunks)),
        ("a parameter", with("transfer-encoding: chunked;q=1\r\n", &chunks)),
        ("a vertical tab", with("transfer-encoding: \u{b}chunked\r\n", &chunks)),
        ("a space before the colon", with("transfer-encoding : chunked\r\n", &chunks)),
        ("a space before the name", with(" transfer-encoding: chunked\r\n", &chunks)),
        ("a folded encoding", with("transfer-encoding:\r\n chunked\r\n", &chunks)),
        ("chunks in HTTP/1.0", with(chunked, &chunks).replacen("HTTP/1.1", "HTTP/1.0", 1)),
        ("the same length twice", with(&format!("{length}{length}"), &body)),
        ("two lengths", with(&format!("{length}content-length: 5\r\n"), &body)),
        ("a list of lengths", with(&format!("content-length: {0}, {0}\r\n", body.len()), &body)),
        ("a signed length", with(&format!("content-length: +{}\r\n", body.len()), &body)),
        ("a hexadecimal length", with(&format!("content-length: 0x{:x}\r\n", body.len()), &body)),
        ("a negative length", with("content-length: -1\r\n", &body)),
        ("no digits", with("content-length: \r\n", &body)),
        ("a length beyond counting", with("content-length: 99999999999999999999999\r\n", &body)),
        ("a length of 2^64-1", with("content-length: 18446744073709551615\r\n", &body)),
        (
            "a bare line feed",
            with(&length, &body).replacen("\r\ncontent-type", "\ncontent-type", 1),
        ),
        ("a bare carriage return", with(&format!("x: a\rb\r\n{length}"), &body)),
        ("a folded line", with(&format!("x: a\r\n b\r\n{length}"), &body)),
        ("a NUL", with(&format!("x: a\0b\r\n{length}"), &body)),
        ("a control character", with(&format!("x: a\u{1}b\r\n{length}"), &body)),
        ("a delete", with(&format!("x: a\u{7f}b\r\n{length}"), &body)),
        ("a name with a space", with(&format!("x y: a\r\n{length}"), &body)),
        ("a name in brackets", with(&format!("(x): a\r\n{length}"), &body)),
        ("no name", with(&format!(": a\r\n{length}"), &body)),
        ("no colon", with(&format!("x\r\n{length}"), &body)),
        ("two hosts", with(&format!("Host: other\r\n{length}"), &body)),
        ("the same host twice", with(&format!("host: guard\r\n{length}"), &body)),
        ("no host", with(&length, &body).replacen("host: guard\r\n", "", 1)),
        ("chunk extensions", with(chunked, &chunks.replacen("\r\n", ";a=b\r\n", 1))),
        ("a trailer", with(chunked, &chunks.replacen("0\r\n\r\n", "0\r\nx: y\r\n\r\n", 1))),
        ("a chunk with a line feed", with(chunked, &chunks.replacen("\r\n", "\n", 1))),
        ("a chunk's length with a sign", with(chunked, &format!("+{chunks}"))),
        ("a chunk's length beyond counting", with(chunked, &format!("{}{chunks}", "f".repeat(20)))),
        ("a chunk longer than it says", with(chunked, &chunks.replacen('}', "}}", 1))),
        ("chunks that never end", with(chunked, "zz\r\n")),
    ];
    for (name, bytes) in &cases {
        let reply = raw(guard.address, bytes.as_bytes()).await;
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (400, "bad_http"),
            "{name}: {}",
            reply.body
        );
        assert_eq!(reply.headers["connection"], "close", "{name}");
        assert_eq!(reply.headers["x-should-retry"], "false", "{name}");
    }
    assert_eq!(upstream.received(), b"", "nothing was forwarded");
    let (opened, closed) = (guard.opened(), guard.closed());
    assert_eq!((opened.len(), closed.len()), (cases.len(), cases.len()));
    for (opened, closed) in opened.iter().zip(&closed) {
        assert_eq!((&*opened.method, &*opened.route), ("POST", "/v1/chat/completions"));
        assert_eq!(
            (closed.outcome, closed.reason.as_deref()),
            (Outcome::Refused, Some("bad_http"))
        );
    }
}

#[tokio::test]
async fn what_is_no_request_gets_an_error_and_no_record() {
    let upstream = Upstream::start(Script::say("no")).await;
    let guard = Guard::start(&upstream.url());
    let (body, _) = bodies();
    let rest = format!("{JSON}content-length: {}\r\n\r\n{body}", body.len());
    let lines: [&[u8]; 12] = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n",
        b"POST /v1/chat/completions HTTP/1.1\n",
        b"POST  /v1/chat/completions HTTP/1.1\r\n",
        b"POST /v1/chat/completions HTTP/1.1 \r\n",
        b"POST /v1/chat/completions\tHTTP/1.1\r\n",
        b"POST /v1/chat/completions HTTP/1.2\r\n",
        b"POST /v1/chat/completions http/1.1\r\n",
        b"POST /v1/chat/completions\r\n",
        b"POST /v1/chat/completions\0 HTTP/1.1\r\n",
        b"POST /v1/chat/completions/\xc3\xa9 HTTP/1.1\r\n",
        b"POST /v1/chat/completions#x HTTP/1.1\r\n",
        b"\r\nPOST /v1/chat/completions HTTP/1.1\r\n",
    ];
    for line in lines {
        let reply = raw(guard.address, &[line, rest.as_bytes()].concat()).await;
        let line = line.escape_ascii();
        assert_eq!((reply.status, reply.code().as_str()), (400, "bad_http"), "{line}");
    }
    assert_eq!((upstream.received(), guard.opened().len()), (Vec::new(), 0));
}

#[tokio::test]
async fn heads_and_bodies_have_bounds() {
    let upstream = Upstream::start(Script::say("no")).await;
    let guard =
        Guard::with(&upstream.url(), POLICY, "limits: { request_seconds: 1, request_bytes: 5000 }");
    let (body, _) = bodies();
    let length = format!("content-length: {}\r\n", body.len());
    let many: String = (0..200).map(|number| format!("x-{number}: y\r\n")).collect();
    let heads = [
        ("many headers", with(&format!("{many}{length}"), &body)),
        ("a large header", with(&format!("x: {}\r\n{length}", "y".repeat(70_000)), &body)),
        ("a long target", with(&length, &body).replacen("completions", &"c".repeat(9_000), 1)),
        ("a head without end", format!("{POST}x: {}", "y".repeat(70_000))),
    ];
    for (name, bytes) in &heads {
        let reply = raw(guard.address, bytes.as_bytes()).await;
        assert_eq!((reply.status, reply.code().as_str()), (431, "head_too_large"), "{name}");
    }
    let bodies = [
        (
            "announced",
            with("connection: close\r\ncontent-length: 99999999999999\r\n", ""),
            413,
            "request_too_large",
        ),
        (
            "a chunk",
            with(
                "connection: close\r\ntransfer-encoding: chunked\r\n",
                &format!("1800\r\n{}", "y".repeat(6144)),
            ),
            413,
            "request_too_large",
        ),
        ("slow", with(&length, "{"), 408, "request_timeout"),
        (
            "slow chunks",
            with("transfer-encoding: chunked\r\n", "1\r\n{\r\n"),
            408,
            "request_timeout",
        ),
    ];
    for (name, bytes, status, code) in &bodies {
        let reply = raw(guard.address, bytes.as_bytes()).await;
        assert_eq!((reply.status, reply.code().as_str()), (*status, *code), "{name}");
    }
    assert_eq!(upstream.received(), b"");
    // The request line of the too long target is not recorded: nobody knows what it asks for.
    assert_eq!(guard.closed().len(), heads.len() - 1 + bodies.len());
}

#[tokio::test]
async fn other_ways_to_ask_are_refused() {
    let upstream = Upstream::start(Script::say("no")).await;
    let guard = Guard::start(&upstream.url());
    let (body, _) = bodies();
    let length = format!("content-length: {}\r\n", body.len());
    let line = |line: &str| format!("{line}\r\n{JSON}connection: close\r\n{length}\r\n{body}");
    let upgrade = |headers: &str| with(&format!("connection: close\r\n{length}{headers}"), &body);
    let websocket = "upgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let cases = [
        (line("CONNECT example.com:443 HTTP/1.1"), 404, "unknown_route"),
        (line("CONNECT /v1/chat/completions HTTP/1.1"), 405, "method_not_allowed"),
        (line("TRACE /v1/chat/completions HTTP/1.1"), 405, "method_not_allowed"),
        (line("OPTIONS /v1/chat/completions HTTP/1.1"), 405, "method_not_allowed"),
        (line("OPTIONS * HTTP/1.1"), 404, "unknown_route"),
        (line("QUERY /v1/chat/completions HTTP/1.1"), 405, "method_not_allowed"),
        (line("POST guard:80 HTTP/1.1"), 404, "unknown_route"),
        (line("POST http://guard/v1/chat/completions HTTP/1.1"), 400, "bad_http"),
        (line("POST https://127.0.0.1/v1/models HTTP/1.1"), 405, "method_not_allowed"),
        (line("GET http://169.254.169.254/v1/models HTTP/1.1"), 400, "bad_http"),
        (upgrade(websocket), 400, "bad_http"),
        (upgrade("upgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n"), 400, "bad_http"),
        (upgrade("upgrade: TLS/1.3\r\n"), 400, "bad_http"),
        (line("GET /v1/chat/completions HTTP/1.1").replacen("host", "x-http-method-override: POST\r\nhost", 1), 405, "method_not_allowed"),
        (line("POST /v1/ HTTP/1.1").replacen("host", "x-original-url: /v1/chat/completions\r\nx-rewrite-url: /v1/chat/completions\r\nhost", 1), 404, "unknown_route"),
        (upgrade("content-encoding: gzip\r\n"), 415, "unsupported_media_type"),
        (upgrade("content-encoding: identity, gzip\r\n"), 415, "unsupported_media_type"),
        (upgrade("content-encoding: identity\r\ncontent-encoding: br\r\n"), 415, "unsupported_media_type"),
    ];
    for (bytes, status, code) in &cases {
        let reply = raw(guard.address, bytes.as_bytes()).await;
        assert_eq!((reply.status, reply.code().as_str()), (*status, *code), "{bytes}");
    }
    assert_eq!(upstream.received(), b"", "nothing was forwarded");
    assert_eq!(guard.closed().len(), cases.len());
}

#[tokio::test]
async fn requests_in_a_row_are_each_judged_and_a_smuggled_one_is_not_served() {
    let upstream = Upstream::start(Script::say("fine")).await;
    let guard = Guard::start(&upstream.url());
    let request = |text: &str| {
        let body = chat(text, false).to_string();
        with(&format!("content-length: {}\r\n", body.len()), &body)
    };
    let (good, bad) = (request("hello"), request("PORTCULLIS-TEST-S9"));
    let broken = good.replacen("host: guard", "host: guard\r\nhost: other", 1);
    let row = [&*good, &*bad, &*good, &*broken, &*good].concat();
    let replies = raw_all(guard.address, row.as_bytes()).await;
    let statuses: Vec<u16> = replies.iter().map(|reply| reply.status).collect();
    assert_eq!(statuses, [200, 400, 200, 400], "each in its turn, and nothing after a fault");
    assert_eq!(
        (replies[1].code(), replies[3].code()),
        ("content_filter".into(), "bad_http".into())
    );
    assert_eq!((guard.opened().len(), guard.closed().len()), (4, 4));
    let received = String::from_utf8(upstream.received()).unwrap();
    assert_eq!(received.matches("POST /v1/chat/completions HTTP/1.1\r\n").count(), 2, "{received}");

    // A body that is itself a request stays a body.
    let outer = request(&good).replacen("host", "connection: close\r\nhost", 1);
    assert_eq!(raw_all(guard.address, outer.as_bytes()).await.len(), 1);
}

#[tokio::test]
async fn a_body_is_called_for_only_when_its_head_is_in_order() {
    let upstream = Upstream::start(Script::say("fine")).await;
    let guard = Guard::start(&upstream.url());
    let (body, _) = bodies();
    let expects =
        format!("connection: close\r\ncontent-length: {}\r\nexpect: 100-continue\r\n", body.len());
    let reply = raw(guard.address, with(&expects, &body).as_bytes()).await;
    assert_eq!(reply.status, 100, "the head is in order");
    let refused = with(&expects, &body).replacen("application/json", "text/plain", 1);
    let reply = raw(guard.address, refused.as_bytes()).await;
    assert_eq!((reply.status, reply.code().as_str()), (415, "unsupported_media_type"));
    let refused = with(&format!("{expects}content-length: 1\r\n"), "");
    let reply = raw(guard.address, refused.as_bytes()).await;
    assert_eq!((reply.status, reply.code().as_str()), (400, "bad_http"));
}

#[tokio::test]
async fn no_header_of_either_side_reaches_the_other() {
    let upstream = Upstream::start(Script::say("fine")).await;
    let guard = Guard::start(&upstream.url());
    let body = chat("hello", false).to_string();
    let sent = [
        ("connection", "close, x-named, authorization"),
        ("x-named", "1"),
        ("keep-alive", "timeout=5"),
        ("proxy-authorization", "Basic eA=="),
        ("proxy-connection", "keep-alive"),
        ("te", "trailers"),
        ("trailer", "x-late"),
        ("x-guard-policy", "none"),
        ("x-guard-decision", "allow"),
        ("x-request-id", "mine"),
        ("x-forwarded-host", "evil.example"),
        ("forwarded", "host=evil.example"),
        ("x-http-method-override", "DELETE"),
        ("accept-encoding", "gzip"),
        ("cookie", "a=b"),
        ("authorization", "Bearer sk-one"),
    ];
    let answer = crate::support::completion("fine").to_string();
    let head = format!(
        "200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: x-inside\r\nx-inside: 1\r\n\
         keep-alive: timeout=5\r\nx-guard-decision: forged\r\nx-guard-decision-id: forged\r\nx-guard-policy: forged\r\n\
         set-cookie: a=b\r\nserver: inside\r\nx-powered-by: inside\r\nlocation: http://inside/\r\nserver-timing: inside",
        answer.len()
    );
    upstream.play(Script::Reply(Script::response(&head, &answer)));
    let reply = post(guard.address, &sent, body.as_bytes()).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    let names: Vec<&str> = reply.headers.keys().map(String::as_str).collect();
    let ours = [
        "connection",
        "content-length",
        "content-type",
        "date",
        "server-timing",
        "x-guard-decision",
        "x-guard-decision-id",
        "x-guard-policy",
    ];
    assert_eq!(names, ours, "{:?}", reply.headers);
    assert!(!format!("{:?}", reply.headers).contains("forged"), "{:?}", reply.headers);
    assert!(!format!("{:?}", reply.headers).contains("inside"), "{:?}", reply.headers);

    let received = String::from_utf8(upstream.received()).unwrap().to_lowercase();
    let (head, _) = received.split_once("\r\n\r\n").unwrap();
    let mut names: Vec<&str> =
        head.lines().skip(1).map(|line| line.split(':').next().unwrap()).collect();
    names.sort_unstable();
    let ours = [
        "accept",
        "accept-encoding",
        "authorization",
        "content-length",
        "content-type",
        "host",
        "user-agent",
        "x-request-id",
    ];
    assert_eq!(names, ours, "{head}");
    assert!(head.contains(&format!("x-request-id: {}", reply.id())), "{head}");
    assert!(
        head.contains(&format!("host: {}", upstream.address)),
        "the upstream is ours to choose: {head}"
    );

    upstream.play(Script::Close(Script::response(
        "101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x",
        &answer,
    )));
    let reply = post(guard.address, &[], body.as_bytes()).await;
    assert_eq!(reply.status, 502, "an upstream cannot switch protocols: {}", reply.body);
}

#[tokio::test]
async fn a_client_that_leaves_mid_request_leaves_a_closed_record() {
    let upstream = Upstream::start(Script::say("no")).await;
    let guard = Guard::start(&upstream.url());
    leave(guard.address, b"POST /v1/chat").await;
    leave(guard.address, with("content-length: 1000\r\n", "{").as_bytes()).await;
    let closed = guard.closed_after(1).await;
    assert_eq!((closed.len(), upstream.received()), (1, Vec::new()), "half a line is no request");
}
