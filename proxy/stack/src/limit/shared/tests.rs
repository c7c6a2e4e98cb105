//! The server's count beside this guard's own, on a real server.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use policies::{BlockedBudget, Limits, Quota};
use proptest::collection::vec;
use proptest::prelude::*;
use redis::RedisConnectionInfo;
use redis::aio::MultiplexedConnection;
use tokio::net::UnixStream;
use tokio::task::JoinSet;

use super::link::{Connection, Link};
use super::script;
use crate::arrival::Caller;
use crate::limit::account::{Kind, Report};
use crate::limit::window::Window;

/// A `redis-server` or `valkey-server` without memory, on a socket in a folder of its own.
struct Server {
    child: Child,
    dir: tempfile::TempDir,
}

impl Server {
    /// Nothing where there is no such program, unless it is required.
    fn start() -> Option<Self> {
        let paths = std::env::var_os("PATH").unwrap_or_default();
        let found = |name| std::env::split_paths(&paths).map(move |path| path.join(name));
        let mut programs = found("redis-server").chain(found("valkey-server"));
        let Some(program) = programs.find(|path| path.is_file()) else {
            let required = std::env::var_os("PORTCULLIS_REQUIRE_REDIS").is_some();
            assert!(!required, "there is no redis-server or valkey-server");
            println!("SKIPPED: there is no redis-server or valkey-server");
            return None;
        };
        let dir = tempfile::tempdir().unwrap();
        let child = Command::new(program)
            .args(["--port", "0", "--save", "", "--unixsocket"])
            .arg(dir.path().join("socket"))
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Some(Self { child, dir })
    }

    async fn connect(&self, driver: &mut JoinSet<()>) -> Connection {
        let socket: PathBuf = self.dir.path().join("socket");
        let stream = loop {
            match UnixStream::connect(&socket).await {
                Ok(stream) => break stream,
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        };
        let who: &'static RedisConnectionInfo = Box::leak(Box::default());
        let (connection, run) = MultiplexedConnection::new(who, stream).await.unwrap();
        driver.spawn(run);
        Arc::new(connection)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn quota(count: u32, seconds: u64) -> Quota {
    Quota { count: count.try_into().unwrap(), per: Duration::from_secs(seconds) }
}

/// What happens after so many milliseconds.
#[derive(Clone, Copy, Debug)]
enum Step {
    Ask,
    Tokens(u64),
}

fn steps() -> impl Strategy<Value = Vec<(u64, Step)>> {
    let step = prop_oneof![4 => Just(Step::Ask), 1 => (1_u64..400).prop_map(Step::Tokens)];
    // Within a slot, within a period, and beyond it.
    let pause = prop_oneof![6 => 0_u64..60, 2 => 0_u64..900, 1 => 0_u64..9_000];
    vec((pause, step), 1..120)
}

/// The limits of this test, and windows that count the same.
struct Model {
    limits: Limits,
    requests: Window,
    tokens: Window,
}

impl Model {
    fn ask(&mut self, now: Duration) -> (&'static str, Duration) {
        for (word, kind) in [("tokens", Kind::Tokens), ("requests", Kind::Requests)] {
            let window = if kind == Kind::Tokens { &mut self.tokens } else { &mut self.requests };
            let quota = kind.quota(&self.limits).unwrap();
            if window.used(&quota, now) >= u64::from(quota.count.get()) {
                return (word, window.wait(&quota, now));
            }
        }
        self.requests.add(&Kind::Requests.quota(&self.limits).unwrap(), now, 1);
        ("ok", Duration::ZERO)
    }
}

type Answer = (String, u64, u64);

#[test]
fn the_server_counts_as_a_guard_alone_does() {
    let Some(server) = Server::start() else { return };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut driver = JoinSet::new();
    let connection = runtime.block_on(async { server.connect(&mut driver).await });
    let link = Link::new(Duration::from_secs(5));
    let limits =
        Limits { requests: Some(quota(7, 3)), tokens: Some(quota(1_000, 6)), blocked: None };
    let number = AtomicU64::new(0);
    proptest!(ProptestConfig::with_cases(64), |(steps in steps())| {
        let caller = format!("key-{}", number.fetch_add(1, Ordering::Relaxed));
        let key = script::key("test", &limits, &Caller::Key(caller.into()));
        let call = |report: &Report, asks, now: Duration| -> Answer {
            let now = u64::try_from(now.as_micros()).unwrap();
            let call = script::account(&key, &limits, (report, asks), now);
            runtime.block_on(link.invoke(&call, &connection)).unwrap()
        };
        let mut now = Duration::from_secs(10_000);
        let mut model = Model { limits, requests: Window::new(), tokens: Window::new() };
        let nothing = Report { common: 0, owed: Vec::new() };
        let (word, common, _) = call(&nothing, true, now);
        prop_assert_eq!(word, "stranger");
        for (pause, step) in steps {
            now += Duration::from_millis(pause);
            let (asks, owed) = match step {
                Step::Ask => (true, Vec::new()),
                Step::Tokens(count) => {
                    model.tokens.add(&limits.tokens.unwrap(), now, count);
                    (false, vec![(Kind::Tokens, 0, count)])
                }
            };
            let expected = if asks { model.ask(now) } else { ("ok", Duration::ZERO) };
            let (word, _, wait) = call(&Report { common, owed }, asks, now);
            prop_assert_eq!((&*word, Duration::from_micros(wait)), expected);
        }
    });
}

#[test]
fn blocks_of_all_guards_pause_and_a_server_that_forgot_is_a_stranger() {
    let Some(server) = Server::start() else { return };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut driver = JoinSet::new();
    let connection = runtime.block_on(async { server.connect(&mut driver).await });
    let link = Link::new(Duration::from_secs(5));
    let budget = BlockedBudget { allow: quota(2, 60), pause: Duration::from_secs(300) };
    let limits = Limits { requests: None, tokens: None, blocked: Some(budget) };
    let address = Caller::Address(Some("192.0.2.7".parse().unwrap()));
    let key = script::key("test", &limits, &address);
    assert!(key.starts_with("test:-:-:2/60s:300s:address-") && !key.contains("192"), "{key}");
    let call = |common, blocks, now| -> Answer {
        let report = Report { common, owed: vec![(Kind::Blocked, 0, blocks)] };
        let call = script::account(&key, &limits, (&report, true), now);
        runtime.block_on(link.invoke(&call, &connection)).unwrap()
    };
    let second = 1_000_000;
    let (_, common, _) = call(0, 0, 1_000 * second);
    assert_eq!(call(common, 2, 1_000 * second).0, "ok");
    let paused = call(common, 1, 1_001 * second);
    assert_eq!((&*paused.0, paused.2), ("paused", 300 * second));
    assert_eq!(call(common, 0, 1_300 * second).0, "paused");
    assert_eq!(call(common, 0, 1_301 * second).0, "ok");
    runtime.block_on(async {
        let mut connection = MultiplexedConnection::clone(&connection);
        redis::cmd("FLUSHALL").query_async::<()>(&mut connection).await.unwrap();
    });
    let (word, other, _) = call(common, 2, 1_302 * second);
    assert_eq!(word, "stranger");
    assert_ne!(other, common);
    // A clock that is set back by more than a period does not lock anybody out.
    assert_eq!(call(other, 2, 1_302 * second).0, "ok");
    assert_eq!(call(other, 1, 900 * second).0, "ok");
}
