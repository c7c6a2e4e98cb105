//! An object store that is killed and has lost everything, hangs, is slow, answers junk, half or that it is busy, while
//! records are written.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use proxy_audit::files;
use proxy_sinks::{Bucket, BucketSettings, Secret, Sink};
use rustls::{ClientConfig, RootCertStore};

use crate::log::{Writer, count, journal, resident_kb};
use crate::relay::{Line, Relay};
use crate::s3::{BUCKET, KEY, Server};

/// Nobody waits longer for everything to arrive.
const PATIENCE: Duration = Duration::from_secs(120);

/// A folder of the bucket behind this address; `dir` gets the files of the login.
pub fn bucket(address: SocketAddr, folder: &str, dir: &Path) -> Bucket {
    let secret = |name: &str, text: &str| {
        let file = dir.join(name);
        std::fs::write(&file, format!("{text}\n")).unwrap();
        Secret::File(file)
    };
    let tls = ClientConfig::builder().with_root_certificates(RootCertStore::empty());
    Bucket::new(BucketSettings {
        url: format!("s3://{BUCKET}/{folder}"),
        endpoint: Some(format!("http://{address}")),
        region: None,
        login: Some((secret("id", KEY.0), secret("secret", KEY.1))),
        tls: tls.with_no_client_auth(),
        unencrypted: false,
        tail_every: Duration::from_millis(300),
    })
    .unwrap()
}

/// The name of the log's folder.
pub fn folder(dir: &Path) -> String {
    let text = std::fs::read_to_string(dir.join(files::PUBLIC_KEY)).unwrap();
    text.trim().trim_start_matches("ed25519:").to_owned()
}

/// The segments of the log to which nothing is added any more, by the keys that they have in the bucket's folder.
pub fn whole(dir: &Path, prefix: &str) -> BTreeMap<String, u64> {
    let (mut segments, log) = (files::segments(dir).unwrap(), folder(dir));
    segments.pop();
    let keys = segments.into_iter();
    keys.map(|one| (format!("{prefix}/{log}/{}", files::name(one.first)), one.bytes)).collect()
}

/// The files of a folder that make up a log.
pub fn log(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let segments = files::segments(dir).unwrap().into_iter();
    segments.map(|one| (files::name(one.first), std::fs::read(one.path).unwrap())).collect()
}

pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// `PORTCULLIS_TEST_SINK_SECONDS` makes each fault last longer.
#[test]
fn every_segment_is_there_once_and_whole_whatever_becomes_of_the_store() {
    let Some(mut server) = Server::start() else { return };
    let seconds = std::env::var("PORTCULLIS_TEST_SINK_SECONDS").map_or(1.0, |s| s.parse().unwrap());
    let relay = Relay::start(server.address);
    let (dir, own) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let to = || bucket(relay.address, "logs", own.path());
    let journal = journal(dir.path());
    let sink = Sink::start(dir.path(), Arc::clone(&journal), to()).unwrap();
    let metrics = Sink::metrics(std::slice::from_ref(&sink));
    let behind = || count(&metrics, "guard_sink_behind_records{sink=\"object_store\"}");
    let writer = Writer::start(&journal);
    let memory = resident_kb();
    for fault in ["none", "killed", "hung", "slow", "junk", "cut", "busy"] {
        match fault {
            "killed" => server.kill(),
            "hung" => server.signal("STOP"),
            "slow" => relay.set(Line::Slow),
            "junk" => relay.set(Line::Junk),
            "cut" => relay.set(Line::Cut),
            "busy" => relay.set(Line::Busy),
            _ => {}
        }
        thread::sleep(Duration::from_secs_f64(seconds));
        let left = behind();
        relay.set(Line::Good);
        match fault {
            "killed" => server.restart(),
            "hung" => server.signal("CONT"),
            _ => {}
        }
        let (began, written) = (Instant::now(), journal.stats().last_durable);
        let wanted = whole(dir.path(), "logs");
        let arrived = || {
            let (last, there) = (journal.stats().last_durable, server.objects());
            last - behind().min(last) >= written
                && wanted.iter().all(|(key, bytes)| there.get(key) == Some(bytes))
        };
        while !arrived() {
            assert!(began.elapsed() < PATIENCE, "{fault}: {} behind", behind());
            thread::sleep(Duration::from_millis(50));
        }
        let grown = resident_kb().saturating_sub(memory);
        println!(
            "{fault}: {left} behind; all of {written} were there after {:.2?}; {grown} kB more memory",
            began.elapsed()
        );
        assert!(grown < 100 << 10, "what waits is on the disk, not in memory");
    }
    // It is dropped in the middle of its work, as when the process is killed, and another goes on.
    drop(sink);
    thread::sleep(Duration::from_millis(200));
    let sink = Sink::start(dir.path(), Arc::clone(&journal), to()).unwrap();
    println!("ten records took {:.2?} to append at most", writer.stop());
    journal.close().unwrap();
    assert!(block_on(sink.finish(Duration::from_secs(60))), "the last record is sent too");
    let copy = tempfile::tempdir().unwrap();
    let fetched = block_on(to().fetch(None, copy.path(), &mut |_, _| {})).unwrap();
    assert_eq!(fetched.log, folder(dir.path()));
    assert!(log(copy.path()) == log(dir.path()), "all of them, as they stand");
    let (own, fetched) =
        (proxy_audit::verify(dir.path()).unwrap(), proxy_audit::verify(copy.path()).unwrap());
    assert_eq!(own, fetched);
    println!("{} records in {} segments", own.records, own.segments);
    // Nothing else is there: each segment once, and of what is not whole the parts.
    let (log, last) = (folder(dir.path()), own.segments as usize);
    let objects = server.objects();
    let whole = whole(dir.path(), "logs");
    assert_eq!(whole.len(), last - 1);
    let others = objects.keys().filter(|key| !whole.contains_key(*key));
    let last = files::segments(dir.path()).unwrap().pop().unwrap();
    let parts = format!("logs/{log}/tail/{:020}/", last.first);
    for other in others {
        let is_known = *other == format!("logs/{log}/journal.pub") || other.starts_with(&parts);
        assert!(is_known, "{other}");
    }
    assert_eq!(
        count(&metrics, "guard_sink_records_total{sink=\"object_store\",result=\"missed\"}"),
        0
    );
}
