//! Policies that are fetched: signed, for whom, in which order and until when; and everything else that a server, or
//! whoever holds it, may answer instead.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use policies_signed::{SecretKey, Statement, sign};
use proxy_audit::Action;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::support::{Guard, POLICY, Reply, Script, Upstream, chat, post, raw};

/// Under a policy with an odd number the trigger is noted, under an even one it is blocked.
pub fn policy(number: u64) -> String {
    let action = if number.is_multiple_of(2) { "block" } else { "flag" };
    POLICY.replace("name: test", &format!("name: p{number}")).replace(
        "specialized_advice: { input: flag, output: flag, tools: flag }",
        &format!("specialized_advice: {{ input: {action}, output: {action}, tools: {action} }}"),
    )
}

fn statement(serial: u64) -> Statement {
    Statement { audience: Some("kids".to_owned()), serial, expires: None, policy: policy(serial) }
}

fn key() -> SecretKey {
    SecretKey::generate().unwrap()
}

fn by(key: &SecretKey, statement: &Statement) -> Does {
    let key: SecretKey = key.to_pem().parse().unwrap();
    Does::Say(sign(statement, &[key]).into_bytes())
}

/// What the server of policies does.
#[derive(Clone, Debug)]
enum Does {
    /// Answers with this, and says 304 to who has it.
    Say(Vec<u8>),
    /// Answers with this head and nothing else.
    Head(&'static str),
    /// Promises more than it sends.
    Cut(Vec<u8>),
    /// Sends a byte now and then, without an end.
    Drip,
    /// Sends without an end.
    Flood,
}

impl Does {
    async fn with(self, stream: &mut TcpStream, head: &str) -> std::io::Result<()> {
        let close = "connection: close\r\n";
        match self {
            Self::Say(body) => {
                let tag = format!("\"{:x}\"", crc(&body));
                if head.contains(&tag) {
                    let answer = format!("HTTP/1.1 304 Not Modified\r\n{close}\r\n");
                    return stream.write_all(answer.as_bytes()).await;
                }
                let length = body.len();
                let head = format!(
                    "HTTP/1.1 200 OK\r\n{close}etag: {tag}\r\ncontent-length: {length}\r\n\r\n"
                );
                stream.write_all(head.as_bytes()).await?;
                stream.write_all(&body).await
            }
            Self::Head(head) => {
                let answer = format!("HTTP/1.1 {head}\r\n{close}content-length: 0\r\n\r\n");
                stream.write_all(answer.as_bytes()).await
            }
            Self::Cut(body) => {
                let head =
                    format!("HTTP/1.1 200 OK\r\n{close}content-length: {}\r\n\r\n", body.len());
                stream.write_all(head.as_bytes()).await?;
                stream.write_all(&body[..body.len() / 2]).await
            }
            Self::Drip | Self::Flood => {
                stream.write_all(format!("HTTP/1.1 200 OK\r\n{close}\r\n").as_bytes()).await?;
                loop {
                    match self {
                        Self::Flood => stream.write_all(&[b' '; 65_536]).await?,
                        _ => {
                            stream.write_all(b" ").await?;
                            tokio::time::sleep(Duration::from_millis(200)).await;
                        }
                    }
                }
            }
        }
    }
}

/// A name for bytes.
fn crc(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3)
    })
}

/// A server of policies.
struct Place {
    address: SocketAddr,
    does: Arc<Mutex<Does>>,
    asked: Arc<AtomicUsize>,
    _connections: JoinSet<()>,
}

impl Place {
    async fn start(does: Does) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (does, asked) = (Arc::new(Mutex::new(does)), Arc::new(AtomicUsize::new(0)));
        let (told, count) = (Arc::clone(&does), Arc::clone(&asked));
        let mut connections = JoinSet::new();
        connections.spawn(async move {
            let mut all = JoinSet::new();
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let does = told.lock().unwrap().clone();
                let count = Arc::clone(&count);
                all.spawn(async move {
                    let mut head = [0; 8192];
                    let length = stream.read(&mut head).await.unwrap_or_default();
                    let head = String::from_utf8_lossy(&head[..length]).into_owned();
                    count.fetch_add(1, Ordering::Relaxed);
                    // The guard may have had enough.
                    let _sent = does.with(&mut stream, &head).await;
                });
            }
        });
        Self { address, does, asked, _connections: connections }
    }

    fn now(&self, does: Does) {
        *self.does.lock().unwrap() = does;
    }
}

