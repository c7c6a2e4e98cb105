//! `forward: race`: the model server is asked while the request is judged; nothing comes back before the verdict, and the
//! call ends where that blocks.

use std::sync::Arc;
use std::time::{Duration, Instant};

use classifiers_core::{
    Assessment, BoxClassify, Category, ClassifierId, Direction, Finding, Passage,
};
use policies::Policy;
use proxy_audit::Outcome;
use proxy_stack::{Check, Panel};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::classifiers::Bench;
use crate::support::{POLICY, Script, sse};

/// Nothing of a request is redacted, for it has gone.
fn policy() -> String {
    let redacted = "secrets: { input: redact, output: redact, tools: redact }";
    POLICY.replace(redacted, "secrets: { input: block, output: redact, tools: block }")
        + "forward: race\n"
}

/// Judges requests when it is told to: then `bad` is hate.
fn judge(told: &Arc<Semaphore>) -> Panel {
    let (told, id) = (Arc::clone(told), ClassifierId::new("slow", "1"));
    let classifier = id.clone();
    let service = BoxClassify::new(tower::service_fn(move |passage: Passage| {
        let (told, classifier) = (Arc::clone(&told), classifier.clone());
        async move {
            if passage.origin.direction == Direction::Input {
                told.acquire().await.unwrap().forget();
            }
            let score = if passage.text.contains("bad") { 1.0 } else { 0.0 };
            Ok(Assessment::new(classifier, vec![Finding::whole(Category::Hate, score)]))
        }
    }));
    Panel::new([Check::new(id, service)])
}

struct Race {
    bench: Arc<Bench>,
    told: Arc<Semaphore>,
    reply: JoinSet<(u16, String)>,
}

impl Race {
    /// Asks, and returns when the model server has the request; no verdict has been given then.
    async fn start(script: Script, text: &'static str, stream: bool) -> Self {
        let told = Arc::new(Semaphore::new(0));
        let policy = policy().replace("timeout: 300ms", "timeout: 20s");
        let bench = Arc::new(Bench::new(&policy, Some(judge(&told))).await);
        bench.upstream.play(script);
        let asked = Arc::clone(&bench);
        let mut reply = JoinSet::new();
        reply.spawn(async move { asked.ask(text, stream).await });
        while !String::from_utf8(bench.upstream.received()).unwrap().contains(text) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(bench.opened(), 1, "the record is opened before the model server is called");
        Self { bench, told, reply }
    }

    /// Gives the verdict: for the model's name and for the text.
    async fn verdict(mut self) -> (u16, String, Arc<Bench>) {
        assert!(self.reply.try_join_next().is_none(), "something left before the verdict");
        self.told.add_permits(1000);
        let (status, body) = self.reply.join_next().await.unwrap().unwrap();
        (status, body, self.bench)
    }
}

#[tokio::test]
async fn the_model_server_is_left_within_100_ms_of_a_block() {
    let head = "200 OK\r\ncontent-type: text/event-stream";
    let begun = Script::response(head, sse(&["what ", "it says"]).split_at(400).0);
    for (begun, stream) in [(Vec::new(), false), (begun, true)] {
        // The best of some: other tests run at the same time.
        let mut best = Duration::MAX;
        for _ in 0..5 {
            let race = Race::start(Script::Stall(begun.clone()), "bad words", stream).await;
            let told = Instant::now();
            let (status, body, bench) = race.verdict().await;
            assert!(status == 400 && body.contains("content_filter"), "{body}");
            assert!(!body.contains("it says"), "{body}");
            best = best.min(bench.upstream.left().await.saturating_duration_since(told));
            let closed = bench.last();
            assert_eq!(closed.outcome, Outcome::Blocked);
            assert!(closed.unchecked[0].why.starts_with("race"), "{:?}", closed.unchecked);
        }
        assert!(best < Duration::from_millis(100), "the model server was left after {best:?}");
    }
}

#[tokio::test]
async fn an_answer_that_is_there_already_waits_for_the_verdict() {
    for (text, status) in [("good words", 200), ("bad words", 400)] {
        for stream in [false, true] {
            let script = if stream {
                Script::stream(&["what it says"])
            } else {
                Script::say("what it says")
            };
            let race = Race::start(script, text, stream).await;
            // Time for the answer to arrive, were it let in.
            tokio::time::sleep(Duration::from_millis(50)).await;
            let (got, body, bench) = race.verdict().await;
            assert_eq!((got, body.contains("what it says")), (status, status == 200), "{body}");
            let closed = bench.last();
            assert!(closed.unchecked[0].why.starts_with("race"), "{:?}", closed.unchecked);
            assert!(closed.input.is_some());
        }
    }
}

#[tokio::test]
async fn the_model_servers_error_waits_too() {
    let error = r#"{"error":{"message":"no such model"}}"#;
    for (text, expected) in [("good words", "no such model"), ("bad words", "content_filter")] {
        let race = Race::start(Script::status("404 Not Found", error), text, false).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        let (_, body, _) = race.verdict().await;
        assert!(body.contains(expected), "{body}");
    }
}

#[test]
fn a_request_that_has_gone_cannot_be_redacted() {
    let policy = format!("{POLICY}forward: race\n");
    let refused = Policy::parse(&policy, "policy.yaml").unwrap_err().to_string();
    assert!(refused.contains("cannot redact secrets at input"), "{refused}");
}
