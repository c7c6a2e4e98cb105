//! The console's API over a log of its own: who is answered, and what is on record before they are.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that panics has found something"
)]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use jiff::Timestamp;
use policies::{Policy, library};
use proxy_audit::{
    Assessment, Closed, Entry, Examined, Journal, Keep, Kept, Mode, Opened, Options, Outcome,
    ReadSummary, Receipt, Record, Reviewed, Timing, tail,
};
use proxy_console::{Console, Document, Parts, Role, Rules, Users};
use proxy_index::Index;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use uuid::Uuid;

const PASSWORD: &str = "correct horse battery";
const SECRET: &str = "the words of the caller";

struct World {
    dir: TempDir,
    console: Console,
    journal: Option<Arc<Journal>>,
    /// Whoever holds it keeps the policy's document from being read.
    gate: Arc<Semaphore>,
    id: Uuid,
}

/// Somebody who is logged in.
struct Person {
    cookie: String,
    csrf: String,
}

fn record(journal: &Journal) -> Uuid {
    let (id, time) = (Uuid::now_v7(), Timestamp::now());
    let (instance, route, method) = ("test".into(), "/v1/chat/completions".into(), "POST".into());
    let opened = Opened {
        id,
        time,
        instance,
        route,
        method,
        key: Some("key-1".into()),
        remote: None,
        trace_id: None,
    };
    drop(journal.append_opened(&opened));
    let kept = Kept {
        at: "/messages/0/content".into(),
        role: "user".into(),
        bytes: SECRET.len() as u64,
        text: Some(SECRET.into()),
        fingerprint: None,
        masked: Vec::new(),
        why: None,
    };
    let examined =
        Examined { id, time, keep: Keep::Full, input: vec![kept], output: Vec::new(), left_out: 0 };
    drop(journal.append_examined(Box::new(examined)));
    drop(journal.append_closed(&closed(id, time)));
    id
}

fn judge(journal: &Journal, ids: &[Uuid]) -> Receipt {
    journal.append_reviewed(&Reviewed {
        act: Uuid::now_v7(),
        time: Timestamp::now(),
        by: "rolf".into(),
        decisions: ids.to_vec(),
        verdict: Some(Assessment::Correct),
        category: None,
        comment: String::new(),
        undoes: None,
    })
}

fn closed(id: Uuid, time: Timestamp) -> Closed {
    Closed {
        id,
        time,
        outcome: Outcome::Allowed,
        status: 200,
        reason: None,
        stream: false,
        model: Some("<img src=x onerror=alert(1)>".into()),
        policy: None,
        profile: None,
        key_name: None,
        mode: Mode::Enforce,
        input: None,
        output: None,
        unchecked: Vec::new(),
        unchecked_left_out: 0,
        read: ReadSummary::default(),
        answered: ReadSummary::default(),
        released_bytes: 0,
        timing_ms: Timing::default(),
    }
}

fn rules(gate: &Arc<Semaphore>) -> Rules {
    let source = library::by_name("default").expect("it is shipped");
    let (policy, _) = Policy::parse(source, "default.yaml").expect("it is a policy");
    let gate = Arc::clone(gate);
    let document = move || {
        drop(Handle::current().block_on(gate.acquire()));
        Ok(Document { file: "default.yaml".into(), text: source.into() })
    };
    Rules::new(move || policy.clone(), document, Vec::new())
}

impl World {
    /// One decision, and a journal that goes on, or is closed.
    fn new(writes: bool) -> Self {
        Self::of(1, writes.then(Options::default))
    }

