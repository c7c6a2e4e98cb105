//! Every exchange has one closed record, and what was acknowledged is never lost.

use std::collections::BTreeSet;
use std::time::Duration;

use proxy_audit::Outcome;
use tokio::io::AsyncWriteExt;
use tokio::task::JoinSet;

use crate::support::{Guard, Script, Upstream, chat, post};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_requests_at_once_are_a_thousand_closed_records() {
    let upstream = Upstream::start(Script::say("ok")).await;
    let guard = Guard::start(&upstream.url());
    let mut requests = JoinSet::new();
    for number in 0..1000 {
        let address = guard.address;
        let text = if number % 4 == 0 { "PORTCULLIS-TEST-S1" } else { "hello" };
        requests.spawn(async move {
            let stream = number % 3 == 0 && number % 4 == 0;
            let reply = post(address, &[], chat(text, stream).to_string().as_bytes()).await;
            (reply.status, reply.id().to_owned())
        });
    }
    let replies = requests.join_all().await;
    assert_eq!(replies.iter().filter(|(status, _)| *status == 200).count(), 750);
    assert_eq!(replies.iter().filter(|(status, _)| *status == 400).count(), 250);
    let told: BTreeSet<String> = replies.into_iter().map(|(_, id)| id).collect();
    let recorded: BTreeSet<String> =
        guard.closed().iter().map(|closed| closed.id.to_string()).collect();
    assert_eq!((told.len(), &told), (1000, &recorded));
    let report = guard.verify();
    assert_eq!((report.opened, report.closed, report.still_open), (1000, 1000, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_loses_nothing_that_was_acknowledged() {
    let upstream = Upstream::start(Script::say("ok")).await;
    let mut guard = Guard::start(&upstream.url());
    let mut acknowledged = BTreeSet::new();
    for round in 0..5 {
        let mut clients = JoinSet::new();
        for _ in 0..16 {
            let address = guard.address;
            clients.spawn(async move {
                let mut ids = Vec::new();
                let body = chat("hello", false).to_string();
                while let Some(reply) =
                    crate::support::try_post(address, &[], body.as_bytes()).await
                {
                    if reply.status != 200 {
                        break;
                    }
                    ids.push(reply.id().to_owned());
                }
                ids
            });
        }
        tokio::time::sleep(Duration::from_millis(60 + 37 * round)).await;
        guard.signal("KILL");
        acknowledged.extend(clients.join_all().await.into_iter().flatten());
        guard = guard.restart(&upstream.url());
    }
    let closed = guard.closed();
    let recorded: BTreeSet<String> = closed.iter().map(|closed| closed.id.to_string()).collect();
    assert!(acknowledged.len() > 50, "{}", acknowledged.len());
    assert_eq!(recorded.len(), closed.len(), "nothing is recorded twice");
    let lost: Vec<_> = acknowledged.difference(&recorded).collect();
    assert!(lost.is_empty(), "{lost:?}");
    let report = guard.verify();
    assert_eq!(report.opened, report.closed + report.abandoned, "{report:?}");
}

#[tokio::test]
async fn a_client_that_leaves_closes_its_record() {
    let upstream = Upstream::start(Script::Stall(Vec::new())).await;
    let guard = Guard::start(&upstream.url());
    for stream in [false, true] {
        if stream {
            let begun =
                Script::response("200 OK\r\ncontent-type: text/event-stream", ": hello\n\n");
            upstream.play(Script::Stall(begun));
        }
        let body = chat("hello", stream).to_string();
        let head = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let mut client = tokio::net::TcpStream::connect(guard.address).await.unwrap();
        client.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(200)).await;
        drop(client);
    }
    let closed = guard.closed_after(2).await;
    let outcomes: Vec<_> = closed.iter().map(|closed| (closed.outcome, closed.stream)).collect();
    assert_eq!(outcomes, [(Outcome::ClientGone, false), (Outcome::ClientGone, true)]);
    assert_eq!(guard.verify().still_open, 0);
}

#[tokio::test]
async fn a_full_disk_stops_everything_and_is_said() {
    let upstream = Upstream::start(Script::say("ok")).await;
    // No file may grow beyond 100 KiB.
    let guard = Guard::limited(&upstream.url(), "trap '' XFSZ; ulimit -f 100");
    let body = chat("hello", false).to_string();
    let mut served = 0;
    let refused = loop {
        let reply = post(guard.address, &[], body.as_bytes()).await;
        if reply.status != 200 {
            break reply;
        }
        served += 1;
        assert!(served < 500, "the limit was not reached");
    };
    assert_eq!((refused.status, refused.code().as_str()), (503, "audit_unavailable"));
    assert!(!refused.body.contains("ok"), "{}", refused.body);
    assert_eq!(refused.headers["x-guard-decision"], "none");
    assert!(refused.headers.contains_key("x-guard-policy") && !refused.id().is_empty());
    let forwarded = upstream.received().len();
    for _ in 0..5 {
        assert_eq!(post(guard.address, &[], body.as_bytes()).await.status, 503);
    }
    assert_eq!(upstream.received().len(), forwarded, "what cannot be recorded is not forwarded");
    let report = guard.verify();
    assert!(report.closed >= served, "{served} answers were delivered, {report:?}");
}

#[tokio::test]
async fn told_to_stop_it_finishes_what_is_under_way_and_seals_the_log() {
    let bytes = Script::response(
        "200 OK\r\ncontent-type: text/event-stream",
        &crate::support::sse(&["slow", "er"]),
    );
    let upstream = Upstream::start(Script::Dribble(bytes, 60, Duration::from_millis(50))).await;
    let mut guard = Guard::start(&upstream.url());
    let address = guard.address;
    let mut client = JoinSet::new();
    client.spawn(async move { post(address, &[], chat("hi", true).to_string().as_bytes()).await });
    tokio::time::sleep(Duration::from_millis(200)).await;
    guard.signal("TERM");
    let reply = client.join_next().await.unwrap().unwrap();
    assert!(reply.body.ends_with("data: [DONE]\n\n"), "{}", reply.body);
    assert_eq!(guard.wait().code(), Some(0));
    assert_eq!(guard.verify().ending, proxy_audit::Ending::Sealed);
}

#[tokio::test]
async fn two_guards_do_not_share_a_log() {
    let upstream = Upstream::start(Script::say("ok")).await;
    let guard = Guard::start(&upstream.url());
    let second = std::process::Command::new(Guard::binary())
        .args(["serve", "--listen", "127.0.0.1:0", "--upstream", &upstream.url(), "--audit-dir"])
        .arg(guard.audit_dir())
        .output()
        .unwrap();
    assert_eq!(second.status.code(), Some(3));
    let said = String::from_utf8_lossy(&second.stderr);
    assert!(said.contains("in use by another process"), "{said}");
}
