//! Clients that take their time, on a clock that is turned by hand.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that panics has found something"
)]

use std::time::Duration;

use proxy_http::Http;
use proxy_stack::{Arrival, Gate, HttpFault, unrecognised};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::task::JoinSet;
use tower::service_fn;
use tower::util::BoxCloneSyncService;

/// A gate that answers with the fault it is given.
fn gate() -> Gate {
    BoxCloneSyncService::new(service_fn(|arrival: Arrival| async move {
        Ok(unrecognised(arrival.fault.unwrap_or(HttpFault::Malformed("nothing is wrong"))))
    }))
}

fn connect(tasks: &mut JoinSet<()>) -> DuplexStream {
    connect_through(64 * 1024, tasks)
}

/// A connection of which `room` bytes may be under way each way.
fn connect_through(room: usize, tasks: &mut JoinSet<()>) -> DuplexStream {
    let (client, server) = duplex(room);
    tasks.spawn(async move { Http::default().serve(server, gate(), None, None).await });
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
    assert!(started.elapsed() <= Duration::from_secs(60), "{:?}", started.elapsed());
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
