//! Any bytes from a client and any from the model server, through the whole guard in one process: no trigger passes in
//! either direction, and every exchange has its end in the log.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::ready;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use classifiers_batching::InProcess;
use classifiers_core::{Backend, BoxClassify, TestTriggers};
use http::Uri;
use hyper_util::rt::TokioIo;
use policies::{Policy, library};
use proxy_audit::{Journal, Options, verify};
use proxy_dialects::Dialect;
use proxy_http::Http;
use proxy_stack::{
    ActivePolicy, Check, Gate, KeyNames, Limits, Panel, Parts, Target, Upstream, stack,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, duplex};
use tokio::net::UnixStream;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tower::service_fn;

/// What no model server may read, and no client may read that did not write it.
const TRIGGER: &str = "PORTCULLIS-TEST-S9";
/// Between what the client sends and what the model server answers.
const SEPARATOR: u8 = 0xFF;
/// From this first byte on the rest is all of HTTP, not the body of a request. Few, because their ends are waited for.
const RAW: u8 = 0xF0;
/// Exchanges after which the log is checked and begun anew.
const EXCHANGES: u32 = 500;
/// The fields in which a model server names things.
const IDENTIFIERS: [&str; 8] = [
    "id",
    "model",
    "item_id",
    "call_id",
    "tool_use_id",
    "response_id",
    "system_fingerprint",
    "owned_by",
];
/// The parts of an answer in server-sent events begin with it.
const DATA: &str = "data:";

/// What came of an exchange that broke no rule.
#[derive(Debug, Default)]
pub struct Seen {
    /// Requests that the model server read.
    pub read: usize,
    /// Bytes that the client read.
    pub received: usize,
}

/// The first byte chooses the format, the second how answers are cut; then come the request and the answer. The client
/// waits for more with so much `patience`.
pub fn check(bytes: &[u8], patience: Duration) -> Seen {
    let [choice, cut, rest @ ..] = bytes else { return Seen::default() };
    let split = rest.iter().position(|byte| *byte == SEPARATOR).unwrap_or(rest.len());
    let (asked, answer) = (&rest[..split], rest.get(split + 1..).unwrap_or_default());
    // HTTP/2 is the library's own business.
    if *choice >= RAW && asked.starts_with(b"PRI") {
        return Seen::default();
    }
    let asked = if *choice < RAW { request(*choice, asked) } else { asked.to_vec() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (read, received) = with_log(|journal| {
        let model = Arc::new(Model {
            answer: answer.to_vec(),
            cut: usize::from(*cut) + 1,
            read: Mutex::default(),
        });
        let exchange = exchange(journal, Arc::clone(&model), (asked.clone(), patience));
        let received = runtime.block_on(exchange);
        (std::mem::take(&mut *model.read.lock().unwrap()), received)
    });
    for body in &read {
        assert!(!says(body, TRIGGER), "the model server read {}", String::from_utf8_lossy(body));
    }
    // Who wrote it may be told what was wrong with it.
    if !says(&asked, TRIGGER) {
        assert!(
            !says(&without_identifiers(&received), TRIGGER),
            "the client read {}",
            String::from_utf8_lossy(&received)
        );
    }
    Seen { read: read.len(), received: received.len() }
}

fn request(choice: u8, body: &[u8]) -> Vec<u8> {
    let dialect = Dialect::ALL[usize::from(choice) % Dialect::ALL.len()];
    let mut request = format!(
        "POST /v1{} HTTP/1.1\r\nhost: guard\r\ncontent-type: application/json\r\nauthorization: Bearer k\r\n\
         anthropic-version: 2023-06-01\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        dialect.path(),
        body.len()
    )
    .into_bytes();
    request.extend_from_slice(body);
    request
}

/// The log of some exchanges, checked when it is dropped.
struct Log {
    folder: PathBuf,
    journal: Option<Arc<Journal>>,
    exchanges: u32,
}

impl Log {
    fn new() -> Self {
        let memory = PathBuf::from("/dev/shm");
        let parent = if memory.is_dir() { memory } else { std::env::temp_dir() };
        let thread = format!("{:?}", std::thread::current().id());
        let name = format!("portcullis-fuzz-{}-{thread}", std::process::id());
        let folder = parent.join(name);
        let _none_yet = std::fs::remove_dir_all(&folder);
        let (journal, _) = Journal::open(&folder, &Options::default()).unwrap();
        Self { folder, journal: Some(Arc::new(journal)), exchanges: 0 }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.journal.take().unwrap().close().unwrap();
        let report = verify(&self.folder).unwrap();
        std::fs::remove_dir_all(&self.folder).unwrap();
        assert_eq!(report.opened, report.closed, "an exchange has no end: {report:?}");
    }
}

fn with_log<T>(work: impl FnOnce(Arc<Journal>) -> T) -> T {
    thread_local! {
        static LOG: RefCell<Option<Log>> = const { RefCell::new(None) };
    }
    LOG.with_borrow_mut(|place| {
        if place.as_ref().is_some_and(|log| log.exchanges >= EXCHANGES) {
            *place = None;
        }
        let log = place.get_or_insert_with(Log::new);
        log.exchanges += 1;
        work(Arc::clone(log.journal.as_ref().unwrap()))
    })
}

/// Says one thing to everybody, and remembers what it was asked.
struct Model {
    answer: Vec<u8>,
    cut: usize,
    read: Mutex<Vec<Vec<u8>>>,
}

impl Model {
    async fn serve(&self, mut stream: UnixStream) -> io::Result<()> {
        let body = read_request(&mut stream).await?;
        let streams = says(&body, "text/event-stream");
        self.read.lock().unwrap().push(body);
        let kind = if streams { "text/event-stream" } else { "application/json" };
        let head = format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\nconnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).await?;
        for piece in self.answer.chunks(self.cut) {
            stream.write_all(piece).await?;
            tokio::task::yield_now().await;
        }
        stream.shutdown().await
    }
}

