//! Records that are gone before they are sent, or too long for the server.

use std::sync::Arc;
use std::time::Duration;

use proxy_audit::{Follower, remove_before};
use proxy_sinks::{Sink, unsent};

use crate::log::{SUBJECT, arrived, count, journal, lines, to, write};
use crate::nats::Server;

#[test]
fn what_is_gone_is_counted_and_what_is_too_long_leaves_its_place() {
    let Some(server) = Server::start("max_payload: 2048\n") else { return };
    server.add_stream(SUBJECT);
    let dir = tempfile::tempdir().unwrap();
    let log = journal(dir.path());
    (0..1000).for_each(|_| write(&log, 300));
    log.close().unwrap();
    // Up to the tenth record.
    let mut follower = Follower::first(dir.path()).unwrap();
    let (place, tenth) = (0..10).map(|_| follower.next_placed().unwrap().unwrap()).last().unwrap();
    let file = dir.path().join("sink-nats.position");
    let text = format!("{} {} {} {}\n", place.segment, place.offset, tenth.seq, tenth.hash);
    std::fs::write(&file, text).unwrap();
    let behind = unsent(dir.path()).unwrap().unwrap();
    assert_eq!((behind.first, behind.file), (11, file.clone()));
    remove_before(dir.path(), 800, "a test").unwrap().unwrap();

    let log = journal(dir.path());
    write(&log, 4000);
    log.close().unwrap();
    let sink = Sink::start(dir.path(), Arc::clone(&log), to(format!("nats://{}", server.address)))
        .unwrap();
    let metrics = Sink::metrics(std::slice::from_ref(&sink));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    assert!(runtime.block_on(sink.finish(Duration::from_secs(20))));
    let (written, arrived) = (lines(dir.path()), arrived(&server));
    let first: u64 = written[0].0.parse().unwrap();
    assert!(first > 11);
    assert_eq!(
        count(&metrics, "guard_sink_records_total{sink=\"nats\",result=\"missed\"}"),
        first - 11
    );
    assert_eq!(count(&metrics, "guard_sink_records_total{sink=\"nats\",result=\"left_out\"}"), 1);
    assert_eq!(arrived.len(), written.len());
    let unlike: Vec<_> = arrived.iter().zip(&written).filter(|(sent, line)| sent != line).collect();
    let [(sent, line)] = unlike[..] else { panic!("{} differ", unlike.len()) };
    assert_eq!((&sent.0, &sent.1, sent.2.len()), (&line.0, &line.1, 0));
    assert!(line.2.len() > 4000);
    let last = unsent(dir.path()).unwrap().unwrap();
    assert_eq!(last.first, written.len() as u64 + first, "it is remembered that all was sent");

    // The position is of another log: all of this one is sent.
    let other = tempfile::tempdir().unwrap();
    let log = journal(other.path());
    log.close().unwrap();
    std::fs::copy(&file, other.path().join("sink-nats.position")).unwrap();
    let sink =
        Sink::start(other.path(), Arc::clone(&log), to(format!("nats://{}", server.address)))
            .unwrap();
    assert!(runtime.block_on(sink.finish(Duration::from_secs(20))));
    assert_eq!(server.messages() as usize, written.len() + lines(other.path()).len());
}
