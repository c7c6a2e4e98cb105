//! Clients that take their time, on a clock that is turned by hand.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that panics has found something"
)]

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http_body_util::BodyExt;
use proxy_http::Http;
use proxy_stack::{Arrival, Gate, HttpFault, unrecognised};
use tokio::io::{
    AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex,
};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::service_fn;
use tower::util::BoxCloneSyncService;

/// A gate that answers with the fault it is given, and to a good request so that others may follow.
fn gate() -> Gate {
    BoxCloneSyncService::new(service_fn(|arrival: Arrival| async move {
        let Some(fault) = arrival.fault else {
            arrival.request.into_body().collect().await.unwrap();
            let mut answer = unrecognised(HttpFault::Malformed("nothing is wrong"));
            answer.headers_mut().remove("connection");
            return Ok(answer);
        };
        Ok(unrecognised(fault))
    }))
}

fn connect(tasks: &mut JoinSet<()>) -> DuplexStream {
    connect_through(64 * 1024, tasks)
}

/// A connection of which `room` bytes may be under way each way.
fn connect_through(room: usize, tasks: &mut JoinSet<()>) -> DuplexStream {
    let (client, server) = duplex(room);
    tasks.spawn(async move {
        Http::default().serve(server, gate(), None, CancellationToken::new()).await
    });
    client
}

async fn rest(mut client: DuplexStream) -> String {
    let mut text = String::new();
    client.read_to_string(&mut text).await.unwrap();
    text
}

#[tokio::test(start_paused = true)]
async fn a_head_that_does_not_come_is_not_waited_for() {
    let mut tasks = JoinSet::new();
    // Byte by byte: what comes in between does not buy time.
    for start in ["POST / HTTP/1.1\r\nx: ", "P", "PRI * HTTP/2.0\r\n"] {
        let mut client = connect(&mut tasks);
        client.write_all(start.as_bytes()).await.unwrap();
        for _ in 0..11 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            if !start.starts_with("PRI") {
                // It may have been answered already.
                let _answered = client.write_all(b"y").await;
            }
        }
        let answer = rest(client).await;
        assert!(answer.starts_with("HTTP/1.1 408 "), "{start}: {answer}");
        assert!(answer.contains("\"code\":\"request_timeout\""), "{start}: {answer}");
    }
    // Whoever says nothing is told nothing.
    assert_eq!(rest(connect(&mut tasks)).await, "");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_idle_is_closed() {
    let mut tasks = JoinSet::new();
    let mut client = connect(&mut tasks);
    client.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let started = tokio::time::Instant::now();
    let answer = rest(client).await;
    assert!(
        answer.contains("nothing is wrong") && answer.matches("HTTP/1.1").count() == 1,
        "{answer}"
    );
    assert!(started.elapsed() <= Duration::from_secs(61), "{:?}", started.elapsed());
}

/// The answer to one request, of which the connection goes on.
async fn ask(client: &mut DuplexStream, pieces: &[&str]) -> String {
    for (at, piece) in pieces.iter().enumerate() {
        tokio::time::sleep(Duration::from_secs(if at > 0 { 5 } else { 0 })).await;
        client.write_all(piece.as_bytes()).await.unwrap();
    }
    let mut answer = String::new();
    while !answer.ends_with('}') {
        let mut some = [0; 1024];
        let count = client.read(&mut some).await.unwrap();
        assert_ne!(count, 0, "{answer}");
        answer.push_str(std::str::from_utf8(&some[..count]).unwrap());
    }
    assert_eq!(answer.matches("HTTP/1.1 400").count(), 1, "{answer}");
    answer
}