/// All of one request, head included.
async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let mut read = Vec::new();
    loop {
        if stream.read_buf(&mut read).await? == 0 {
            return Ok(read);
        }
        let Some(head) = read.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let text = String::from_utf8_lossy(&read[..head]).to_ascii_lowercase();
        let length = text.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
        let length: usize = length.map_or(0, |length| length.trim().parse().unwrap());
        if read.len() >= head + 4 + length {
            return Ok(read);
        }
    }
}

/// Everything that the client gets to read.
async fn exchange(
    journal: Arc<Journal>,
    model: Arc<Model>,
    (asked, patience): (Vec<u8>, Duration),
) -> Vec<u8> {
    let gate = gate(journal, model);
    let (mut client, server) = duplex(1 << 20);
    let served =
        async move { Http::default().serve(server, gate, None, CancellationToken::new()).await };
    let asking = async move {
        let _refused = client.write_all(&asked).await;
        let mut received = Vec::new();
        // Who leaves at once is not answered; and a request that was cut off may never end.
        while let Ok(Ok(1..)) = timeout(patience, client.read_buf(&mut received)).await {}
        let _gone = client.shutdown().await;
        let _broken = client.read_to_end(&mut received).await;
        received
    };
    let both = async { tokio::join!(served, asking).1 };
    timeout(Duration::from_secs(20), both).await.expect("nobody hangs")
}