/// A guard's folder, and its settings.
struct Setup {
    dir: Arc<TempDir>,
    admin: SocketAddr,
    settings: String,
    upstream: Upstream,
}

impl Setup {
    async fn new(place: &Place, keys: &[&SecretKey], more: &str) -> Self {
        let admin = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let keys: Vec<String> = keys.iter().map(|key| key.public().to_string()).collect();
        let settings = format!(
            "admin: {admin}\npolicy:\n  url: \"http://{}/policy?token=secret\"\n  keys: [{}]\n  audience: kids\n  \
             refresh_seconds: 1\n{more}",
            place.address,
            keys.join(", ")
        );
        let upstream = Upstream::start(Script::say("PORTCULLIS-TEST-S6")).await;
        Self { dir: Arc::new(tempfile::tempdir().unwrap()), admin, settings, upstream }
    }

    fn start(&self) -> Guard {
        self.try_start().unwrap_or_else(|said| panic!("{said}"))
    }

    fn try_start(&self) -> Result<Guard, String> {
        Guard::settled(&self.dir, &self.upstream.url(), &self.settings)
    }

    fn kept(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join("audit/policy").join(name)
    }

    async fn get(&self, path: &str) -> Reply {
        let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        raw(self.admin, request.as_bytes()).await
    }

