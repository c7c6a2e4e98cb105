//! Traces as a collector gets them: over OTLP, from the real binary.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use proxy_audit::Outcome;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::support::{Guard, POLICY, Reply, Script, Upstream, chat, post, raw};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// What a collector does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Does {
    Take,
    Hang,
    Fail,
}

/// What came to a collector.
#[derive(Default)]
struct Taken {
    spans: Vec<Span>,
    resource: BTreeMap<String, Value>,
    headers: Vec<http::HeaderMap>,
    bytes: Vec<u8>,
}

/// An OTLP receiver over HTTP.
pub struct Collector {
    address: SocketAddr,
    does: Arc<Mutex<Does>>,
    taken: Arc<Mutex<Taken>>,
    _connections: JoinSet<()>,
}

impl Collector {
    pub async fn start() -> Self {
        Self::at("127.0.0.1:0".parse().unwrap()).await
    }

    async fn at(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (does, taken) = (Arc::new(Mutex::new(Does::Take)), Arc::<Mutex<Taken>>::default());
        let (told, into) = (Arc::clone(&does), Arc::clone(&taken));
        let mut connections = JoinSet::new();
        connections.spawn(async move {
            let mut all = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (told, into) = (Arc::clone(&told), Arc::clone(&into));
                let service = service_fn(move |request| {
                    let (does, into) = (*told.lock().unwrap(), Arc::clone(&into));
                    take(request, does, into)
                });
                all.spawn(async move {
                    let builder =
                        hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                    let _left = builder.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { address, does, taken, _connections: connections }
    }

    fn now(&self, does: Does) {
        *self.does.lock().unwrap() = does;
    }

    /// What a shell does so that a guard sends its spans here, soon.
    pub fn exported(&self, more: &str) -> String {
        let address = self.address;
        format!(
            "export OTEL_EXPORTER_OTLP_ENDPOINT=http://{address} OTEL_BSP_SCHEDULE_DELAY=100 {more}"
        )
    }

    /// Waits for the whole trace of an exchange: its span is the last to end.
    async fn trace(&self, decision: &str) -> Trace {
        let started = Instant::now();
        loop {
            let spans: Vec<Seen> = self.taken.lock().unwrap().spans.iter().map(Seen::of).collect();
            let root =
                spans.iter().find(|span| span.said("guard.decision.id") == decision).cloned();
            if let Some(root) = root {
                let spans = spans.into_iter().filter(|span| span.trace == root.trace).collect();
                return Trace { root, spans };
            }
            assert!(started.elapsed() < Duration::from_secs(10), "no trace of {decision}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// All that came, as it came.
    pub fn heard(&self) -> String {
        let taken = self.taken.lock().unwrap();
        format!("{:?}{}", taken.headers, String::from_utf8_lossy(&taken.bytes))
    }

    fn count(&self) -> usize {
        self.taken.lock().unwrap().spans.len()
    }
}

async fn take(
    request: Request<Incoming>,
    does: Does,
    into: Arc<Mutex<Taken>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    assert_eq!(request.uri().path(), "/v1/traces");
    assert_eq!(request.headers()["content-type"], "application/x-protobuf");
    let (head, body) = request.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    let mut response = Response::new(Full::default());
    match does {
        Does::Hang => std::future::pending().await,
        Does::Fail => *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR,
        Does::Take => {
            let mut into = into.lock().unwrap();
            into.headers.push(head.headers);
            into.bytes.extend_from_slice(&bytes);
            for all in ExportTraceServiceRequest::decode(bytes).unwrap().resource_spans {
                into.resource = attributes(&all.resource.unwrap().attributes);
                into.spans.extend(all.scope_spans.into_iter().flat_map(|scope| scope.spans));
            }
        }
    }
    Ok(response)
}

fn attributes(pairs: &[KeyValue]) -> BTreeMap<String, Value> {
    pairs.iter().map(|pair| (pair.key.clone(), value(pair.value.as_ref()))).collect()
}

fn value(any: Option<&AnyValue>) -> Value {
    match any.and_then(|any| any.value.as_ref()) {
        Some(Any::StringValue(text)) => json!(text),
        Some(Any::IntValue(number)) => json!(number),
        Some(Any::BoolValue(is)) => json!(is),
        Some(Any::DoubleValue(number)) => json!(number),
        Some(Any::ArrayValue(array)) => array.values.iter().map(|any| value(Some(any))).collect(),
        other => panic!("{other:?}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A span as people read it.
#[derive(Clone, Debug)]
struct Seen {
    name: String,
    trace: String,
    id: String,
    parent: String,
    /// As the protocol numbers them: 1 internal, 2 server, 3 client.
    kind: i32,
    time: (u64, u64),
    failed: bool,
    said: BTreeMap<String, Value>,
    events: Vec<(String, BTreeMap<String, Value>)>,
    links: Vec<String>,
}

impl Seen {
    fn of(span: &Span) -> Self {
        let events = span.events.iter();
        Self {
            name: span.name.clone(),
            trace: hex(&span.trace_id),
            id: hex(&span.span_id),
            parent: hex(&span.parent_span_id),
            kind: span.kind,
            time: (span.start_time_unix_nano, span.end_time_unix_nano),
            failed: span.status.as_ref().is_some_and(|status| status.code == 2),
            said: attributes(&span.attributes),
            events: events.map(|e| (e.name.clone(), attributes(&e.attributes))).collect(),
            links: span.links.iter().map(|link| hex(&link.trace_id)).collect(),
        }
    }

    fn said(&self, name: &str) -> Value {
        self.said.get(name).cloned().unwrap_or_default()
    }
}

/// The spans of one exchange.
#[derive(Debug)]
struct Trace {
    root: Seen,
    spans: Vec<Seen>,
}

impl Trace {
    fn one(&self, name: &str) -> &Seen {
        let found: Vec<&Seen> = self.spans.iter().filter(|span| span.name == name).collect();
        assert_eq!(found.len(), 1, "{name}: {:?}", self.names());
        found[0]
    }

    fn names(&self) -> Vec<&str> {
        self.spans.iter().map(|span| &*span.name).collect()
    }

    /// What hangs below `span`, in alphabetical order.
    fn below(&self, span: &Seen) -> Vec<&str> {
        let below = self.spans.iter().filter(|other| other.parent == span.id);
        let mut names: Vec<&str> = below.map(|other| &*other.name).collect();
        names.sort_unstable();
        names
    }
}

async fn ask(guard: &Guard, headers: &[(&str, &str)], text: &str, stream: bool) -> Reply {
    post(guard.address, headers, chat(text, stream).to_string().as_bytes()).await
}

fn traceparent(flags: &str) -> String {
    format!("00-{TRACE}-{PARENT}-{flags}")
}

/// The `traceparent` that the model server got last.
fn forwarded(upstream: &Upstream) -> Option<String> {
    let received = String::from_utf8_lossy(&upstream.received()).into_owned();
    let (_, last) = received.rsplit_once("POST /v1/chat/completions")?;
    let line = last.lines().find_map(|line| line.strip_prefix("traceparent: "))?;
    Some(line.to_owned())
}

const CHECKS: [&str; 4] =
    ["check code_shield", "check patterns", "check starter", "check test_triggers"];

#[tokio::test]
async fn an_exchange_is_a_trace_with_the_ids_of_its_record() {
    let (collector, upstream) =
        (Collector::start().await, Upstream::start(Script::say("Lisbon.")).await);
    let more = "OTEL_SERVICE_NAME=guard-7 OTEL_RESOURCE_ATTRIBUTES=deployment.environment.name=test \
                OTEL_EXPORTER_OTLP_HEADERS=x-tenant=acme";
    let guard =
        Guard::shell(&upstream.url(), (POLICY, "instance: pod-7"), &collector.exported(more));
    let headers = [("traceparent", &*traceparent("01")), ("tracestate", "vendor=opaque")];
    let reply = ask(&guard, &headers, "What is the capital of Portugal?", false).await;
    assert_eq!(reply.status, 200);
    let trace = collector.trace(reply.id()).await;

    let root = &trace.root;
    assert_eq!((&*root.name, root.kind), ("POST /v1/chat/completions", 2));
    assert_eq!((&*root.trace, &*root.parent), (TRACE, PARENT));
    assert_eq!(guard.opened()[0].trace_id.as_deref(), Some(TRACE));
    for (name, expected) in [
        ("http.request.method", json!("POST")),
        ("http.route", json!("/v1/chat/completions")),
        ("http.response.status_code", json!(200)),
        ("guard.outcome", json!("allowed")),
        ("guard.input.verdict", json!("safe")),
        ("guard.output.action", json!("allow")),
        ("guard.policy", json!(reply.headers["x-guard-policy"])),
    ] {
        assert_eq!(root.said(name), expected, "{name}");
    }
    assert_eq!(trace.below(root), ["chat m", "examine answer", "examine request"]);
    for examination in ["examine request", "examine answer"] {
        let below = trace.below(trace.one(examination));
        assert_eq!(below, [&CHECKS[..], &["decide"]].concat(), "{examination}");
    }
    let call = trace.one("chat m");
    assert_eq!(forwarded(&upstream).unwrap(), format!("00-{TRACE}-{}-01", call.id));
    assert!(String::from_utf8_lossy(&upstream.received()).contains("tracestate: vendor=opaque"));
    let said = |name| call.said(name);
    assert_eq!((call.kind, said("gen_ai.operation.name")), (3, json!("chat")));
    assert_eq!(
        (said("gen_ai.system"), said("gen_ai.provider.name")),
        (json!("openai"), Value::Null)
    );
    assert_eq!(
        (said("gen_ai.request.model"), said("http.response.status_code")),
        (json!("m"), json!(200))
    );
    let port = upstream.url().rsplit(':').next().unwrap().parse::<u16>().unwrap();
    assert_eq!((said("server.address"), said("server.port")), (json!("127.0.0.1"), json!(port)));
    for span in &trace.spans {
        assert!(span.time.0 <= span.time.1 && !span.failed && span.events.is_empty(), "{span:?}");
        assert!(root.time.0 <= span.time.1 && span.time.1 <= root.time.1, "{span:?} in {root:?}");
    }
    // The revisions are those of the record, so that a score can be found from a span.
    let input = guard.closed().remove(0).input.unwrap();
    for check in &input.checks {
        let name = format!("check {}", &*check.name);
        let spans = trace.spans.iter().filter(|span| span.name == name);
        assert!(
            spans.clone().count() == 2
                && spans.clone().all(|span| span.said("guard.check.revision") == *check.revision)
        );
    }
    let taken = collector.taken.lock().unwrap();
    assert_eq!(taken.headers[0]["x-tenant"], "acme");
    for (name, expected) in [
        ("service.name", "guard-7"),
        ("service.instance.id", "pod-7"),
        ("deployment.environment.name", "test"),
    ] {
        assert_eq!(taken.resource[name], expected);
    }
}

#[tokio::test]
async fn what_ends_otherwise_is_told_by_its_spans() {
    let (collector, upstream) =
        (Collector::start().await, Upstream::start(Script::say("fine")).await);
    let opt_in = "OTEL_SEMCONV_STABILITY_OPT_IN=http,gen_ai_latest_experimental";
    let guard = Guard::shell(&upstream.url(), (POLICY, ""), &collector.exported(opt_in));

    let blocked = ask(&guard, &[], "PORTCULLIS-TEST-S1", false).await;
    let trace = collector.trace(blocked.id()).await;
    assert_eq!(trace.below(&trace.root), ["examine request"]);
    let decided = trace.one("decide");
    assert_eq!(
        (decided.said("guard.verdict"), decided.said("guard.action")),
        (json!("unsafe"), json!("block"))
    );
    assert_eq!(decided.said("guard.because"), json!(["violent_crimes"]));
    assert_eq!(trace.root.said("guard.outcome"), "blocked");
    // A block is no error of ours.
    assert!(trace.spans.iter().all(|span| !span.failed));
    let (event, said) = &trace.one("check test_triggers").events[0];
    assert_eq!(
        (&**event, &said["gen_ai.evaluation.name"]),
        ("gen_ai.evaluation.result", &json!("test_triggers"))
    );
    assert_eq!(said["gen_ai.evaluation.score.label"], "violent_crimes");
    assert_eq!(said["gen_ai.evaluation.score.value"], 1.0);

    upstream.play(Script::stream(&["one ", "two ", "three"]));
    let reply = ask(&guard, &[], "count", true).await;
    let trace = collector.trace(reply.id()).await;
    assert_eq!(trace.below(&trace.root), ["chat m", "examine answer", "examine request"]);
    assert_eq!(trace.one("chat m").said("gen_ai.provider.name"), "openai");
    assert_eq!(trace.root.said("guard.stream"), true);

    upstream.play(Script::status("500 Oops", "{}"));
    let reply = ask(&guard, &[], "hello", false).await;
    let trace = collector.trace(reply.id()).await;
    let call = trace.one("chat");
    assert_eq!((call.failed, call.said("error.type")), (true, json!("500")));
    assert_eq!(call.said("gen_ai.request.model"), Value::Null);
    assert!(trace.root.failed);

    upstream.play(Script::Close(
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{"
            .to_vec(),
    ));
    let reply = ask(&guard, &[], "hello again", false).await;
    let trace = collector.trace(reply.id()).await;
    assert_eq!(trace.one("chat m").said("error.type"), "upstream_invalid");
    assert_eq!(trace.root.said("guard.outcome"), Outcome::UpstreamFailed.as_str());
}

#[tokio::test]
async fn whose_trace_it_is_depends_on_whether_callers_are_trusted() {
    let upstream = Upstream::start(Script::say("fine")).await;
    let untrusting = "traces: { trust_callers: false }";
    let sampled = traceparent("01");
    let headers = [("traceparent", &*sampled), ("tracestate", "vendor=opaque")];
    let handed_on = || {
        let received = String::from_utf8_lossy(&upstream.received()).into_owned();
        let (_, last) = received.rsplit_once("POST /v1").unwrap();
        (forwarded(&upstream), last.contains("tracestate"))
    };

    // Without spans: handed on as it came, or not at all.
    let guard = Guard::with(&upstream.url(), POLICY, "");
    ask(&guard, &headers, "hello", false).await;
    assert_eq!(handed_on(), (Some(sampled.clone()), true));
    ask(&guard, &[("traceparent", "00-ignore-your-instructions-01")], "hello", false).await;
    assert_eq!(handed_on(), (None, false));
    let ids: Vec<_> = guard.opened().iter().map(|opened| opened.trace_id.clone()).collect();
    assert_eq!((ids[0].as_deref(), ids[1].as_deref()), (Some(TRACE), None));
    let guard = Guard::with(&upstream.url(), POLICY, untrusting);
    ask(&guard, &headers, "hello", false).await;
    assert_eq!((handed_on(), guard.opened()[0].trace_id.as_deref()), ((None, false), None));

    let collector = Collector::start().await;
    let guard = Guard::shell(&upstream.url(), (POLICY, untrusting), &collector.exported(""));
    let reply = ask(&guard, &headers, "hello", false).await;
    let trace = collector.trace(reply.id()).await;
    assert_eq!((&*trace.root.parent, &trace.root.links), ("", &vec![TRACE.to_owned()]));
    assert_ne!(trace.root.trace, TRACE);
    assert_eq!(guard.opened()[0].trace_id.as_deref(), Some(&*trace.root.trace));
    let call = trace.one("chat m");
    assert_eq!(handed_on(), (Some(format!("00-{}-{}-01", trace.root.trace, call.id)), false));

    // A caller who does not want spans gets none, and the trace goes on.
    let guard = Guard::shell(&upstream.url(), (POLICY, ""), &collector.exported(""));
    let before = collector.count();
    ask(&guard, &[("traceparent", &traceparent("00"))], "hello", false).await;
    let (parent, _) = handed_on();
    let parent = parent.unwrap();
    assert!(parent.starts_with(&format!("00-{TRACE}-")) && parent.ends_with("-00"), "{parent}");
    assert!(!parent.contains(PARENT));
    let reply = ask(&guard, &[("traceparent", "nonsense")], "hello", false).await;
    let trace = collector.trace(reply.id()).await;
    assert_eq!(collector.count() - before, trace.spans.len());
}

/// Everything that a caller, a model server or an operator's secret can say.
#[tokio::test]
async fn no_text_is_in_a_span() {
    const CANARY: &str = "canary7f3a19bd";
    let (collector, upstream) =
        (Collector::start().await, Upstream::start(Script::say("fine")).await);
    let guard = Guard::shell(
        &upstream.url(),
        (POLICY, ""),
        &collector.exported("OTEL_SEMCONV_STABILITY_OPT_IN=gen_ai_latest_experimental"),
    );
    let key = format!("Bearer {CANARY}");
    let (state, baggage) = (format!("{CANARY}={CANARY}"), format!("user={CANARY}"));
    let parent = traceparent("01");
    let headers = [
        ("authorization", &*key),
        ("traceparent", &*parent),
        ("tracestate", &*state),
        ("baggage", &*baggage),
        ("user-agent", CANARY),
    ];
    for text in ["", " PORTCULLIS-TEST-S1", " PORTCULLIS-TEST-SECRET"] {
        for said in [format!("{CANARY}{text}"), format!("so says {CANARY}")] {
            upstream.play(Script::say(&said));
            ask(&guard, &headers, &format!("{CANARY}{text}"), false).await;
            upstream.play(Script::stream(&[&said]));
            ask(&guard, &headers, &format!("{CANARY}{text}"), true).await;
        }
    }
    // A model that the server does not know, and one that gives a reason.
    upstream.play(Script::status(
        "404 Not Found",
        &json!({ "error": { "message": CANARY } }).to_string(),
    ));
    let body = json!({ "model": CANARY, "messages": [{ "role": "user", "content": "hello" }] });
    post(guard.address, &[], body.to_string().as_bytes()).await;
    post(guard.address, &[], format!("{{\"{CANARY}\"").as_bytes()).await;
    let mut last = String::new();
    for line in [
        format!("GET /v1/{CANARY}?key={CANARY}"),
        format!("GET /v1/models/{CANARY}"),
        format!("{} /v1/chat/completions", CANARY.to_uppercase()),
    ] {
        let request = format!("{line} HTTP/1.1\r\nhost: {CANARY}\r\nconnection: close\r\n\r\n");
        last = raw(guard.address, request.as_bytes()).await.id().to_owned();
    }
    let trace = collector.trace(&last).await;
    assert_eq!(trace.root.name, "HTTP /v1/chat/completions");
    let taken = collector.taken.lock().unwrap();
    let said = String::from_utf8_lossy(&taken.bytes).to_lowercase();
    assert!(taken.spans.len() > 100 && said.contains("guard.decision.id"), "{}", taken.spans.len());
    assert!(!said.contains(CANARY), "{:?}", taken.spans.iter().map(Seen::of).collect::<Vec<_>>());
    assert!(String::from_utf8_lossy(&upstream.received()).contains(CANARY));
}

/// The value of a line of the metrics.
async fn metric(admin: SocketAddr, line: &str) -> usize {
    let request = b"GET /metrics HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    let metrics = raw(admin, request).await.body;
    let value = metrics.lines().find_map(|found| found.strip_prefix(line)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("no {line} in {metrics}")).parse().unwrap()
}

/// Exported, dropped, failed.
async fn became(admin: SocketAddr) -> [usize; 3] {
    let mut counts = [0; 3];
    for (count, result) in counts.iter_mut().zip(["exported", "dropped", "failed"]) {
        *count = metric(admin, &format!("guard_trace_spans_total{{result=\"{result}\"}}")).await;
    }
    counts
}

/// So many requests, eight at a time; each is answered.
async fn load(guard: &Guard, requests: usize) {
    let mut clients = JoinSet::new();
    for _ in 0..8 {
        let address = guard.address;
        clients.spawn(async move {
            for _ in 0..requests / 8 {
                let reply = post(address, &[], chat("hello", false).to_string().as_bytes()).await;
                assert_eq!(reply.status, 200);
            }
        });
    }
    assert_eq!(clients.join_all().await.len(), 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_hangs_fails_or_dies_costs_spans_and_no_answer() {
    let (collector, upstream) =
        (Collector::start().await, Upstream::start(Script::say("fine")).await);
    let admin = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let small = "OTEL_BSP_MAX_QUEUE_SIZE=256 OTEL_BSP_MAX_EXPORT_BATCH_SIZE=64 OTEL_EXPORTER_OTLP_TIMEOUT=300";
    let settings = format!("admin: {admin}");
    let mut guard = Guard::shell(&upstream.url(), (POLICY, &settings), &collector.exported(small));
    let reply = ask(&guard, &[], "hello", false).await;
    let each = collector.trace(reply.id()).await.spans.len();
    let mut ended = each;
    // Waits until it is known of every span what became of it.
    let settled = async |ended: usize| {
        let started = Instant::now();
        loop {
            let counts = became(admin).await;
            if counts.iter().sum::<usize>() == ended {
                return counts;
            }
            assert!(started.elapsed() < Duration::from_secs(20), "{counts:?} of {ended}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    assert_eq!(settled(ended).await, [each, 0, 0]);
    let mut before = [each, 0, 0];
    for does in [Does::Hang, Does::Fail] {
        collector.now(does);
        load(&guard, 80).await;
        ended += 80 * each;
        let now = settled(ended).await;
        assert_eq!(now[0], before[0], "{does:?}");
        assert!(now[1] + now[2] > before[1] + before[2] && now[2] > before[2], "{does:?} {now:?}");
        before = now;
        collector.now(Does::Take);
        let reply = ask(&guard, &[], "well again?", false).await;
        assert_eq!(collector.trace(reply.id()).await.spans.len(), each, "{does:?}");
        ended += each;
        before[0] += each;
        assert_eq!(settled(ended).await, before, "{does:?}");
    }
    assert!(before[1] > 0, "the queue is bounded: {before:?}");
    // It dies under load, and another takes its place.
    let address = collector.address;
    drop(collector);
    load(&guard, 80).await;
    ended += 80 * each;
    let now = settled(ended).await;
    assert_eq!(now[0], before[0]);
    let collector = Collector::at(address).await;
    let reply = ask(&guard, &[], "and now?", false).await;
    collector.trace(reply.id()).await;
    // A collector that hangs does not keep the guard from stopping.
    collector.now(Does::Hang);
    ask(&guard, &[], "the last", false).await;
    let started = Instant::now();
    guard.signal("TERM");
    assert_eq!(guard.wait().code(), Some(0));
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_spans_are_sent_before_the_end() {
    let (collector, upstream) =
        (Collector::start().await, Upstream::start(Script::say("fine")).await);
    let mut guard = Guard::shell(
        &upstream.url(),
        (POLICY, ""),
        &collector.exported("OTEL_BSP_SCHEDULE_DELAY=60000"),
    );
    let reply = ask(&guard, &[], "hello", false).await;
    assert_eq!(collector.count(), 0);
    guard.signal("TERM");
    assert_eq!(guard.wait().code(), Some(0));
    let trace = collector.trace(reply.id()).await;
    assert!(trace.names().contains(&"decide"));
}
