//! A guard whose audit log goes on to a real NATS server; `proxy/sinks` tests what becomes of records when the server
//! fails.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use proxy_audit::{Acted, Journal, Options};
use tempfile::TempDir;

use crate::lifecycle::Authority;
use crate::support::nats::Server;
use crate::support::{Guard, Reply, Script, Upstream, chat, post, raw};

const SUBJECT: &str = "portcullis.audit";

fn free() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

async fn say(guard: &Guard, text: &str) -> Reply {
    post(guard.address, &[], chat(text, false).to_string().as_bytes()).await
}

async fn get(admin: SocketAddr, path: &str) -> Reply {
    let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    raw(admin, request.as_bytes()).await
}

fn settings(url: &str, admin: SocketAddr, more: &str) -> String {
    format!(
        "admin: {admin}\ninstance: g1\naudit: {{ sinks: {{ nats: {{ urls: [\"{url}\"]{more} }} }} }}\n"
    )
}

/// What `doctor` says of these settings.
fn doctor(dir: &Path, upstream: &Upstream, settings: &str) -> (bool, String) {
    let config = dir.join("doctor.yaml");
    std::fs::write(&config, settings).unwrap();
    let mut command = Command::new(Guard::binary());
    command.args(["doctor", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    command.args(["--upstream", &upstream.url()]).arg("--config").arg(config);
    let output = command.arg("--audit-dir").arg(dir.join("doctor")).output().unwrap();
    (output.status.success(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

/// Waits until the stream has as many messages as the log has lines.
async fn caught_up(server: &Server, guard: &Guard) {
    let started = Instant::now();
    let written = proxy_audit::tail(&guard.audit_dir(), u64::MAX).unwrap().len() as u64;
    while server.messages() < written {
        assert!(started.elapsed() < Duration::from_secs(20), "{} of {written}", server.messages());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn decisions_go_on_while_nats_is_away_and_all_of_them_arrive() {
    let Some(mut server) = Server::start("") else { return };
    server.add_stream(SUBJECT);
    let upstream = Upstream::start(Script::say("ok")).await;
    let (dir, admin) = (Arc::new(TempDir::new().unwrap()), free());
    let settings = settings(&format!("nats://{}", server.address), admin, "");
    let guard = Guard::on(&dir, &upstream.url(), &settings);
    assert_eq!(say(&guard, "hello").await.status, 200);
    caught_up(&server, &guard).await;
    assert!(get(admin, "/metrics").await.body.contains("guard_sink_up{sink=\"nats\"} 1"));

    server.signal("STOP");
    assert_eq!(say(&guard, "hello").await.status, 200);
    server.signal("CONT");
    caught_up(&server, &guard).await;
    server.kill();
    guard.says("the audit log is not sent on").await;
    for _ in 0..20 {
        assert_eq!(say(&guard, "hello").await.status, 200);
    }
    assert_eq!(get(admin, "/readyz").await.status, 200);
    assert!(get(admin, "/metrics").await.body.contains("guard_sink_up{sink=\"nats\"} 0"));
    // A guard that is killed goes on where it was; one that ends in order sends its last record.
    drop(guard);
    server.restart("");
    let mut guard = Guard::on(&dir, &upstream.url(), &settings);
    assert_eq!(say(&guard, "PORTCULLIS-TEST-S1").await.status, 400);
    guard.signal("TERM");
    assert!(guard.wait().success());
    let written = proxy_audit::tail(&guard.audit_dir(), u64::MAX).unwrap().len() as u64;
    assert_eq!(server.messages(), written, "each record once");
}

/// A server that asks for TLS, a certificate and a password; one that lets nobody in is said, and holds nobody up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nats_is_reached_by_tls_and_a_password_and_who_cannot_come_in_is_told_why() {
    let Some(mut server) = Server::start("") else { return };
    server.add_stream(SUBJECT);
    server.kill();
    let dir = Arc::new(TempDir::new().unwrap());
    let at = |file: &str| dir.path().join(file).display().to_string();
    let authority = Authority::new(dir.path());
    authority.issue("localhost", "nats");
    authority.issue("guard", "guard");
    server.restart(&format!(
        "tls: {{ cert_file: \"{}\", key_file: \"{}\", ca_file: \"{}\", verify: true }}\n\
         authorization: {{ user: guard, password: geheim }}\n",
        at("nats.pem"),
        at("nats.key"),
        at("ca.pem")
    ));
    let upstream = Upstream::start(Script::say("ok")).await;
    let url = format!("tls://localhost:{}", server.address.port());
    let own = format!(
        ", username: guard, password_file: {}, ca_file: {}, cert_file: {}, cert_key_file: {}",
        at("password"),
        at("ca.pem"),
        at("guard.pem"),
        at("guard.key")
    );
    let admin = free();
    std::fs::write(at("password"), "falsch\n").unwrap();
    let settings = settings(&url, admin, &own);
    let (well, said) = doctor(dir.path(), &upstream, &settings);
    assert!(!well && said.contains("FAIL  sinks        NATS cannot be reached"), "{said}");
    let mut guard = Guard::on(&dir, &upstream.url(), &settings);
    guard.says("the audit log is not sent on").await;
    assert_eq!(say(&guard, "hello").await.status, 200);

    // The password is read again for each connection.
    std::fs::write(at("password"), "geheim\n").unwrap();
    guard.says("the audit log is sent on").await;
    let (_, said) = doctor(dir.path(), &upstream, &settings);
    let expected = "ok    sinks        the stream AUDIT of NATS takes the audit log";
    assert!(said.contains(expected) && !said.contains("geheim"), "{said}");
    assert!(!get(admin, "/metrics").await.body.contains("geheim"));
    guard.signal("TERM");
    assert!(guard.wait().success());
    server.kill();
    server.restart("");
    let written = proxy_audit::tail(&guard.audit_dir(), u64::MAX).unwrap().len() as u64;
    assert_eq!(server.messages(), written);
}

#[tokio::test]
async fn settings_that_cannot_be_honoured_are_said() {
    let upstream = Upstream::start(Script::say("ok")).await;
    let dir = TempDir::new().unwrap();
    for (url, more, why) in [
        ("nats://nats.example.com", "", "write tls://, or say `unencrypted: true`"),
        ("tls://user:geheim@nats.example.com", "", "holds no user name"),
        ("http://127.0.0.1", "", "like tls://nats.example.com:4222"),
        ("nats://127.0.0.1", ", subject: \"a.*\"", "words with dots"),
        ("nats://127.0.0.1", ", subject: $JS.API", "words with dots"),
        ("nats://127.0.0.1", ", username: a", "`password_file`"),
        ("nats://127.0.0.1", ", token_file: /none, token_env: NONE", "either in `token_file`"),
        ("nats://127.0.0.1", ", token_file: /none", "the token for NATS cannot be had from /none"),
        ("nats://127.0.0.1", ", credentials_file: /none", "the credentials for NATS"),
        ("nats://127.0.0.1", ", cert_file: /none", "belong together"),
        ("nats://127.0.0.1", ", topic: a", "topic"),
    ] {
        let (well, said) = doctor(dir.path(), &upstream, &settings(url, free(), more));
        assert!(!well && said.contains(why) && !said.contains("geheim"), "{url} {more}: {said}");
    }
}

fn gc(audit: &Path) -> String {
    let mut command = Command::new(Guard::binary());
    command.args(["audit", "gc"]).arg(audit).args(["--older-than", "1s"]);
    let output = command.output().unwrap();
    String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
}

#[test]
fn what_was_not_sent_is_not_removed() {
    let dir = TempDir::new().unwrap();
    let options = Options { segment_bytes: 20_000, ..Options::default() };
    let (journal, _) = Journal::open(dir.path(), &options).unwrap();
    for _ in 0..200 {
        let (time, about) = (jiff::Timestamp::now(), std::collections::BTreeMap::new());
        drop(journal.append_acted(&Acted {
            time,
            by: "somebody".into(),
            act: "wrote".into(),
            about,
        }));
    }
    journal.close().unwrap();
    std::thread::sleep(Duration::from_millis(1100));
    let position = dir.path().join("sink-nats.position");
    let genesis = proxy_audit::Digest::GENESIS;
    std::fs::write(&position, format!("0 0 0 {genesis}\n")).unwrap();
    let said = gc(dir.path());
    let stays = "the records from 1 on stay, although they are old enough";
    assert!(said.contains(stays) && said.contains("sink-nats.position"), "{said}");
    assert!(said.contains("nothing is old enough"), "{said}");
    std::fs::remove_file(&position).unwrap();
    let said = gc(dir.path());
    assert!(said.contains("removed the records 1 to"), "{said}");
}
