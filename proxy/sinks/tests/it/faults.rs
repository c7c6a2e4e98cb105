//! A server that is killed, hangs, is slow and answers junk, while records are written.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use proxy_sinks::Sink;

use crate::log::{SUBJECT, Writer, arrived, caught_up, count, journal, lines, resident_kb, to};
use crate::nats::Server;
use crate::relay::{Line, Relay};

/// `PORTCULLIS_TEST_SINK_SECONDS` makes each fault last longer.
#[test]
fn every_record_arrives_once_and_in_order_whatever_becomes_of_the_server() {
    let Some(mut server) = Server::start("") else { return };
    let seconds = std::env::var("PORTCULLIS_TEST_SINK_SECONDS").map_or(1.5, |s| s.parse().unwrap());
    server.add_stream(SUBJECT);
    let relay = Relay::start(server.address);
    let dir = tempfile::tempdir().unwrap();
    let journal = journal(dir.path());
    let nats = || to(format!("nats://{}", relay.address));
    let sink = Sink::start(dir.path(), Arc::clone(&journal), nats()).unwrap();
    let metrics = Sink::metrics(std::slice::from_ref(&sink));
    let writer = Writer::start(&journal);
    let memory = resident_kb();
    for fault in ["none", "killed", "hung", "slow", "junk"] {
        match fault {
            "killed" => server.kill(),
            "hung" => server.signal("STOP"),
            "slow" => relay.set(Line::Slow),
            "junk" => relay.set(Line::Junk),
            _ => {}
        }
        thread::sleep(Duration::from_secs_f64(seconds));
        let behind = count(&metrics, "guard_sink_behind_records{sink=\"nats\"}");
        relay.set(Line::Good);
        match fault {
            "killed" => server.restart(""),
            "hung" => server.signal("CONT"),
            _ => {}
        }
        let written = journal.stats().last_durable;
        let took = caught_up(&server, written);
        let grown = resident_kb().saturating_sub(memory);
        println!(
            "{fault}: {behind} behind; all of {written} arrived after {took:.2?}; {grown} kB more memory"
        );
        assert!(grown < 100 << 10, "what waits is on the disk, not in memory");
    }
    // It is dropped in the middle of its work, as when the process is killed, and another goes on.
    drop(sink);
    thread::sleep(Duration::from_millis(200));
    let sink = Sink::start(dir.path(), Arc::clone(&journal), nats()).unwrap();
    println!("ten records took {:.2?} to append at most", writer.stop());
    journal.close().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    assert!(runtime.block_on(sink.finish(Duration::from_secs(20))), "the last record is sent too");
    let (written, arrived) = (lines(dir.path()), arrived(&server));
    assert_eq!(arrived.len(), written.len(), "once each, and all of them");
    assert!(arrived == written, "in order, as they stand in the log");
    for result in ["missed", "left_out"] {
        let name = format!("guard_sink_records_total{{sink=\"nats\",result=\"{result}\"}}");
        assert_eq!(count(&metrics, &name), 0);
    }
}
