//! Any bytes from a client: what reaches the gate is what was vouched for, request by request, and every answer is
//! one; the same, whether the connection rests between them or not.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use http_body_util::BodyExt;
use proxy_http::{Framing, Http};
use proxy_stack::{Arrival, Gate, HttpFault, unrecognised};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio_util::sync::CancellationToken;
use tower::service_fn;
use tower::util::BoxCloneSyncService;

/// Long enough for a connection to rest, and so many times that no head takes too long.
const PAUSE: Duration = Duration::from_millis(150);
const PAUSES: usize = 32;

/// Requests that came whole, the bytes of their bodies, and how many were refused.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    whole: usize,
    bytes: usize,
    broken: usize,
    refused: usize,
}

/// The first byte says how the others are cut.
pub fn check(bytes: &[u8]) {
    let Some((&size, bytes)) = bytes.split_first() else { return };
    // HTTP/2 is the library's own business.
    if bytes.starts_with(b"PRI") {
        return;
    }
    let size = usize::from(size) + 1;
    let (cleared, fault) = vouched(bytes, size);
    assert_eq!(vouched(bytes, 1), (cleared, fault), "however it is cut");

    let seen = run(bytes, size, Duration::ZERO);
    assert_eq!(run(bytes, size, PAUSE), seen, "after a rest");
    assert!(seen.refused <= usize::from(fault.is_some()), "{seen:?} {fault:?}");
    assert!(seen.bytes <= cleared, "{seen:?} of {cleared}");
}

/// How many bytes were vouched for, and what was wrong with the rest.
fn vouched(bytes: &[u8], size: usize) -> (usize, Option<HttpFault>) {
    let (mut framing, mut from) = (Framing::default(), 0);
    for to in (0..bytes.len()).step_by(size).skip(1).chain([bytes.len()]) {
        loop {
            match framing.clear(&bytes[from..to]) {
                Ok(0) => break,
                Ok(count) => from += count,
                Err(fault) => return (from, Some(fault)),
            }
        }
    }
    (from, None)
}

fn run(bytes: &[u8], size: usize, pause: Duration) -> Seen {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().start_paused(true).build().unwrap().block_on(serve(bytes, size, pause))
}

async fn serve(bytes: &[u8], size: usize, pause: Duration) -> Seen {
    let seen = Arc::new(Mutex::new(Seen::default()));
    let gate = gate(&seen);
    let (mut client, server) = duplex(1 << 20);
    let served =
        async move { Http::default().serve(server, gate, None, CancellationToken::new()).await };
    let asked = async move {
        for (number, piece) in bytes.chunks(size).enumerate() {
            if client.write_all(piece).await.is_err() {
                break;
            }
            if number < PAUSES {
                tokio::time::sleep(pause).await;
            }
        }
        // Who leaves is not answered.
        tokio::time::sleep(PAUSE).await;
        let _gone = client.shutdown().await;
        let mut answers = Vec::new();
        let _broken = client.read_to_end(&mut answers).await;
        answers
    };
    let ((), answers) = tokio::join!(served, asked);
    let starts = answers.windows(9).filter(|window| window == b"HTTP/1.1 ").count();
    let seen = std::mem::take(&mut *seen.lock().unwrap());
    assert!(
        starts <= 2 * (seen.whole + seen.broken + seen.refused) + 1,
        "{starts} answers: {seen:?}"
    );
    seen
}

/// A gate that reads every body and answers with an error, after which others may ask.
fn gate(seen: &Arc<Mutex<Seen>>) -> Gate {
    let seen = Arc::clone(seen);
    BoxCloneSyncService::new(service_fn(move |arrival: Arrival| {
        let seen = Arc::clone(&seen);
        async move {
            let body = arrival.request.into_body().collect().await;
            let mut seen = seen.lock().unwrap();
            match (arrival.fault, body) {
                (Some(_), _) => seen.refused += 1,
                (None, Ok(body)) => {
                    seen.whole += 1;
                    seen.bytes += body.to_bytes().len();
                }
                (None, Err(_)) => seen.broken += 1,
            }
            let mut answer = unrecognised(HttpFault::Malformed("a test"));
            answer.headers_mut().remove("connection");
            Ok(answer)
        }
    }))
}
