//! A guard whose audit log goes on to a real NATS server and to an S3 server; `proxy/sinks` tests what becomes of records
//! when the server fails.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use proxy_audit::{Acted, Journal, Options};
use tempfile::TempDir;

use crate::lifecycle::Authority;
use crate::support::nats::Server;
use crate::support::s3;
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

/// What is said of the guard's bucket, and the files of its login.
fn bucket(dir: &Path, address: SocketAddr, admin: SocketAddr) -> String {
    let (id, secret) = (dir.join("id"), dir.join("secret"));
    std::fs::write(&id, s3::KEY.0).unwrap();
    std::fs::write(&secret, s3::KEY.1).unwrap();
    format!(
        "admin: {admin}\naudit: {{ sinks: {{ object_store: {{ url: \"s3://{}/guards\", endpoint: \"http://{address}\", \
         access_key_id_file: {}, secret_access_key_file: {}, tail_seconds: 1 }} }} }}\n",
        s3::BUCKET,
        id.display(),
        secret.display()
    )
}

/// Runs a command with the login in the environment.
fn command(args: &[&str]) -> (bool, String) {
    let mut command = Command::new(Guard::binary());
    command.env("AWS_ACCESS_KEY_ID", s3::KEY.0).env("AWS_SECRET_ACCESS_KEY", s3::KEY.1);
    let output = command.args(args).output().unwrap();
    (output.status.success(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_is_copied_while_the_guard_answers_and_an_auditor_gets_it_back() {
    let Some(server) = s3::Server::start() else { return };
    let upstream = Upstream::start(Script::say("ok")).await;
    let (dir, admin) = (Arc::new(TempDir::new().unwrap()), free());
    let settings = bucket(dir.path(), server.address, admin);
    let (_, said) = doctor(dir.path(), &upstream, &settings);
    let expected =
        "ok    sinks        the object store takes files, lists them and gives them back";
    assert!(said.contains(expected), "{said}");

    let mut guard = Guard::on(&dir, &upstream.url(), &settings);
    assert_eq!(say(&guard, "hello").await.status, 200);
    server.signal("STOP");
    for _ in 0..20 {
        assert_eq!(say(&guard, "hello").await.status, 200);
    }
    assert_eq!(get(admin, "/readyz").await.status, 200);
    let metrics = get(admin, "/metrics").await.body;
    let behind = "guard_sink_behind_records{sink=\"object_store\"} ";
    assert!(metrics.contains(behind) && !metrics.contains(&format!("{behind}0\n")), "{metrics}");
    server.signal("CONT");
    assert_eq!(say(&guard, "PORTCULLIS-TEST-S1").await.status, 400);
    guard.signal("TERM");
    assert!(guard.wait().success());
    let secret = s3::KEY.1;
    assert!(!metrics.contains(secret) && !said.contains(secret));

    let copy = dir.path().join("copy").display().to_string();
    let (url, endpoint) =
        (format!("s3://{}/guards", s3::BUCKET), format!("http://{}", server.address));
    let (well, said) = command(&["audit", "fetch", &url, &copy, "--endpoint", &endpoint]);
    let key = std::fs::read_to_string(guard.audit_dir().join("journal.pub")).unwrap();
    assert!(well && said.contains(&format!("has the log of {}: 1 segments", key.trim())), "{said}");
    let (well, said) = command(&["audit", "verify", &copy, "--key", key.trim()]);
    assert!(well && said.contains("every record is as it was written"), "{said}");
    assert_eq!(
        proxy_audit::verify(copy.as_ref()).unwrap(),
        proxy_audit::verify(&guard.audit_dir()).unwrap(),
        "its last record too"
    );
    let own = guard.audit_dir().display().to_string();
    let (well, said) = command(&["audit", "fetch", &url, &own, "--endpoint", &endpoint]);
    assert!(!well && said.contains("fetch into another"), "{said}");
    // It has no whole segment yet: none of its records may go.
    std::thread::sleep(Duration::from_millis(1100));
    assert!(guard.audit_dir().join("sink-object_store.position").exists());
    assert!(gc(&guard.audit_dir()).contains("nothing is old enough"));
}

#[tokio::test]
async fn a_bucket_that_cannot_be_used_is_said() {
    let upstream = Upstream::start(Script::say("ok")).await;
    let dir = TempDir::new().unwrap();
    let at = format!("http://{}", free());
    for (url, more, why) in [
        ("https://audit.example.com", "", "like s3://bucket"),
        ("s3://", "", "like s3://bucket"),
        ("s3://user:geheim@bucket", "", "like s3://bucket"),
        (
            "s3://a",
            ", endpoint: \"http://s3.example.com\"",
            "write https://, or say `unencrypted: true`",
        ),
        ("s3://a", ", endpoint: \"https://u:geheim@s3.example.com\"", "holds no user name"),
        ("s3://a", ", endpoint: s3.example.com", "`endpoint` is like"),
        ("s3://a", ", access_key_id_file: /none", "belong together"),
        ("s3://a", ", tail_seconds: 0", "at least 1"),
        ("s3://a", ", key: geheim", "key"),
        (
            "s3://a",
            &format!(
                ", endpoint: \"{at}\", access_key_id_file: /none, secret_access_key_file: /none"
            ),
            "the access key's id for the object store cannot be had from /none",
        ),
    ] {
        let settings =
            format!("audit: {{ sinks: {{ object_store: {{ url: \"{url}\"{more} }} }} }}\n");
        let (well, said) = doctor(dir.path(), &upstream, &settings);
        assert!(!well && said.contains(why), "{url} {more}: {said}");
        // The YAML parser shows the line of an unknown field.
        assert!(why == "key" || !said.contains("geheim"), "{said}");
    }
    // Nobody is there.
    let settings = bucket(dir.path(), at.trim_start_matches("http://").parse().unwrap(), free());
    let (well, said) = doctor(dir.path(), &upstream, &settings);
    assert!(!well && said.contains("FAIL  sinks        the object store has not done"), "{said}");
    assert!(said.contains("Connection refused") && !said.contains(s3::KEY.1), "{said}");
}
