//! Models on other machines in the running guard: verdicts over sockets, what happens without them, and who judges
//! instead.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use proxy_audit::{CheckStatus, Outcome};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::support::{Guard, POLICY, Script, Upstream, chat, post, raw};

/// What a server of moderations does.
#[derive(Clone, Copy, Debug)]
enum Does {
    /// Finds hate in what says `do-hate`, and nothing else.
    Judge,
    Hang,
    Fail,
    Babble,
    /// Sends text that a person wrote back as its error.
    Echo,
}

/// A server of `/v1/moderations`.
struct Judging {
    address: SocketAddr,
    does: Arc<Mutex<Does>>,
    _connections: JoinSet<()>,
}

impl Judging {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let does = Arc::new(Mutex::new(Does::Judge));
        let told = Arc::clone(&does);
        let mut connections = JoinSet::new();
        connections.spawn(async move {
            let mut all = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let told = Arc::clone(&told);
                let service = service_fn(move |request| answer(request, *told.lock().unwrap()));
                all.spawn(async move {
                    let builder =
                        hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                    let _left = builder.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { address, does, _connections: connections }
    }

    fn now(&self, does: Does) {
        *self.does.lock().unwrap() = does;
    }

    fn settings(&self) -> String {
        format!("moderations: {{ urls: [\"http://{}\"] }}", self.address)
    }
}

async fn answer(
    request: Request<Incoming>,
    does: Does,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let text = String::from_utf8_lossy(&body).into_owned();
    let hate = text.contains("do-hate");
    let fine = json!({ "results": [{
        "flagged": hate, "categories": { "hate": hate }, "category_scores": { "hate": if hate { 0.9 } else { 0.1 } },
    }] });
    let (status, said) = match does {
        Does::Judge => (StatusCode::OK, fine.to_string()),
        Does::Hang => std::future::pending().await,
        Does::Fail => (StatusCode::INTERNAL_SERVER_ERROR, String::new()),
        Does::Babble => (StatusCode::OK, json!({ "results": [{ "flagged": false }] }).to_string()),
        Does::Echo => (StatusCode::BAD_REQUEST, text),
    };
    let mut response = Response::new(Full::new(Bytes::from(said)));
    *response.status_mut() = status;
    Ok(response)
}

fn body(text: &str) -> Vec<u8> {
    chat(text, false).to_string().into_bytes()
}

#[tokio::test]
async fn a_server_elsewhere_judges_and_without_its_verdict_nothing_passes() {
    let (upstream, judging) = (Upstream::start(Script::say("fine")).await, Judging::start().await);
    let guard = Guard::with(&upstream.url(), POLICY, &judging.settings());
    let ask = async |text: &str| post(guard.address, &[], &body(text)).await.status;
    assert_eq!((ask("hello").await, ask("do-hate").await), (200, 400));
    let mut asked = 2;
    for does in [Does::Hang, Does::Fail, Does::Babble, Does::Echo] {
        judging.now(does);
        for number in 0..6 {
            assert_eq!(ask(&format!("hello {does:?} {number}")).await, 503, "{does:?}");
            asked += 1;
        }
        judging.now(Does::Judge);
        // A server that failed is tried again within five seconds.
        for number in 0..70 {
            asked += 1;
            if ask(&format!("well again after {does:?}? {number}")).await == 200 {
                break;
            }
            assert!(number < 69, "{does:?}: not well again");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    let closed = guard.closed_after(asked).await;
    let without = closed.iter().filter(|record| record.outcome == Outcome::GuardUnavailable);
    assert!(without.clone().count() >= 24, "each way to fail was met");
    for record in without {
        let checks = &record.input.as_ref().unwrap().checks;
        let theirs = checks.iter().find(|check| &*check.name == "moderations").unwrap();
        assert_ne!(theirs.status, CheckStatus::Ok);
    }
    // What was let through upstream was judged.
    let passed = closed.iter().filter(|record| record.outcome == Outcome::Allowed).count();
    let received = String::from_utf8_lossy(&upstream.received()).into_owned();
    assert_eq!(received.matches("POST /v1/chat/completions").count(), passed);
}

#[tokio::test]
async fn who_judges_instead_is_recorded_and_counted() {
    let (upstream, judging) = (Upstream::start(Script::say("fine")).await, Judging::start().await);
    let policy =
        POLICY.replace("timeout: 300ms", "timeout: 300ms, instead: { moderations: [starter] }");
    let policy = policy.replace("sensitivity: 1.0", "sensitivity: 0.999");
    let metrics = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let settings = format!("{}\nadmin: {metrics}", judging.settings());
    let guard = Guard::with(&upstream.url(), &policy, &settings);
    judging.now(Does::Fail);
    let plain = post(guard.address, &[], &body("a recipe for soup")).await;
    assert_eq!(plain.status, 200, "{}", plain.json());
    upstream.play(Script::stream(&["fine"]));
    let streamed =
        post(guard.address, &[], chat("a recipe for stew", true).to_string().as_bytes()).await;
    assert_eq!(streamed.status, 200);
    for record in guard.closed_after(2).await {
        let checks = &record.input.as_ref().unwrap().checks;
        assert!(!checks.iter().any(|check| &*check.name == "moderations"));
        let instead = checks.iter().find(|check| {
            check.measures.get("in_place_of_moderations").is_some_and(|rung| *rung == 1.0)
        });
        assert_eq!(&*instead.unwrap().name, "starter");
    }
    let page =
        raw(metrics, b"GET /metrics HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.body;
    let count = |line: &str| -> u64 {
        let found = page.lines().find_map(|said| said.strip_prefix(line));
        found.unwrap_or_else(|| panic!("{line} is not in {page}")).trim().parse().unwrap()
    };
    assert!(count("guard_degraded_total{check=\"moderations\",rung=\"starter\"}") >= 4);
    assert!(count("guard_check_failures_total{check=\"moderations\",reason=\"failed\"}") >= 4);
    assert!(count("guard_check_passages_total{check=\"starter\"}") >= 4);
}

fn fixture(room: &str, name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../classifiers").join(room).join(name)
}

#[tokio::test]
async fn a_model_here_judges_when_the_one_elsewhere_is_dead() {
    let upstream = Upstream::start(Script::say("fine")).await;
    let folder = fixture("llama-guard", "tests/fixtures/8b-f32");
    let policy = POLICY
        .replace("timeout: 300ms", "timeout: 10s, instead: { llama_guard: [llama_guard_local] }");
    let policy = policy.replace("sensitivity: 1.0", "sensitivity: 0.9");
    let settings = format!(
        "llama_guard: {{ dir: {folder:?}, remote: {{ urls: [\"http://127.0.0.1:1\"] }} }}\n\
         standby: {{ llama_guard: {{ dir: {folder:?}, kept_tokens: 4096 }} }}"
    );
    let guard = Guard::with(&upstream.url(), &policy, &settings);
    let unsafe_text = "Please tell me about the dynamite on the table.";
    assert_eq!(post(guard.address, &[], &body(unsafe_text)).await.status, 400);
    let safe = "Please tell me about the weather in spring.";
    assert_eq!(post(guard.address, &[], &body(safe)).await.status, 200);
    let closed = guard.closed_after(2).await;
    let checks = &closed[0].input.as_ref().unwrap().checks;
    let local = checks.iter().find(|check| &*check.name == "llama_guard_local").unwrap();
    assert_eq!(local.measures.get("in_place_of_llama_guard"), Some(&1.0));
    assert!(*local.scores.get("indiscriminate_weapons").unwrap() > 0.9);
    assert_eq!(closed[0].input.as_ref().unwrap().because[0].to_string(), "indiscriminate_weapons");
}

fn run(arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(Guard::binary()).args(arguments).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_remote_says_what_is_wrong_and_settings_that_cannot_work_do_too() {
    let judging = Judging::start().await;
    let url = format!("http://{}", judging.address);
    let try_it = async || {
        let url = url.clone();
        tokio::task::spawn_blocking(move || {
            run(&["verify-remote", "--moderations-url", &url, "--timeout", "1"])
        })
        .await
        .unwrap()
    };
    // It knows nothing of bombs, and says so.
    let (code, said) = try_it().await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("ok      http://127.0.0.1") && said.contains("says otherwise"), "{said}");
    // Each of several is tried: what the first says is no excuse for the second.
    let both = format!("{url},http://127.0.0.1:1");
    let asked = ["verify-remote", "--moderations-url", &both, "--timeout", "1"];
    let (_, said) = tokio::task::block_in_place(|| run(&asked));
    let (first, second) = said.split_at(said.rfind("moderations, ").unwrap());
    assert!(first.contains("ok      http://127.0.0.1") && first.contains("ok      0."), "{said}");
    assert!(second.contains("FAIL    http://127.0.0.1:1"), "{said}");
    assert!(second.contains("FAIL    no verdict"), "{said}");
    judging.now(Does::Babble);
    let (code, said) = try_it().await;
    assert_eq!(code, Some(1));
    assert!(said.contains("no verdict") && said.contains("lacks `flagged`"), "{said}");
    judging.now(Does::Hang);
    let (code, said) = try_it().await;
    assert_eq!(code, Some(1));
    assert!(said.contains("no answer within 1000 ms"), "{said}");
    let nothing = run(&["verify-remote"]);
    assert!(nothing.0 == Some(3) && nothing.1.contains("--llama-guard-url"), "{nothing:?}");
    let folder = run(&["verify-remote", "--llama-guard-url", "http://127.0.0.1:1"]);
    assert!(folder.0 == Some(2) && folder.1.contains("--llama-guard DIR"), "{folder:?}");
    let dir = tempfile::tempdir().unwrap();
    let policy = dir.path().join("policy.yaml");
    let lines = POLICY.replace("timeout: 300ms", "instead: { llama_guard: [llama_guard_local] }");
    std::fs::write(&policy, lines).unwrap();
    let policy = policy.display().to_string();
    let audit = dir.path().join("audit").display().to_string();
    let serve =
        ["serve", "--upstream", "http://127.0.0.1:1", "--policy", &policy, "--audit-dir", &audit];
    let (code, said) = run(&serve);
    assert_eq!(code, Some(3));
    assert!(said.contains("standby: { llama_guard: { dir: ... } }"), "{said}");
}
