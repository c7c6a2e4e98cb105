//! A log that grows, and what of it has arrived.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use data_encoding::BASE64;
use jiff::Timestamp;
use proxy_audit::{Acted, Follower, Journal, Options};
use proxy_sinks::{Login, Nats, NatsSettings};
use rustls::{ClientConfig, RootCertStore};
use serde_json::json;

use crate::nats::{Asker, Server};

pub const SUBJECT: &str = "portcullis.audit";
/// Nobody waits longer for everything to arrive.
const PATIENCE: Duration = Duration::from_secs(60);

/// A record: its number, its message id, its line.
pub type Line = (String, String, Vec<u8>);

/// The journal in `dir`, with small segments.
pub fn journal(dir: &Path) -> Arc<Journal> {
    let options = Options { segment_bytes: 200_000, ..Options::default() };
    Arc::new(Journal::open(dir, &options).unwrap().0)
}

/// Appends a record of so many bytes, about.
pub fn write(journal: &Journal, bytes: usize) {
    let (time, said) = (Timestamp::now(), "word ".repeat(bytes / 5));
    let about = (0..1).map(|_| ("said".into(), said.clone().into())).collect();
    drop(journal.append_acted(&Acted { time, by: "somebody".into(), act: "wrote".into(), about }));
}

/// Writes some four hundred records a second until it is stopped.
pub struct Writer {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Duration>,
}

impl Writer {
    pub fn start(journal: &Arc<Journal>) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let (writes, stopped) = (Arc::clone(journal), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            let mut slowest = Duration::ZERO;
            while !stopped.load(Ordering::Relaxed) {
                let began = Instant::now();
                (0..10).for_each(|_| write(&writes, 300));
                slowest = slowest.max(began.elapsed());
                std::thread::sleep(Duration::from_millis(25));
            }
            slowest
        });
        Self { stop, thread }
    }

    /// How long ten records took at most.
    pub fn stop(self) -> Duration {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

/// Of this process's memory, what is in use.
pub fn resident_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

pub fn settings(url: String, login: Login) -> NatsSettings {
    let tls = ClientConfig::builder().with_root_certificates(RootCertStore::empty());
    NatsSettings {
        servers: vec![url],
        subject: SUBJECT.to_owned(),
        login,
        tls: tls.with_no_client_auth(),
        unencrypted: false,
        instance: "g1".to_owned(),
    }
}

pub fn to(url: String) -> Nats {
    Nats::new(settings(url, Login::Nobody)).unwrap()
}

/// Every line of the log, oldest first.
pub fn lines(dir: &Path) -> Vec<Line> {
    let mut follower = Follower::first(dir).unwrap();
    let mut lines = Vec::new();
    while let Some((_, entry)) = follower.next_placed().unwrap() {
        lines.push((entry.seq.to_string(), entry.hash.to_string(), follower.last_line().to_vec()));
    }
    lines
}

/// Every message of the stream, in its order.
pub fn arrived(server: &Server) -> Vec<Line> {
    let mut asker = Asker::come_in(server.address).unwrap();
    let each = (1..=server.messages()).map(|seq| {
        let said = asker.ask("STREAM.MSG.GET.AUDIT", &json!({ "seq": seq })).unwrap();
        let part = |name: &str| {
            let text = said["message"][name].as_str().unwrap_or_default();
            BASE64.decode(text.as_bytes()).unwrap()
        };
        let headers = String::from_utf8(part("hdrs")).unwrap();
        let header = |name: &str| {
            let mut values = headers.lines().filter_map(|line| line.split_once(": "));
            values.find_map(|(key, value)| (key == name).then(|| value.to_owned())).unwrap()
        };
        assert_eq!(
            (&*header("Portcullis-Instance"), &said["message"]["subject"]),
            ("g1", &SUBJECT.into())
        );
        (header("Portcullis-Seq"), header("Nats-Msg-Id"), part("data"))
    });
    each.collect()
}

/// Waits until so many records have arrived; how long that took.
pub fn caught_up(server: &Server, records: u64) -> Duration {
    let started = Instant::now();
    loop {
        let got = server.messages();
        if got >= records {
            return started.elapsed();
        }
        assert!(started.elapsed() < PATIENCE, "{got} of {records} arrived");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A number among the metrics.
pub fn count(metrics: &impl Fn(&mut String), name: &str) -> u64 {
    let mut text = String::new();
    metrics(&mut text);
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_else(|| panic!("{name}: {text}")).trim().parse().unwrap()
}