    async fn metric(&self, name: &str) -> i64 {
        let metrics = self.get("/metrics").await.body;
        let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("{name} is not in\n{metrics}")).parse().unwrap()
    }

    async fn fetches(&self, result: &str) -> i64 {
        self.metric(&format!("guard_policy_fetches_total{{result=\"{result}\"}}")).await
    }

    async fn until_ready(&self, status: u16) {
        let started = Instant::now();
        while self.get("/readyz").await.status != status {
            assert!(
                started.elapsed() < Duration::from_secs(20),
                "{}",
                self.get("/readyz").await.body
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

pub async fn ask(guard: &Guard) -> Reply {
    post(guard.address, &[], chat("PORTCULLIS-TEST-S6", false).to_string().as_bytes()).await
}

/// The number of the policy that decided, and the status.
pub fn decided(reply: &Reply) -> (u64, u16) {
    let label = &reply.headers["x-guard-policy"];
    let number = label.strip_prefix('p').and_then(|rest| rest.split_once('@')?.0.parse().ok());
    (number.unwrap_or_else(|| panic!("{label}")), reply.status)
}

pub async fn until(guard: &Guard, number: u64) {
    let started = Instant::now();
    while decided(&ask(guard).await).0 != number {
        assert!(started.elapsed() < Duration::from_secs(20), "{number} is never in force");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn portcullis(args: &[&str]) -> Output {
    Command::new(Guard::binary()).args(args).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn newer_policies_come_into_force_while_requests_run() {
    let key = key();
    let place = Place::start(by(&key, &statement(1))).await;
    let setup = Setup::new(&place, &[&key], "").await;
    let guard = setup.start();
    let over = Arc::new(AtomicBool::new(false));
    let mut callers = JoinSet::new();
    for _ in 0..4 {
        let (address, over) = (guard.address, Arc::clone(&over));
        callers.spawn(async move {
            let mut seen = Vec::new();
            let body = chat("PORTCULLIS-TEST-S6", false).to_string();
            while !over.load(Ordering::Relaxed) {
                seen.push(decided(&post(address, &[], body.as_bytes()).await));
            }
            seen
        });
    }
    // By itself, and when it is asked to look.
    for serial in 2..=9 {
        place.now(by(&key, &statement(serial)));
        if serial > 3 {
            guard.signal("HUP");
        }
        until(&guard, serial).await;
    }
    assert_eq!(setup.metric("guard_policy_serial").await, 9);
    let asked = place.asked.load(Ordering::Relaxed);
    while place.asked.load(Ordering::Relaxed) < asked + 2 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(setup.fetches("unchanged").await >= 1, "304 is no news");
    over.store(true, Ordering::Relaxed);
    let mut seen = BTreeMap::new();
    for answer in callers.join_all().await.into_iter().flatten() {
        *seen.entry(answer).or_insert(0) += 1;
    }
    // Never a policy's name with another's decision.
    for ((number, status), count) in &seen {
        let expected = if number.is_multiple_of(2) { 400 } else { 200 };
        assert_eq!(*status, expected, "{count} answers of {number}");
    }
    assert_eq!(seen.len(), 9, "{seen:?}");
    for closed in guard.closed() {
        let number: u64 =
            closed.policy.as_deref().unwrap()[1..].split_once('@').unwrap().0.parse().unwrap();
        let expected = if number.is_multiple_of(2) { Action::Block } else { Action::Flag };
        assert_eq!(closed.input.as_ref().unwrap().action, expected, "{number}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_else_that_a_server_says_changes_anything() {
    let (good, stranger) = (key(), key());
    let place = Place::start(by(&good, &statement(5))).await;
    let setup = Setup::new(&place, &[&good], "").await;
    let guard = setup.start();
    until(&guard, 5).await;
    let Does::Say(next) = by(&good, &statement(6)) else { panic!() };
    let altered = |at: usize| {
        let mut bytes = next.clone();
        bytes[at] = if bytes[at] == b'B' { b'C' } else { b'B' };
        Does::Say(bytes)
    };
    let with = |change: fn(&mut Statement)| {
        let mut statement = statement(6);
        change(&mut statement);
        by(&good, &statement)
    };
    let named = |name: &str| {
        let forged = String::from_utf8(sign(&statement(6), &[key()]).into_bytes()).unwrap();
        let start = forged.find("ed25519:").unwrap();
        Does::Say(forged.replace(&forged[start..start + 72], name).into_bytes())
    };
    let cases: Vec<(&str, Does, &str)> = vec![
        ("a stranger's", by(&stranger, &statement(6)), "unknown_key"),
        ("a stranger's in another's name", named(&good.public().to_string()), "forged"),
        ("altered policy", altered(150), "forged"),
        ("altered type", altered(20), "malformed"),
        ("cut, and said to be whole", Does::Say(next[..next.len() / 2].to_vec()), "malformed"),
        ("cut", Does::Cut(next.clone()), "unreachable"),
        ("older", by(&good, &statement(4)), "rollback"),
        ("the same number", with(|statement| statement.serial = 5), "rollback"),
        ("over", with(|statement| statement.expires = Some(Timestamp::now())), "expired"),
        ("for others", with(|statement| statement.audience = Some("staff".to_owned())), "audience"),
        ("for nobody", with(|statement| statement.audience = None), "audience"),
        ("no policy", with(|statement| statement.policy = "version: 1\n".to_owned()), "policy"),
        (
            "one that fails its tests",
            with(|statement| {
                statement.policy += "tests: [{ name: no, at: input, scores: { hate: 1 }, expect: { action: allow } }]\n";
            }),
            "policy",
        ),
        (
            "one that needs who is not there",
            with(|statement| {
                statement.policy = statement
                    .policy
                    .replace("timeout:", "instead: { llama_guard: [llama_guard_local] }, timeout:");
            }),
            "policy",
        ),
        ("a plain policy", Does::Say(policy(6).into_bytes()), "malformed"),
        ("a page", Does::Say(b"<!doctype html><title>Log in</title>".to_vec()), "malformed"),
        ("nothing", Does::Say(Vec::new()), "malformed"),
        ("404", Does::Head("404 Not Found"), "status"),
        ("500", Does::Head("500 Oops"), "status"),
        ("no content", Does::Head("204 No Content"), "status"),
        ("a redirect", Does::Head("302 Found\r\nlocation: http://127.0.0.1:1/"), "status"),
        ("without an end", Does::Flood, "too_large"),
        ("slow", Does::Drip, "slow"),
    ];
    for (what, does, result) in cases {
        let before = setup.fetches(result).await;
        place.now(does);
        guard.signal("HUP");
        let started = Instant::now();
        while setup.fetches(result).await == before {
            assert!(started.elapsed() < Duration::from_secs(30), "{what} is never {result}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(decided(&ask(&guard).await), (5, 200), "{what}");
        assert_eq!(setup.metric("guard_policy_serial").await, 5, "{what}");
        assert_eq!(setup.get("/readyz").await.status, 200, "{what}");
    }
    guard.says("no new policy was taken").await;
    place.now(Does::Say(next));
    until(&guard, 6).await;
    guard.says("a signed policy is in force").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_server_what_was_kept_goes_on_and_nothing_older() {
    let key = key();
    let place = Place::start(Does::Head("500 Oops")).await;
    let setup = Setup::new(&place, &[&key], "").await;
    let refuses = |why: &str| {
        let said = setup.try_start().err().unwrap_or_else(|| panic!("it started: {why}"));
        assert!(said.contains(why), "{said}");
    };
    refuses("status 500; and none is kept in");
    let config = setup.dir.path().join("server.yaml").display().to_string();
    let audit = setup.dir.path().join("audit").display().to_string();
    let with = ["--config", &config, "--audit-dir", &audit, "--upstream", &setup.upstream.url()];
    let serve = portcullis(&[&["serve"], &with[..]].concat());
    assert_eq!(serve.status.code(), Some(3), "{}", said(&serve));
    assert!(!said(&serve).contains("token=secret"), "{}", said(&serve));
    place.now(by(&key, &statement(3)));
    until(&setup.start(), 3).await;
    // Gone, or back with an old one: the last one goes on.
    for does in [Does::Head("500 Oops"), by(&key, &statement(2))] {
        place.now(does);
        let guard = setup.start();
        until(&guard, 3).await;
        setup.until_ready(200).await;
        assert_eq!(setup.metric("guard_policy_serial").await, 3);
    }
    let doctor = said(&portcullis(&[&["doctor"], &with[..]].concat()));
    assert!(doctor.contains("FAIL  policy") && doctor.contains("serial 3"), "{doctor}");
    // What was kept is believed no more than what is fetched, and an old one is none in its place.
    let kept = std::fs::read(setup.kept("policy.dsse.json")).unwrap();
    let mut damaged = kept.clone();
    damaged[200] ^= 4;
    std::fs::write(setup.kept("policy.dsse.json"), &damaged).unwrap();
    refuses("its serial is 2, and 3 was seen");
    std::fs::remove_file(setup.kept("policy.dsse.json")).unwrap();
    refuses("its serial is 2, and 3 was seen");
    place.now(by(&key, &statement(4)));
    until(&setup.start(), 4).await;
    place.now(Does::Head("500 Oops"));
    std::fs::write(setup.kept("serial"), "").unwrap();
    refuses("is damaged");
    std::fs::write(setup.kept("serial"), "4\n").unwrap();
    until(&setup.start(), 4).await;
    // Nor is an old one that was put in its place.
    std::fs::write(setup.kept("policy.dsse.json"), &kept).unwrap();
    refuses("there is no policy");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_policy_is_loud_and_blocks_if_it_is_told_to() {
    let key = key();
    let short = |serial| Statement {
        expires: Some(Timestamp::now() + SignedDuration::from_secs(12)),
        ..statement(serial)
    };
    let place = Place::start(by(&key, &short(1))).await;
    let keep = Setup::new(&place, &[&key], "").await;
    let block = Setup::new(&place, &[&key], "  on_expiry: block\n").await;
    let (keeps, blocks) = (keep.start(), block.start());
    for (setup, guard) in [(&keep, &keeps), (&block, &blocks)] {
        setup.until_ready(200).await;
        assert_eq!(decided(&ask(guard).await), (1, 200));
        assert_eq!(setup.metric("guard_policy_expired").await, 0);
    }
    for (setup, guard) in [(&keep, &keeps), (&block, &blocks)] {
        setup.until_ready(503).await;
        assert!(setup.get("/readyz").await.body.contains("the policy has expired"));
        assert_eq!(setup.metric("guard_policy_expired").await, 1);
        guard.says("the policy in force has expired").await;
    }
    assert_eq!(decided(&ask(&keeps).await), (1, 200));
    let forwarded = block.upstream.received().len();
    let reply = ask(&blocks).await;
    assert_eq!((reply.status, reply.code()), (503, "policy_expired".to_owned()));
    assert_eq!(block.upstream.received().len(), forwarded);
    assert_eq!(blocks.closed().last().unwrap().reason.as_deref(), Some("policy_expired"));
    // A start is no way around it.
    drop((keeps, blocks));
    let (keeps, blocks) = (keep.start(), block.start());
    assert_eq!(decided(&ask(&keeps).await), (1, 200));
    assert_eq!(ask(&blocks).await.code(), "policy_expired");
    place.now(by(&key, &statement(2)));
    for (setup, guard) in [(&keep, &keeps), (&block, &blocks)] {
        until(guard, 2).await;
        setup.until_ready(200).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_exchanged_one_after_the_other() {
    let (old, new) = (key(), key());
    let place = Place::start(by(&old, &statement(1))).await;
    let setup = Setup::new(&place, &[&old, &new], "").await;
    let guard = setup.start();
    until(&guard, 1).await;
    place.now(by(&new, &statement(2)));
    until(&guard, 2).await;
    drop(guard);
    // The old key is no longer believed; what the new one has signed goes on.
    let both = format!("{}, ", old.public());
    let setup = Setup { settings: setup.settings.replace(&both, ""), ..setup };
    place.now(by(&old, &statement(3)));
    let guard = setup.start();
    until(&guard, 2).await;
    assert!(setup.fetches("unknown_key").await >= 1);
    // And signed by both, for guards that know either.
    let [old, new] = [old, new].map(|key| key.to_pem().parse().unwrap());
    place.now(Does::Say(sign(&statement(4), &[old, new]).into_bytes()));
    until(&guard, 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commands_make_what_guards_take() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let written = |name: &str, text: &str| std::fs::write(path(name), text).unwrap();
    let made = portcullis(&["policy", "keygen", &path("fleet")]);
    assert_eq!(made.status.code(), Some(0), "{}", said(&made));
    let mode = std::fs::metadata(path("fleet.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // Keys are never written over.
    assert_eq!(portcullis(&["policy", "keygen", &path("fleet")]).status.code(), Some(3));
    portcullis(&["policy", "keygen", &path("other")]);
    written("p8.yaml", &policy(8));
    let signs = |file: &str, more: &[&str]| {
        let (file, key, output) = (path(file), path("fleet.key"), path("signed"));
        let args = ["policy", "sign", &file, "--key", &key, "--output", &output];
        portcullis(&[&args[..], more].concat())
    };
    let signed = signs("p8.yaml", &["--serial", "8", "--expires", "30 days", "--audience", "kids"]);
    assert_eq!(signed.status.code(), Some(0), "{}", said(&signed));
    let verify = |more: &[&str]| {
        let (file, key) = (path("signed"), path("fleet.pub"));
        portcullis(&[&["policy", "verify", &file, "--key", &key], more].concat())
    };
    let verified = verify(&["--audience", "kids"]);
    assert_eq!(verified.status.code(), Some(0), "{}", said(&verified));
    for text in ["serial     8", "audience   kids", "policy     p8@"] {
        assert!(said(&verified).contains(text), "{}", said(&verified));
    }
    assert_eq!(said(&verify(&["--print"])), policy(8));
    assert_eq!(verify(&["--audience", "staff"]).status.code(), Some(1));
    let other = portcullis(&["policy", "verify", &path("signed"), "--key", &path("other.pub")]);
    assert_eq!(other.status.code(), Some(1));
    assert!(said(&other).contains("not signed by a key that is listed"), "{}", said(&other));
    // What guards would refuse is not signed.
    written("broken.yaml", "version: 1\n");
    assert_eq!(signs("broken.yaml", &[]).status.code(), Some(3));
    assert_eq!(signs("p8.yaml", &["--expires", "2020-01-01"]).status.code(), Some(2));
    assert_eq!(signs("p8.yaml", &["--expires", "soon"]).status.code(), Some(2));
    assert_eq!(signs("p8.yaml", &["--serial", "0"]).status.code(), Some(2));

    // From the command line to a guard, which is told the key as a file.
    let place = Place::start(Does::Say(std::fs::read(path("signed")).unwrap())).await;
    let url = format!("http://{}/", place.address);
    let fetched = portcullis(&["policy", "verify", &url, "--key", &path("fleet.pub")]);
    assert_eq!(fetched.status.code(), Some(0), "{}", said(&fetched));
    let setup = Setup::new(&place, &[], "").await;
    let settings =
        setup.settings.replace("keys: []", &format!("keys: [\"{}\"]", path("fleet.pub")));
    let setup = Setup { settings, ..setup };
    let guard = setup.start();
    until(&guard, 8).await;

    for (settings, code, why) in [
        ("policy: { url: \"http://example.com/p\", keys: [KEY] }", 2, "must begin with https://"),
        ("policy: { url: \"https://example.com/p\" }", 2, "needs `keys`"),
        ("policy: { url: \"https://example.com/p\", keys: [ed25519:00] }", 3, "a public key is"),
        ("policy: { file: a, url: \"https://example.com/p\" }", 2, "not both"),
        ("policy: { file: default, keys: [KEY] }", 2, "belong to a policy at a `url`"),
        (
            "policy: { url: \"https://example.com/p\", keys: [KEY], watch: true }",
            2,
            "`watch` is for",
        ),
        ("policy: { path: a }", 3, "path"),
    ] {
        written("server.yaml", &settings.replace("KEY", &path("fleet.pub")));
        let (config, audit) = (path("server.yaml"), path("audit"));
        let upstream = ["serve", "--upstream", "http://127.0.0.1:1", "--audit-dir", &audit];
        let output = portcullis(&[&upstream[..], &["--config", &config]].concat());
        assert_eq!(output.status.code(), Some(code), "{settings}: {}", said(&output));
        assert!(said(&output).contains(why), "{settings}: {}", said(&output));
    }
}