    /// So many decisions with a verdict of `rolf`, and a journal that goes on with these options.
    fn of(decisions: usize, goes_on: Option<Options>) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let (journal, _) = Journal::open(dir.path(), &Options::default()).expect("a journal");
        let ids: Vec<Uuid> = (0..decisions).map(|_| record(&journal)).collect();
        let verdicts = ids.get(1..).unwrap_or_default();
        verdicts.chunks(1_000).for_each(|ids| drop(judge(&journal, ids)));
        journal.close().expect("closed");
        let journal = goes_on.map(|options| {
            let (journal, _) = Journal::open(dir.path(), &options).expect("a journal");
            Arc::new(journal)
        });
        let users = Users::new(dir.path().join("users.json"));
        for (name, role) in [("vera", Role::Viewer), ("rita", Role::Reviewer)] {
            users.add(name, role, PASSWORD).expect("added");
        }
        let index = Arc::new(Index::open(dir.path()).expect("an index"));
        let gate = Arc::new(Semaphore::new(1));
        let console = Console::new(Parts {
            address: "127.0.0.1:8090".parse().expect("an address"),
            hosts: Vec::new(),
            secure: false,
            behind_tls: false,
            users,
            local_users: true,
            sign_in: None,
            log: dir.path().to_owned(),
            index: Arc::clone(&index),
            journal: journal.clone(),
            rules: rules(&gate),
        });
        index.catch_up(|_| {}).expect("the log is sound");
        Self { dir, console, journal, gate, id: *ids.first().expect("one at least") }
    }

    async fn ask(&self, request: Request<Full<Bytes>>) -> Response<Bytes> {
        self.console.call(request, None).await
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        by: Option<&Person>,
        body: Value,
    ) -> Response<Bytes> {
        let mut request = Request::builder()
            .method(&method)
            .uri(path)
            .header(header::HOST, "127.0.0.1:8090")
            .header(header::CONTENT_TYPE, "application/json");
        if let Some(Person { cookie, csrf }) = by {
            request = request.header(header::COOKIE, cookie).header("x-csrf-token", csrf);
        }
        let body = if method == Method::GET { Bytes::new() } else { body.to_string().into() };
        self.ask(request.body(Full::new(body)).expect("a request")).await
    }

    async fn post(&self, path: &str, by: Option<&Person>, body: Value) -> Response<Bytes> {
        self.send(Method::POST, path, by, body).await
    }

    async fn log_in(&self, name: &str) -> Person {
        let response =
            self.post("/api/session", None, json!({ "name": name, "password": PASSWORD })).await;
        assert_eq!(response.status(), StatusCode::OK, "{name}");
        let cookie =
            response.headers().get(header::SET_COOKIE).expect("a cookie").to_str().expect("text");
        assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
        let cookie = cookie.split(';').next().expect("a pair").to_owned();
        let csrf = value(&response)["csrf"].as_str().expect("a token").to_owned();
        Person { cookie, csrf }
    }

    /// The log, without the journal's own signatures.
    fn log(&self) -> Vec<Record> {
        let records = entries(self.dir.path()).into_iter().map(|entry| entry.record);
        records.filter(|record| !matches!(record, Record::Checkpoint(_))).collect()
    }
}

fn entries(dir: &Path) -> Vec<Entry> {
    tail(dir, u64::MAX).expect("the log is sound")
}

