//! A classifier that fails has given no verdict, and no verdict is not "allow". The stack alone, with scripted
//! classifiers.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use classifiers_batching::InProcess;
use classifiers_core::{
    Backend, BoxClassify, Category, ClassifierId, ClassifyError, Finding, Passage,
};
use http::Request;
use http_body_util::{BodyExt, Full};
use policies::Policy;
use proxy_audit::{CheckStatus, Closed, Journal, Options, Outcome, Record};
use proxy_stack::{
    ActivePolicy, Arrival, Check, Gate, KeyNames, Limits, Panel, Parts, Target, stack,
};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::support::{POLICY, Script, Upstream, chat, get_events, policy_with};

/// Does what the text it sees says, if it names one of these.
struct Obedient(ClassifierId);

impl Backend for Obedient {
    fn id(&self) -> &ClassifierId {
        &self.0
    }

    fn covers(&self) -> &[Category] {
        &[Category::Hate]
    }

    fn assess(&self, batch: &[Passage]) -> Result<Vec<Vec<Finding>>, ClassifyError> {
        let text = &batch[0].text;
        let score = |score| Ok(vec![vec![Finding::whole(Category::Hate, score)]]);
        match text.split(' ').find(|word| word.starts_with("do-")) {
            Some("do-fail") => Err(ClassifyError::Failed("as told".to_owned())),
            Some("do-shed") => Err(ClassifyError::Overloaded),
            Some("do-panic") => panic!("as told"),
            Some("do-nan") => score(f32::NAN),
            Some("do-two") => score(2.0),
            Some("do-infinity") => score(f32::INFINITY),
            Some("do-nothing") => Ok(Vec::new()),
            _ => score(0.0),
        }
    }
}

/// Never answers when told so.
fn hanging() -> BoxClassify {
    BoxClassify::new(tower::service_fn(|passage: Passage| async move {
        if passage.text.contains("do-hang") {
            std::future::pending::<()>().await;
        }
        if passage.text.contains("do-crash") {
            panic!("the service itself, as told");
        }
        Ok(classifiers_core::Assessment::new(ClassifierId::new("hanging", "1"), Vec::new()))
    }))
}

/// The stack alone before a scripted model server.
pub struct Bench {
    gate: Gate,
    pub upstream: Upstream,
    dir: tempfile::TempDir,
    journal: Arc<Journal>,
}

impl Bench {
    pub async fn new(policy: &str, panel: Option<Panel>) -> Self {
        let upstream = Upstream::start(Script::say("fine")).await;
        let dir = tempfile::tempdir().unwrap();
        let journal = Arc::new(Journal::open(dir.path(), &Options::default()).unwrap().0);
        let obedient = ClassifierId::new("obedient", "1");
        let panel = panel.unwrap_or_else(|| {
            Panel::new([
                Check::new(
                    obedient.clone(),
                    BoxClassify::new(InProcess::new(Obedient(obedient.clone()))),
                ),
                Check::new(ClassifierId::new("hanging", "1"), hanging()),
            ])
        });
        let limits = Limits { keep_alive: Duration::from_millis(20), ..Limits::default() };
        let target = Target::parse(&upstream.url(), None).unwrap();
        let gate = stack(Parts {
            journal: Arc::clone(&journal),
            instance: "test".into(),
            policies: Arc::new(ActivePolicy::new(
                Policy::parse(policy, "test").unwrap().0,
                Vec::new(),
            )),
            keys: KeyNames::default(),
            panel,
            metrics: Arc::default(),
            tracing: proxy_stack::Tracing::default(),
            cut_off: proxy_stack::CutOff::default(),
            issuers: None,
            limits,
            shared_limits: None,
            upstream: proxy_stack::Upstream::new(target, &limits).unwrap(),
        });
        Self { gate, upstream, dir, journal }
    }

    pub async fn ask(&self, text: &str, stream: bool) -> (u16, String) {
        self.post(&chat(text, stream)).await
    }