/// However long it was idle, a connection goes on, and what comes is a new request.
#[tokio::test(start_paused = true)]
async fn a_connection_goes_on_after_a_rest() {
    const SHORT: &str = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";
    const LONG: &str = "POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n";
    let mut tasks = JoinSet::new();
    for pause in [0, 90, 110, 5_000, 59_000] {
        let pause = Duration::from_millis(pause);
        let mut client = connect(&mut tasks);
        for pieces in [
            &[SHORT][..],
            &[LONG, "3\r\nabc\r\n0\r\n\r\n"],
            &["GET / HT", "TP/1.1\r\nhost: x\r\n\r\n"],
        ] {
            let answer = ask(&mut client, pieces).await;
            assert!(!answer.contains("connection: close"), "{answer}");
            tokio::time::sleep(pause).await;
        }
        // One behind the other, and the beginning of a third, which comes when the library is gone.
        client.write_all(format!("{SHORT}{SHORT}GET / HT").as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_secs(3)).await;
        client.write_all(b"TP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
        let answers = rest(client).await;
        assert_eq!(answers.matches("nothing is wrong").count(), 3, "{pause:?}: {answers}");
        assert_eq!(answers.matches("connection: close").count(), 1, "{pause:?}: {answers}");
        // A body that nobody has asked for is no request.
        let mut client = connect(&mut tasks);
        ask(&mut client, &[SHORT]).await;
        tokio::time::sleep(pause).await;
        client.write_all(b"\x00").await.unwrap();
        let answer = rest(client).await;
        assert!(
            answer.starts_with("HTTP/1.1 400") && answer.contains("does not begin with a method"),
            "{answer}"
        );
    }
}

/// A connection of which `room` bytes may be under way each way, and what stops it.
fn stoppable(room: usize) -> (DuplexStream, CancellationToken, JoinSet<()>) {
    let (client, server) = duplex(room);
    let (stop, mut served) = (CancellationToken::new(), JoinSet::new());
    let stopped = stop.clone();
    served.spawn(async move { Http::default().serve(server, gate(), None, stopped).await });
    (client, stop, served)
}

/// At a stop whoever says nothing is left at once, and whoever has begun is answered, all of it.
#[tokio::test(start_paused = true)]
async fn at_a_stop_nobody_is_kept_and_nobody_is_left_without_an_answer() {
    const HEAD: &str = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";
    const CLOSE: &str = "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    // What is sent before the stop, and after it; how much of an answer may be under way.
    for (before, after, room) in [
        ("", "", 1 << 16),
        (HEAD, "", 1 << 16),
        (CLOSE, "", 1 << 16),
        ("GET / HT", "TP/1.1\r\nhost: x\r\n\r\n", 1 << 16),
        (HEAD, "", 64),
        (CLOSE, "", 64),
    ] {
        for pause in [0, 1, 5_000] {
            let pause = Duration::from_millis(pause);
            // At first, and after an answer.
            for asked in [false, true] {
                if asked && room == 64 {
                    continue;
                }
                let (mut client, stop, mut served) = stoppable(room);
                if asked {
                    ask(&mut client, &[HEAD]).await;
                    tokio::time::sleep(pause).await;
                }
                client.write_all(before.as_bytes()).await.unwrap();
                tokio::time::sleep(pause).await;
                let began = tokio::time::Instant::now();
                stop.cancel();
                tokio::time::sleep(Duration::from_millis(1)).await;
                client.write_all(after.as_bytes()).await.ok();
                tokio::time::sleep(Duration::from_secs(1)).await;
                let answer = rest(client).await;
                served.join_next().await.unwrap().unwrap();
                let case = format!("{before:?} {after:?} {room} {pause:?} {asked}: {answer}");
                assert!(began.elapsed() < Duration::from_millis(1100), "{case}");
                assert_eq!(answer.ends_with('}'), !before.is_empty(), "{case}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_takes_nothing_of_an_answer_is_not_waited_for() {
    let mut tasks = JoinSet::new();
    for (pause, whole) in [(50, true), (70, false)] {
        let mut client = connect_through(64, &mut tasks);
        client.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        // Whoever takes some of it is waited for again.
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_secs(pause)).await;
            let mut some = [0; 64];
            let count = client.read(&mut some).await.unwrap();
            answer.push_str(std::str::from_utf8(&some[..count]).unwrap());
        }
        answer.push_str(&rest(client).await);
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
        assert_eq!(answer.ends_with('}'), whole, "after pauses of {pause} s: {answer}");
    }
}

/// A stream that takes everything and sends nothing, as TLS may do.
struct Stuck(DuplexStream);

impl AsyncRead for Stuck {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Stuck {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

#[tokio::test(start_paused = true)]
async fn what_does_not_leave_is_not_waited_for() {
    for close in ["", "connection: close\r\n"] {
        let (mut client, server) = duplex(64 * 1024);
        let mut served = JoinSet::new();
        let stop = CancellationToken::new();
        served.spawn(async move { Http::default().serve(Stuck(server), gate(), None, stop).await });
        let request = format!("GET / HTTP/1.1\r\nhost: x\r\n{close}\r\n");
        client.write_all(request.as_bytes()).await.unwrap();
        let ended = tokio::time::timeout(Duration::from_secs(130), served.join_next()).await;
        ended.expect("it ends").unwrap().unwrap();
    }
}