fn gate(journal: Arc<Journal>, model: Arc<Model>) -> Gate {
    thread_local! {
        static POLICY: Policy = policy();
    }
    let triggers = TestTriggers::new();
    let id = triggers.id().clone();
    let panel = Panel::new([Check::new(id, BoxClassify::new(InProcess::new(triggers)))]);
    let connector = service_fn(move |_: Uri| {
        let model = Arc::clone(&model);
        ready(UnixStream::pair().map(|(ours, theirs)| {
            // It ends with the connection, and the connection with the exchange.
            #[expect(clippy::disallowed_methods, reason = "nobody waits for a model server")]
            tokio::spawn(async move { model.serve(theirs).await });
            TokioIo::new(ours)
        }))
    });
    let limits = Limits::default();
    stack(Parts {
        journal,
        instance: "fuzz".into(),
        policies: Arc::new(ActivePolicy::new(POLICY.with(Policy::clone), Vec::new())),
        keys: KeyNames::default(),
        panel,
        limits,
        shared_limits: None,
        upstream: Upstream::over(connector, Target::parse("http://model", None).unwrap(), &limits),
        metrics: Arc::default(),
        tracing: proxy_stack::Tracing::default(),
        cut_off: proxy_stack::CutOff::default(),
        issuers: None,
    })
}

/// The policy that ships, without its limits: here everything comes from one caller.
fn policy() -> Policy {
    let text = library::DEFAULT;
    let mut inside = false;
    let kept = text.lines().filter(|line| {
        if !line.starts_with([' ', '#']) {
            inside = line.starts_with("limits:");
        }
        !inside
    });
    let text = kept.collect::<Vec<_>>().join("\n");
    Policy::parse(&text, "fuzz.yaml").map_err(|wrong| wrong.to_string()).unwrap().0
}

/// Whether `trigger` can be read in `bytes`: as it stands, in a text of JSON, or put together from the events of a
/// stream, place by place.
fn says(bytes: &[u8], trigger: &str) -> bool {
    let text = String::from_utf8_lossy(bytes);
    if text.contains(trigger) {
        return true;
    }
    let body = text.split_once("\r\n\r\n").map_or(&*text, |(_, body)| body);
    let mut places = BTreeMap::new();
    for line in body.lines() {
        let line = line.trim_start();
        let line = line.strip_prefix(DATA).unwrap_or(line);
        if let Ok(value) = serde_json::from_str::<serde_json::Value>(line.trim()) {
            collect(&value, String::new(), &mut places);
        }
    }
    if let Ok(value) = serde_json::from_str::<serde_json::Value>(body) {
        collect(&value, String::new(), &mut places);
    }
    places.values().any(|said| said.contains(trigger))
}

/// What `value` says, by place; events of two kinds and choices of two numbers say two things.
/// What was received, without what a model server calls its answers and their parts: these are checked to be
/// identifiers, and nobody judges them (docs/fields.md).
fn without_identifiers(received: &[u8]) -> Vec<u8> {
    let mut text = String::from_utf8_lossy(received).into_owned();
    for name in IDENTIFIERS {
        let field = format!("\"{name}\":\"");
        let pieces = text.split(field.as_str()).enumerate().map(|(index, piece)| match index {
            0 => piece,
            _ => piece.split_once('"').map_or(piece, |(_, rest)| rest),
        });
        text = pieces.collect::<Vec<_>>().join("\"");
    }
    text.into_bytes()
}

fn collect(value: &serde_json::Value, place: String, places: &mut BTreeMap<String, String>) {
    let own = |name: &str| value.get(name).map(ToString::to_string).unwrap_or_default();
    let place = match place.rsplit_once('/') {
        None => own("type"),
        Some((list, _)) if list.ends_with("/choices") => format!("{list}/{}", own("index")),
        Some(_) => place,
    };
    match value {
        serde_json::Value::String(text) => places.entry(place).or_default().push_str(text),
        serde_json::Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                collect(item, format!("{place}/{index}"), places);
            }
        }
        serde_json::Value::Object(fields) => {
            for (name, item) in fields {
                collect(item, format!("{place}/{name}"), places);
                // Apart from each other: two names are not one text.
                places.entry(format!("{place}/{name}#")).or_default().push_str(name);
            }
        }
        _ => {}
    }
}