    pub async fn post(&self, body: &Value) -> (u16, String) {
        self.ask_at("/v1/chat/completions", body).await
    }

    async fn ask_at(&self, path: &str, body: &Value) -> (u16, String) {
        let body = Full::new(Bytes::from(body.to_string()));
        let request = Request::post(path)
            .header("host", "guard")
            .header("content-type", "application/json")
            .body(body.map_err(|never: Infallible| match never {}).boxed_unsync())
            .unwrap();
        let arrival = Arrival { request, remote: None, fault: None };
        let Ok(response) = self.gate.clone().oneshot(arrival).await;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    /// How many records were opened.
    pub fn opened(&self) -> usize {
        let entries = proxy_audit::tail(self.dir.path(), 10).unwrap();
        entries.iter().filter(|entry| matches!(entry.record, Record::Opened(_))).count()
    }

    pub fn last(&self) -> Closed {
        let entries = proxy_audit::tail(self.dir.path(), 10).unwrap();
        let closed = entries.into_iter().rev().find_map(|entry| match entry.record {
            Record::Closed(closed) => Some(*closed),
            _ => None,
        });
        closed.unwrap()
    }
}

const FAULTS: [(&str, CheckStatus); 8] = [
    ("do-fail", CheckStatus::Failed),
    ("do-shed", CheckStatus::Overloaded),
    ("do-panic", CheckStatus::Failed),
    ("do-nan", CheckStatus::Failed),
    ("do-two", CheckStatus::Failed),
    ("do-infinity", CheckStatus::Failed),
    ("do-nothing", CheckStatus::Failed),
    ("do-hang", CheckStatus::Timeout),
];

fn code(body: &str) -> String {
    let body: Value = serde_json::from_str(body).unwrap_or_else(|_| panic!("{body}"));
    body["error"]["code"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn no_fault_of_a_classifier_lets_a_request_through() {
    let bench = Bench::new(POLICY, None).await;
    for (word, status) in FAULTS {
        let started = Instant::now();
        let (http, body) = bench.ask(&format!("please {word} now"), false).await;
        assert_eq!((http, code(&body).as_str()), (503, "guard_unavailable"), "{word}");
        assert!(started.elapsed() < Duration::from_secs(2), "{word}: the deadline of 300 ms holds");
        let record = bench.last();
        assert_eq!(record.outcome, Outcome::GuardUnavailable, "{word}");
        let statuses: Vec<_> =
            record.input.unwrap().checks.iter().map(|check| check.status).collect();
        assert!(statuses.contains(&status), "{word}: {statuses:?}");
    }
    assert_eq!(bench.upstream.received(), b"", "nothing was forwarded");
}

#[tokio::test]
async fn no_fault_of_a_classifier_is_a_clean_bill() {
    let messages = |text: &str| json!([{ "role": "user", "content": text }]);
    let opened = policy_with(
        "on_failure: { input: block, output: block, tools: block, timeout: 300ms }",
        "on_failure: { input: allow, output: allow, tools: allow, timeout: 300ms }",
    );
    for policy in [POLICY, &opened] {
        let bench = Bench::new(policy, None).await;
        for (word, _) in FAULTS {
            let text = format!("please {word} now");
            let told = [
                ("/v1/moderations", json!({ "input": ["hello", text] })),
                ("/api/v1/text/contents", json!({ "contents": [text] })),
                (
                    "/v1/safety/run-shield",
                    json!({ "shield_id": "portcullis", "messages": messages(&text) }),
                ),
            ];
            for (path, body) in told {
                let (http, body) = bench.ask_at(path, &body).await;
                assert_eq!(
                    (http, code(&body).as_str()),
                    (503, "guard_unavailable"),
                    "{path} {word}"
                );
                assert_eq!(bench.last().outcome, Outcome::GuardUnavailable, "{path} {word}");
            }
            // Who does what we say hears what the policy says.
            let (http, body) =
                bench.ask_at("/v1/checks", &json!({ "messages": messages(&text) })).await;
            let status = if policy == POLICY { "blocked" } else { "passed" };
            assert_eq!((http, body.contains(status)), (200, true), "{word}: {body}");
        }
    }
}

#[tokio::test]
async fn no_fault_of_a_classifier_lets_an_answer_through() {
    let bench = Bench::new(POLICY, None).await;
    for (word, _) in FAULTS {
        let bad = format!("secret {word} now");
        bench.upstream.play(Script::say(&bad));
        let (status, body) = bench.ask("hello", false).await;
        assert_eq!((status, code(&body).as_str()), (503, "guard_unavailable"), "{word}");
        bench.upstream.play(Script::stream(&["secret ", word, " now"]));
        let (_, body) = bench.ask("hello", true).await;
        let events = get_events(&body);
        assert_eq!((events.len(), code(&events[0]).as_str()), (1, "guard_unavailable"), "{word}");
        assert!(!body.contains("secret"), "{word}: {body}");
        assert_eq!(bench.last().outcome, Outcome::GuardUnavailable, "{word}");
    }
}

#[tokio::test]
async fn a_panic_in_a_layer_is_a_500_and_a_closed_record() {
    let bench = Bench::new(POLICY, None).await;
    let (status, body) = bench.ask("please do-crash", false).await;
    assert_eq!((status, code(&body).as_str()), (500, "internal_error"));
    bench.journal.close().unwrap();
    let record = bench.last();
    assert_eq!((record.outcome, record.reason.as_deref()), (Outcome::Failed, Some("panic")));
    assert_eq!(bench.upstream.received(), b"");
}

#[tokio::test]
async fn opening_up_is_a_choice_that_the_record_shows() {
    let line = "on_failure: { input: block, output: block, tools: block, timeout: 300ms }";
    let policy =
        policy_with(line, "on_failure: { input: flag, output: flag, tools: flag, timeout: 300ms }");
    let bench = Bench::new(&policy, None).await;
    let (status, body) = bench.ask("please do-fail", false).await;
    assert_eq!((status, body.contains("fine")), (200, true));
    let record = bench.last();
    assert_eq!(
        (record.outcome, record.input.unwrap().because),
        (Outcome::Flagged, vec!["on_failure".into()])
    );
}

#[tokio::test]
async fn nobody_to_ask_is_no_verdict() {
    let bench = Bench::new(POLICY, Some(Panel::new([]))).await;
    let (status, body) = bench.ask("hello", false).await;
    assert_eq!((status, code(&body).as_str()), (503, "guard_unavailable"));
    assert_eq!(bench.upstream.received(), b"");
}

#[tokio::test]
async fn a_journal_that_takes_nothing_lets_nothing_through() {
    let bench = Bench::new(POLICY, None).await;
    bench.journal.close().unwrap();
    for stream in [false, true] {
        let (status, body) = bench.ask("hello", stream).await;
        assert_eq!((status, code(&body).as_str()), (503, "audit_unavailable"));
    }
    assert_eq!(bench.upstream.received(), b"", "what cannot be recorded is not forwarded");
}

#[tokio::test]
async fn a_waiting_client_hears_comments_and_nothing_else() {
    let bench = Bench::new(POLICY, None).await;
    let events = Script::response(
        "200 OK\r\ncontent-type: text/event-stream",
        &crate::support::sse(&["slow"]),
    );
    bench.upstream.play(Script::Dribble(events, 100, Duration::from_millis(30)));
    let (status, body) = bench.ask("hello", true).await;
    assert_eq!(status, 200);
    let comments = body.split("\n\n").take_while(|event| event.starts_with(": ")).count();
    assert!(comments >= 2, "{body}");
    assert_eq!(get_events(&body).last().map(String::as_str), Some("[DONE]"));
}