fn value(response: &Response<Bytes>) -> Value {
    serde_json::from_slice(response.body()).expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_are_shown_to_who_may_and_only_once_it_is_on_record() {
    let world = World::new(true);
    let (rita, vera) = (world.log_in("rita").await, world.log_in("vera").await);
    let path = format!("/api/decisions/{}", world.id);
    let detail = world.send(Method::GET, &path, Some(&vera), Value::Null).await;
    assert_eq!(detail.status(), StatusCode::OK);
    assert!(!String::from_utf8_lossy(detail.body()).contains(SECRET), "no text without a reveal");
    let reveal = format!("{path}/reveal");
    for (by, why, status) in [
        (&vera, "because", StatusCode::FORBIDDEN),
        (&rita, "  ", StatusCode::BAD_REQUEST),
        (&rita, "an appeal", StatusCode::OK),
    ] {
        let before = world.log().len();
        let response = world.post(&reveal, Some(by), json!({ "why": why })).await;
        assert_eq!(response.status(), status, "{why}");
        let shown = String::from_utf8_lossy(response.body()).contains(SECRET);
        assert_eq!(shown, status == StatusCode::OK);
        let revealed = world.log().split_off(before);
        match revealed.as_slice() {
            [Record::Revealed(one)] if shown => {
                assert_eq!(
                    (&*one.by, &*one.why, &*one.decisions),
                    ("rita", "an appeal", &[world.id][..])
                );
            }
            nothing => assert!(nothing.is_empty() && !shown, "{nothing:?}"),
        }
    }
    let search =
        world.send(Method::GET, "/api/count?q=%22caller%22", Some(&vera), Value::Null).await;
    assert_eq!(
        search.status(),
        StatusCode::FORBIDDEN,
        "what is found would tell what the text says"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_for_words_is_on_record_before_it_is_answered() {
    let world = World::new(true);
    let rita = world.log_in("rita").await;
    let searched = || -> Vec<String> {
        let acts = world.log().into_iter().filter_map(|record| match record {
            Record::Acted(acted) if acted.act == "searched" => Some(acted),
            _ => None,
        });
        acts.map(|acted| format!("{}: {}", acted.by, acted.about["filter"])).collect()
    };
    // What a page asks about one filter is one search; another word, or another session, is another.
    for (words, count) in [("%22caller%22", 1), ("%22the+words%22", 1), ("-%22caller%22", 0)] {
        let before = searched().len();
        for path in ["count", "decisions", "facets", "timeline", "overview"] {
            let path = format!("/api/{path}?q={words}");
            let found = world.send(Method::GET, &path, Some(&rita), Value::Null).await;
            assert_eq!(found.status(), StatusCode::OK, "{path}");
            assert_eq!(searched().len(), before + 1, "{path}");
            if path.contains("count") {
                assert_eq!(value(&found)["count"], count);
            }
        }
    }
    assert_eq!(searched()[1], "rita: \"the words\"");
    let again = world.log_in("rita").await;
    world.send(Method::GET, "/api/count?q=%22caller%22", Some(&again), Value::Null).await;
    assert_eq!(searched().len(), 4);
    world.send(Method::GET, "/api/count?q=caller+id:", Some(&again), Value::Null).await;
    assert_eq!(searched().len(), 4, "what is no filter is no search");
    world.send(Method::GET, "/api/count?q=score%3E0.5", Some(&again), Value::Null).await;
    assert_eq!(searched().len(), 4, "no words, no search");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verdict_is_a_record_that_stands_until_it_is_taken_back() {
    let world = World::new(true);
    let rita = world.log_in("rita").await;
    let path = format!("/api/decisions/{}/verdict", world.id);
    let said =
        world.post(&path, Some(&rita), json!({ "verdict": "missed", "comment": "look" })).await;
    let act = value(&said)["act"].as_str().expect("an act").to_owned();
    let review = async |world: &World| {
        let path = format!("/api/decisions?q=id:{}", world.id);
        value(&world.send(Method::GET, &path, Some(&rita), Value::Null).await)["rows"][0]["review"]
            .clone()
    };
    assert_eq!(review(&world).await, "missed");
    let undone = world.post(&format!("/api/acts/{act}/undo"), Some(&rita), json!({})).await;
    assert_eq!(value(&undone)["count"], 1);
    assert_eq!(review(&world).await, Value::Null);
    let bulk = json!({ "q": "", "expect": 2, "verdict": "correct" });
    assert_eq!(world.post("/api/bulk", Some(&rita), bulk).await.status(), StatusCode::CONFLICT);
    let bulk = json!({ "q": "", "expect": 1, "verdict": "correct" });
    assert_eq!(world.post("/api/bulk", Some(&rita), bulk).await.status(), StatusCode::OK);
    assert_eq!(review(&world).await, "correct");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_changes_without_session_token_role_and_own_page() {
    let world = World::new(true);
    let rita = world.log_in("rita").await;
    let path = format!("/api/decisions/{}/verdict", world.id);
    let body = || Full::new(Bytes::from(r#"{"verdict":"correct"}"#));
    let base = || {
        Request::post(&path)
            .header(header::HOST, "127.0.0.1:8090")
            .header(header::COOKIE, &rita.cookie)
            .header(header::CONTENT_TYPE, "application/json")
    };
    let csrf = ("x-csrf-token", rita.csrf.as_str());
    for (headers, status) in [
        (vec![], StatusCode::FORBIDDEN),
        (vec![("x-csrf-token", "wrong")], StatusCode::FORBIDDEN),
        (vec![csrf, ("origin", "http://evil.example")], StatusCode::FORBIDDEN),
        (vec![csrf, ("sec-fetch-site", "cross-site")], StatusCode::FORBIDDEN),
        (vec![csrf, ("origin", "http://127.0.0.1:8090")], StatusCode::OK),
    ] {
        let request =
            headers.iter().fold(base(), |request, (name, value)| request.header(*name, *value));
        let response = world.ask(request.body(body()).expect("a request")).await;
        assert_eq!(response.status(), status, "{headers:?}");
    }
    let elsewhere = Request::get("/").header(header::HOST, "evil.example").body(Full::default());
    let response = world.ask(elsewhere.expect("a request")).await;
    assert_eq!(response.status(), StatusCode::MISDIRECTED_REQUEST);
    let nobody = world.post(&path, None, json!({ "verdict": "correct" })).await;
    assert_eq!(nobody.status(), StatusCode::UNAUTHORIZED);
    for path in ["/", "/decisions/x", "/app.js", "/api/session", "/nothing"] {
        let response = world.send(Method::GET, path, None, Value::Null).await;
        let policy = response.headers().get("content-security-policy").expect("a policy");
        assert!(
            policy.to_str().expect("text").contains("require-trusted-types-for 'script'"),
            "{path}"
        );
    }
}

#[test]
fn whoever_asks_much_waits_and_nobody_else() {
    let (threads, asked) = (6, 40);
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).max_blocking_threads(threads).enable_all().build();
    runtime.expect("a runtime starts").block_on(async {
        let world = Arc::new(World::new(true));
        let vera = Arc::new(world.log_in("vera").await);
        let held = world.gate.acquire().await.expect("it is open");
        let what_if = json!({ "category": "hate", "threshold": 0.5, "days": 1 });
        let mut waiting = tokio::task::JoinSet::new();
        for _ in 0..asked {
            let (world, vera, what_if) = (Arc::clone(&world), Arc::clone(&vera), what_if.clone());
            waiting.spawn(async move {
                world.post("/api/what-if", Some(&vera), what_if).await.status()
            });
        }
        // One is at work and eight wait; the others are told at once to come again.
        let mut busy = 0;
        while busy + 9 < asked {
            let status = tokio::time::timeout(Duration::from_secs(20), waiting.join_next());
            let status = status.await.expect("in time").expect("one is left").expect("it ends");
            assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
            busy += 1;
        }
        // The others neither keep threads from the guard nor from people who look at a list.
        let threads = (1..threads)
            .map(|_| tokio::task::spawn_blocking(|| std::thread::sleep(Duration::from_millis(1))));
        for thread in threads.collect::<Vec<_>>() {
            let thread = tokio::time::timeout(Duration::from_secs(20), thread);
            thread.await.expect("there is a thread").expect("it ends");
        }
        let list = world.send(Method::GET, "/api/decisions", Some(&vera), Value::Null).await;
        assert_eq!(list.status(), StatusCode::OK);
        drop(held);
        while let Some(status) = waiting.join_next().await {
            assert_eq!(status.expect("it ends"), StatusCode::OK);
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn many_records_are_all_there_or_nothing_leaves() {
    // The first record of an act about more than a thousand decisions is too much for this queue; the last is not.
    let options = Options { queue_bytes: 60_000, ..Options::default() };
    let world = World::of(1_002, Some(options));
    let rita = world.log_in("rita").await;
    let export = json!({ "q": "review:correct", "format": "labelled", "why": "to measure" });
    let taken = world.post("/api/export", Some(&rita), export).await;
    assert_eq!(taken.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(!String::from_utf8_lossy(taken.body()).contains(SECRET));
    let bulk = json!({ "q": "review:correct", "expect": 1_001, "verdict": "correct" });
    let judged = world.post("/api/bulk", Some(&rita), bulk).await;
    assert_eq!(judged.status(), StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edited_record_keeps_nobody_from_looking() {
    let world = World::new(true);
    let journal = world.journal.as_ref().expect("it is written");
    let (edited, whole) = (record(journal), record(journal));
    // Durable, and the index does not know it yet.
    judge(journal, &[whole]).durable().await.expect("the disk works");
    // Behind the back of the process that writes: what was decided about one.
    let segment = world.dir.path().join("00000000000000000001.jsonl");
    let text = std::fs::read_to_string(&segment).expect("it is there");
    let is_it = |line: &&str| line.contains("\"closed\"") && line.contains(&edited.to_string());
    let line = text.lines().find(is_it).expect("it is there");
    let forged = line.replace("\"allowed\"", "\"blocked\"");
    std::fs::write(&segment, text.replace(line, &forged)).expect("it is written");

    let rita = world.log_in("rita").await;
    let session = world.send(Method::GET, "/api/session", Some(&rita), Value::Null).await;
    let said = value(&session)["unsound"].as_str().expect("it is said").to_owned();
    assert!(said.contains("not as they were written: 1, the first in segment"), "{said}");
    let list = value(&world.send(Method::GET, "/api/decisions", Some(&rita), Value::Null).await);
    let rows = list["rows"].as_array().expect("rows").iter();
    let ids: Vec<&str> = rows.map(|row| row["id"].as_str().expect("an id")).collect();
    assert_eq!(ids, [whole.to_string(), world.id.to_string()]);
    let verdict = format!("/api/decisions/{whole}/verdict");
    let said = world.post(&verdict, Some(&rita), json!({ "verdict": "missed" })).await;
    assert_eq!(said.status(), StatusCode::OK);
    let row = value(&world.send(Method::GET, "/api/decisions", Some(&rita), Value::Null).await);
    assert_eq!(row["rows"][0]["review"], "disputed");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_removed_is_out_and_so_is_whoever_has_the_cookie() {
    let world = World::new(true);
    let rita = world.log_in("rita").await;
    let users = Users::new(world.dir.path().join("users.json"));
    let list =
        async || world.send(Method::GET, "/api/decisions", Some(&rita), Value::Null).await.status();
    assert_eq!(list().await, StatusCode::OK);
    // Added again before anything was asked, and once more after.
    for asked_between in [false, true] {
        users.remove("rita").expect("she is there");
        if asked_between {
            assert_eq!(list().await, StatusCode::UNAUTHORIZED);
        }
        users.add("rita", Role::PolicyAdmin, PASSWORD).expect("added");
        assert_eq!(list().await, StatusCode::UNAUTHORIZED);
    }
    world.log_in("rita").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_recorded_does_not_happen() {
    let world = World::new(false);
    let rita = world.log_in("rita").await;
    let list = world.send(Method::GET, "/api/decisions", Some(&rita), Value::Null).await;
    assert_eq!(value(&list)["rows"][0]["id"], world.id.to_string());
    let id = world.id;
    for (path, body) in [
        (format!("/api/decisions/{id}/reveal"), json!({ "why": "an appeal" })),
        (format!("/api/decisions/{id}/verdict"), json!({ "verdict": "correct" })),
        ("/api/bulk".to_owned(), json!({ "q": "", "expect": 1, "verdict": "correct" })),
        ("/api/export".to_owned(), json!({ "q": "", "format": "csv" })),
        ("/api/views".to_owned(), json!({ "name": "a", "filter": "" })),
    ] {
        let response = world.post(&path, Some(&rita), body).await;
        assert_eq!(response.status(), StatusCode::CONFLICT, "{path}");
        assert!(!String::from_utf8_lossy(response.body()).contains(SECRET));
    }
    for path in ["count", "decisions", "tail", "facets", "timeline", "overview"] {
        let path = format!("/api/{path}?q=%22caller%22");
        let search = world.send(Method::GET, &path, Some(&rita), Value::Null).await;
        assert_eq!(search.status(), StatusCode::CONFLICT, "{path}");
    }
}
