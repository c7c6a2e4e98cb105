//! Start, readiness, reload and stop, as a service manager and an orchestrator meet them.

use std::net::SocketAddr;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use proxy_audit::{Ending, Outcome};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use crate::support::wire::Http2;
use crate::support::{
    Guard, POLICY, Reading, Reply, Script, Upstream, chat, policy_with, post, raw, sse,
};

fn free() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

async fn get(address: SocketAddr, path: &str) -> Reply {
    let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    raw(address, request.as_bytes()).await
}

/// Waits until `path` answers so.
async fn until(address: SocketAddr, path: &str, status: u16) -> Reply {
    let started = Instant::now();
    loop {
        let reply = get(address, path).await;
        if reply.status == status {
            return reply;
        }
        assert!(started.elapsed() < Duration::from_secs(10), "{path}: {}", reply.body);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn size(name: &str, usual: usize) -> usize {
    std::env::var(name).ok().map_or(usual, |size| size.parse().unwrap())
}

/// Requests that came to the model server.
fn asked(upstream: &Upstream) -> usize {
    String::from_utf8_lossy(&upstream.received()).matches("POST /v1/chat/completions").count()
}

/// Waits until so many came.
async fn reached(upstream: &Upstream, count: usize) {
    let started = Instant::now();
    while asked(upstream) < count {
        assert!(started.elapsed() < Duration::from_secs(20), "{} of {count}", asked(upstream));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn body(text: &str) -> Vec<u8> {
    chat(text, false).to_string().into_bytes()
}

#[tokio::test]
async fn ready_is_who_has_had_a_verdict_from_every_classifier_and_can_write() {
    let upstream = Upstream::start(Script::say("fine")).await;
    let (admin, elsewhere) = (free(), free());
    let settings = format!("admin: {admin}\nmoderations: {{ urls: [\"http://{elsewhere}\"] }}");
    let guard = Guard::with(&upstream.url(), POLICY, &settings);
    assert_eq!(until(admin, "/livez", 200).await.body, "ok\n");
    let unready = get(admin, "/readyz").await;
    assert_eq!((unready.status, &*unready.body), (503, "a classifier has given no verdict yet\n"));
    // Not ready is not open: whoever asks all the same gets no answer.
    assert_eq!(post(guard.address, &[], &body("hello")).await.status, 503);
    let listener = TcpListener::bind(elsewhere).await.unwrap();
    let mut judging = JoinSet::new();
    judging.spawn(async move {
        let fine = r#"{"results":[{"flagged":false,"categories":{"hate":false},"category_scores":{"hate":0.1}}]}"#;
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut bytes = [0; 65536];
            let _read = stream.read(&mut bytes).await;
            let head = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", fine.len());
            let _sent = stream.write_all([head.as_bytes(), fine.as_bytes()].concat().as_slice()).await;
        }
    });
    assert_eq!(until(admin, "/readyz", 200).await.body, "ok\n");
    assert_eq!(until(admin, "/healthz", 200).await.body, "ok\n");
    assert_eq!(post(guard.address, &[], &body("hello")).await.status, 200);
}

/// `DRAINS` times `STREAMS` answers under way when the guard is told to stop: each is finished, each is on record.
#[tokio::test(flavor = "multi_thread")]
async fn streams_under_way_are_finished_before_it_ends() {
    let (drains, streams) = (size("DRAINS", 1), size("STREAMS", 40));
    for drain in 0..drains {
        let events = sse(&["slow ", "words ", "that ", "take ", "their ", "time"]);
        let bytes = Script::response("200 OK\r\ncontent-type: text/event-stream", &events);
        let upstream = Upstream::start(Script::Dribble(bytes, 60, Duration::from_millis(60))).await;
        let admin = free();
        let mut guard = Guard::with(&upstream.url(), POLICY, &format!("admin: {admin}"));
        until(admin, "/readyz", 200).await;
        let mut clients = JoinSet::new();
        for number in 0..streams {
            let address = guard.address;
            let question = chat(&format!("hello {number}"), true).to_string();
            clients.spawn(async move { post(address, &[], question.as_bytes()).await });
        }
        reached(&upstream, streams).await;
        guard.signal("TERM");
        let stopping = until(admin, "/readyz", 503).await;
        assert_eq!(stopping.body, "the guard is stopping\n");
        for reply in clients.join_all().await {
            assert!(reply.body.ends_with("data: [DONE]\n\n"), "drain {drain}: {}", reply.body);
        }
        assert_eq!(guard.wait().code(), Some(0));
        let closed = guard.closed();
        assert_eq!(closed.len(), streams, "drain {drain}");
        assert!(closed.iter().all(|record| record.outcome == Outcome::Allowed));
        assert_eq!(guard.verify().ending, Ending::Sealed);
    }
    println!("{drains} drains of {streams} streams: none cut, none lost");
}

#[tokio::test]
async fn who_does_not_end_in_time_is_cut_off_is_told_and_that_is_on_record() {
    // A streamed answer that has begun, and one whose head has not come.
    for (stream, piece, status) in [(true, 20, 200), (false, 1, 503)] {
        let events = sse(&["word "; 400].map(|word| word));
        let bytes = Script::response("200 OK\r\ncontent-type: text/event-stream", &events);
        let pause = Duration::from_millis(100);
        let upstream = Upstream::start(Script::Dribble(bytes, piece, pause)).await;
        let mut guard = Guard::with(&upstream.url(), POLICY, "limits: { drain_seconds: 1 }");
        let (address, question) = (guard.address, chat("hello", stream).to_string());
        let mut client = JoinSet::new();
        client.spawn(async move { post(address, &[], question.as_bytes()).await });
        reached(&upstream, 1).await;
        if stream {
            // Its head is there when the first bytes of the body are.
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let started = Instant::now();
        guard.signal("TERM");
        assert_eq!(guard.wait().code(), Some(0));
        let took = started.elapsed();
        assert!(took >= Duration::from_secs(1) && took < Duration::from_secs(5), "{took:?}");
        let reply = client.join_next().await.unwrap().unwrap();
        assert_eq!(reply.status, status);
        assert!(reply.body.contains(r#""code":"shut_down""#), "{}", reply.body);
        assert!(!reply.body.contains("[DONE]"));
        let closed = guard.closed();
        assert_eq!(closed.len(), 1);
        assert_eq!(
            (closed[0].outcome, closed[0].reason.as_deref()),
            (Outcome::Failed, Some("shut_down"))
        );
        assert_eq!((closed[0].status, guard.verify().ending), (status, Ending::Sealed));
    }
}

/// They do not hear of it, and their exchanges are on record all the same.
#[tokio::test]
async fn who_reads_nothing_at_a_stop_is_on_record() {
    let chunk = sse(&["some words again "]);
    let chunk = chunk.split_inclusive("\n\n").nth(1).unwrap().repeat(100);
    let head = Script::response("200 OK\r\ncontent-type: text/event-stream", "");
    let upstream = Upstream::start(Script::Endless(head, chunk.into_bytes())).await;
    let mut guard = Guard::with(&upstream.url(), POLICY, "limits: { drain_seconds: 1 }");
    let mut clients = Vec::new();
    for _ in 0..20 {
        clients.push(Reading::ask(guard.address, &chat("hi", true)).await);
    }
    let headers = [
        (":method", "POST"),
        (":scheme", "http"),
        (":authority", "guard"),
        (":path", "/v1/chat/completions"),
        ("content-type", "application/json"),
    ];
    let mut client = Http2::connect(guard.address).await;
    for stream in 0..20 {
        client.request(2 * stream + 1, &headers, chat("hi", true).to_string().as_bytes()).await;
    }
    reached(&upstream, 40).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    guard.signal("TERM");
    assert_eq!(guard.wait().code(), Some(0));
    assert_eq!((guard.closed().len(), guard.verify().ending), (40, Ending::Sealed));
    drop((clients, client));
}

#[tokio::test]
async fn the_service_manager_is_told_and_its_socket_taken_over() {
    let upstream = Upstream::start(Script::say("fine")).await;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    // What systemd does: a listening socket as descriptor 3, for the process with this number.
    let activate = r#"exec python3 -c 'import os,socket,sys
listener = socket.create_server(("127.0.0.1", 0)); os.dup2(listener.fileno(), 3); os.set_inheritable(3, True)
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid())); os.execv(sys.argv[1], sys.argv[1:])'"#;
    let before = format!(
        "export NOTIFY_SOCKET={} WATCHDOG_USEC=600000; {activate} \"$0\" \"$@\"",
        path.display()
    );
    let mut guard = Guard::shell(&upstream.url(), (POLICY, ""), &before);
    let heard = || {
        let mut bytes = [0; 1024];
        let length = manager.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    };
    assert!(heard().contains("READY=1"));
    assert_eq!(heard().trim(), "WATCHDOG=1");
    assert_eq!(heard().trim(), "WATCHDOG=1");
    assert_eq!(post(guard.address, &[], &body("hello")).await.status, 200);
    guard.signal("TERM");
    let mut last = heard();
    while last.contains("WATCHDOG=1") {
        last = heard();
    }
    assert!(last.contains("STOPPING=1"), "{last}");
    assert_eq!(guard.wait().code(), Some(0));
}

pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    dir: PathBuf,
}

impl Authority {
    pub(crate) fn new(dir: &Path) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        std::fs::write(dir.join("ca.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
        Self { issuer: Issuer::new(params, key), dir: dir.to_owned() }
    }

    /// A certificate that says `name`, in `file`.pem and `file`.key; what it says of itself.
    pub(crate) fn issue(&self, name: &str, file: &str) -> CertificateDer<'static> {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        // Not the authority's, or OpenSSL takes it for one that has signed itself.
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        std::fs::write(self.dir.join(format!("{file}.pem")), certificate.pem()).unwrap();
        std::fs::write(self.dir.join(format!("{file}.key")), key.serialize_pem()).unwrap();
        certificate.der().clone()
    }

    /// Connects, with a certificate or without; the guard's certificate and its answer.
    async fn ask(
        &self,
        address: SocketAddr,
        identity: Option<&str>,
    ) -> std::io::Result<(CertificateDer<'static>, String)> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.dir.join("ca.pem")).unwrap()).unwrap();
        let builder = rustls::ClientConfig::builder().with_root_certificates(roots);
        let config = match identity {
            None => builder.with_no_client_auth(),
            Some(file) => {
                let certificate =
                    CertificateDer::from_pem_file(self.dir.join(format!("{file}.pem"))).unwrap();
                let key =
                    PrivateKeyDer::from_pem_file(self.dir.join(format!("{file}.key"))).unwrap();
                builder.with_client_auth_cert(vec![certificate], key).unwrap()
            }
        };
        let stream = TcpStream::connect(address).await?;
        let name = ServerName::try_from("localhost").unwrap();
        let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
        let own = stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned();
        let asked = body("hello");
        let head = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n",
            asked.len()
        );
        stream.write_all(&[head.as_bytes(), &asked].concat()).await?;
        let mut said = String::new();
        stream.read_to_string(&mut said).await?;
        Ok((own, said))
    }
}

#[tokio::test]
async fn only_who_shows_a_certificate_comes_in_and_a_new_one_of_ours_is_taken_on_sighup() {
    let upstream = Upstream::start(Script::say("fine")).await;
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new(dir.path());
    let first = authority.issue("localhost", "server");
    authority.issue("client", "client");
    let file = |name: &str| dir.path().join(name).display().to_string();
    let settings = format!(
        "tls: {{ cert_file: {}, key_file: {}, client_ca_file: {} }}",
        file("server.pem"),
        file("server.key"),
        file("ca.pem")
    );
    let guard = Guard::with(&upstream.url(), POLICY, &settings);
    let (shown, said) = authority.ask(guard.address, Some("client")).await.unwrap();
    assert!(shown == first && said.starts_with("HTTP/1.1 200"), "{said}");
    assert!(authority.ask(guard.address, None).await.is_err());
    let stranger_dir = tempfile::tempdir().unwrap();
    let stranger = Authority::new(stranger_dir.path());
    stranger.issue("client", "client");
    for end in ["pem", "key"] {
        std::fs::copy(
            stranger_dir.path().join(format!("client.{end}")),
            file(&format!("other.{end}")),
        )
        .unwrap();
    }
    assert!(authority.ask(guard.address, Some("other")).await.is_err());
    // What cannot be used changes nothing.
    std::fs::write(file("server.pem"), "not a certificate").unwrap();
    guard.signal("HUP");
    guard.says("the new certificate cannot be used").await;
    assert_eq!(authority.ask(guard.address, Some("client")).await.unwrap().0, first);
    let second = authority.issue("localhost", "server");
    guard.signal("HUP");
    let started = Instant::now();
    while authority.ask(guard.address, Some("client")).await.unwrap().0 != second {
        assert!(started.elapsed() < Duration::from_secs(5), "the new certificate is not taken");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn the_model_servers_key_is_read_again_on_sighup() {
    let upstream = Upstream::start(Script::say("fine")).await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("key");
    std::fs::write(&file, "first").unwrap();
    let settings =
        format!("upstream: {{ url: {:?}, key_file: {} }}", upstream.url(), file.display());
    let guard = Guard::with(&upstream.url(), POLICY, &settings);
    let sent = async |key: &str| {
        let callers = [("authorization", "Bearer callers-own")];
        assert_eq!(post(guard.address, &callers, &body("hello")).await.status, 200);
        let received = String::from_utf8_lossy(&upstream.received()).into_owned();
        assert!(!received.contains("callers-own"));
        let last = received.rsplit("Bearer ").next().and_then(|after| after.split("\r\n").next());
        last == Some(key)
    };
    assert!(sent("first").await);
    // What a header cannot carry changes nothing.
    std::fs::write(&file, "a\u{1}b").unwrap();
    guard.signal("HUP");
    guard.says("the new key cannot be used").await;
    assert!(sent("first").await);
    std::fs::write(&file, "second\n").unwrap();
    guard.signal("HUP");
    let started = Instant::now();
    while !sent("second").await {
        assert!(started.elapsed() < Duration::from_secs(5), "the new key is not taken");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// As when the program that collected its log has died.
#[tokio::test]
async fn a_guard_whose_log_nobody_takes_goes_on() {
    let upstream = Upstream::start(Script::say("fine")).await;
    let until_it_listens = "exec 2> >(grep --max-count 1 '\"address\"' >&2)";
    let guard = Guard::shell(&upstream.url(), (POLICY, ""), until_it_listens);
    let policy = guard.audit_dir().parent().unwrap().join("policy.yaml");
    let lenient = policy_with("sensitivity: 1.0, input: block", "sensitivity: 1.0, input: flag");
    std::fs::write(policy, lenient).unwrap();
    let started = Instant::now();
    while post(guard.address, &[], &body("PORTCULLIS-TEST-S1")).await.status != 200 {
        assert!(started.elapsed() < Duration::from_secs(10), "no new policy was taken");
        guard.signal("HUP");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn only_known_keys_come_in_where_that_is_wanted() {
    let upstream = Upstream::start(Script::say("fine")).await;
    let mut child = Command::new(Guard::binary());
    let mut child =
        child.arg("fingerprint").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"sk-known\n").unwrap();
    let printed = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    let start = printed.find("key-").unwrap();
    let settings =
        format!("keys: {{ tablet: {} }}\nrequire_key: true", &printed[start..start + 20]);
    let guard = Guard::with(&upstream.url(), POLICY, &settings);
    for (headers, status) in [
        (&[("authorization", "Bearer sk-known")][..], 200),
        (&[("x-api-key", "sk-known")], 200),
        (&[("authorization", "Bearer sk-unknown")], 401),
        (&[("authorization", "Basic sk-known")], 401),
        (&[("x-api-key", "sk-unknown")], 401),
        (&[], 401),
    ] {
        let reply = post(guard.address, headers, &body("hello")).await;
        assert_eq!(reply.status, status, "{headers:?}");
        assert!(status == 200 || reply.code() == "invalid_api_key");
    }
    assert_eq!(guard.closed_after(6).await.len(), 6);
    assert_eq!(asked(&upstream), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_says_what_is_wrong_and_what_to_do() {
    let upstream = Upstream::start(Script::say("fine")).await;
    let dir = tempfile::tempdir().unwrap();
    let audit = dir.path().join("audit").display().to_string();
    let ask = |arguments: &[&str]| {
        let output = Command::new(Guard::binary()).arg("doctor").args(arguments).output().unwrap();
        (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
    };
    let listen = free().to_string();
    let url = upstream.url();
    let fine = ["--upstream", &url, "--audit-dir", &audit, "--listen", &listen];
    let (code, said) = tokio::task::block_in_place(|| ask(&fine));
    assert!(code == Some(0) && said.contains("Everything is as it should be"), "{said}");
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let holder = TcpListener::bind(taken).await.unwrap();
    let (taken, file) = (taken.to_string(), dir.path().join("file"));
    std::fs::write(&file, "").unwrap();
    let inside = file.join("audit").display().to_string();
    let wrong = [
        "--upstream",
        "http://127.0.0.1:1",
        "--audit-dir",
        &inside,
        "--listen",
        &taken,
        "--moderations-url",
        "http://127.0.0.1:1",
    ];
    let (code, said) = tokio::task::block_in_place(|| ask(&wrong));
    assert_eq!(code, Some(1), "{said}");
    for part in ["cannot be listened on", "cannot be written", "does not answer", "verify-remote"] {
        assert!(said.contains(part), "{part} is missing in {said}");
    }
    drop(holder);
    let (code, said) = ask(&["--upstream", "nonsense"]);
    assert!(code == Some(1) && said.contains("is not a URL"), "{said}");
}

/// `IDLE` connections that have asked once and say nothing more, beside one that does.
#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_cost_little_and_hold_nobody_up() {
    let upstream = Upstream::start(Script::say("fine")).await;
    let guard = Guard::start(&upstream.url());
    let memory = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", guard.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<usize>().unwrap()
    };
    let question = chat("hello", false).to_string();
    // One exchange on each connection before, so that buffers have been used.
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{question}",
        question.len()
    );
    post(guard.address, &[], question.as_bytes()).await;
    let (count, before) = (size("IDLE", 400), memory());
    let mut idle = Vec::new();
    for _ in 0..count {
        let mut stream = TcpStream::connect(guard.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut some = [0; 16];
        stream.read_exact(&mut some).await.unwrap();
        idle.push(stream);
    }
    let started = Instant::now();
    assert_eq!(post(guard.address, &[], question.as_bytes()).await.status, 200);
    assert!(started.elapsed() < Duration::from_secs(2));
    let each = memory().saturating_sub(before) as f64 / count as f64;
    println!("{count} idle connections: {each:.1} KiB each");
    assert!(each <= 16.0, "{each} KiB for each idle connection");
}
