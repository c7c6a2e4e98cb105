//! Every system call of the audit log fails under the real guard, one at a time.

use std::collections::BTreeSet;
use std::sync::Arc;

use proxy_audit::{Journal, Options};

use crate::support::strace::{self, Call, Strace};
use crate::support::{Guard, Script, Upstream, chat, try_post};

/// Set to make each call fail in each way; otherwise the first and the last of a kind, and the ways take turns.
const ALL: &str = "PORTCULLIS_TEST_INJECT_ALL";
const ERRORS: [&str; 3] = ["EIO", "ENOSPC", "EINTR"];
const REQUESTS: usize = 6;

/// Asks a guard again and again, and stops it. The ids of what was answered with 200.
async fn ask(mut guard: Guard) -> BTreeSet<String> {
    let mut answered = BTreeSet::new();
    for _ in 0..REQUESTS {
        let body = chat("hello", false).to_string();
        if let Some(reply) = try_post(guard.address, &[], body.as_bytes()).await
            && reply.status == 200
        {
            answered.insert(reply.id().to_owned());
        }
    }
    guard.signal("TERM");
    guard.wait();
    answered
}

/// How many requests the model server got.
fn asked(upstream: &Upstream) -> usize {
    upstream.received().windows(5).filter(|window| window == b"POST ").count()
}

/// What must hold of the log that a guard left after it `answered` some requests and sent `forwarded` on.
fn check(dir: &tempfile::TempDir, answered: &BTreeSet<String>, forwarded: usize, place: &str) {
    let log = dir.path().join("audit");
    let journal = Journal::open(&log, &Options::default());
    journal.unwrap_or_else(|error| panic!("{place}: {error}")).0.close().unwrap();
    let report = proxy_audit::verify(&log).unwrap_or_else(|error| panic!("{place}: {error}"));
    assert_eq!((report.ending, report.still_open), (proxy_audit::Ending::Sealed, 0), "{place}");
    assert!(report.opened >= forwarded as u64, "{place}: {forwarded} were forwarded");
    let closed = Guard::closed_in(&log);
    let closed: BTreeSet<String> = closed.iter().map(|closed| closed.id.to_string()).collect();
    assert!(answered.is_subset(&closed), "{place}: answered without a record");
}

/// The calls that a guard makes, found by watching one.
async fn calls(strace: &Strace, upstream: &Upstream) -> Vec<Call> {
    let dir = Arc::new(tempfile::tempdir().unwrap());
    let trace = dir.path().join("trace");
    let command = strace.watching(&trace);
    let guard = Guard::try_below(command, &upstream.url(), Arc::clone(&dir)).unwrap();
    let answered = ask(guard).await;
    assert_eq!(answered.len(), REQUESTS, "without a failure it answers");
    check(&dir, &answered, REQUESTS, "without a failure");
    let calls = strace::calls(&trace, &dir.path().canonicalize().unwrap().join("audit"));
    if std::env::var_os(ALL).is_some() { calls } else { strace::ends(&calls) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_answered_without_a_record_whichever_call_fails() {
    let Some(strace) = Strace::find() else { return };
    let upstream = Upstream::start(Script::say("ok")).await;
    let (mut runs, mut failed, mut stopped) = (0, 0, 0);
    for (index, call) in calls(&strace, &upstream).await.iter().enumerate() {
        let all = std::env::var_os(ALL).is_some();
        for (way, error) in ERRORS.iter().enumerate() {
            if !all && way != index % ERRORS.len() {
                continue;
            }
            let dir = Arc::new(tempfile::tempdir().unwrap());
            let (root, trace) = (dir.path().canonicalize().unwrap(), dir.path().join("trace"));
            let command = strace.failing(&trace, (&root.join("audit"), call, error));
            let before = asked(&upstream);
            // One that does not start answers nobody.
            let answered = match Guard::try_below(command, &upstream.url(), Arc::clone(&dir)) {
                Ok(guard) => ask(guard).await,
                Err(_) => BTreeSet::new(),
            };
            let forwarded = asked(&upstream) - before;
            check(&dir, &answered, forwarded, &format!("{call:?}, {error}"));
            runs += 1;
            failed += usize::from(strace::has_failed(&trace));
            stopped += usize::from(answered.len() < REQUESTS);
        }
    }
    println!("{runs} runs, {failed} failures, {stopped} answered less");
    assert!(runs > 20 && failed * 4 > runs * 3, "{runs} runs, {failed} failures");
    assert!(stopped * 4 > runs, "failures are noticed: {stopped} of {runs}");
}
