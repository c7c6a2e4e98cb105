//! Limits shared with other guards, where their server is not there; `tests/fleet` has a real one.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tokio::net::TcpListener;

use crate::lifecycle::Authority;
use crate::support::{Guard, POLICY, Reply, Script, Upstream, chat, post, raw};

fn free() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

async fn say(guard: &Guard, text: &str) -> Reply {
    post(guard.address, &[], chat(text, false).to_string().as_bytes()).await
}

async fn metrics(admin: SocketAddr) -> String {
    raw(admin, b"GET /metrics HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.body
}

/// Nobody listens; and somebody who never says anything.
#[tokio::test]
async fn without_the_server_each_guard_gives_its_part_at_once() {
    let upstream = Upstream::start(Script::say("ok")).await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    for server in [free(), silent.local_addr().unwrap()] {
        let admin = free();
        let settings =
            format!("admin: {admin}\nshared_limits: {{ url: \"redis://{server}\", guards: 4 }}\n");
        let policy = format!("{POLICY}limits: {{ requests: 10/h }}\n");
        let guard = Guard::with(&upstream.url(), &policy, &settings);
        let started = Instant::now();
        let mut passed = 0;
        for _ in 0..6 {
            let reply = say(&guard, "hello").await;
            assert!(matches!(reply.status, 200 | 429), "{}", reply.body);
            passed += usize::from(reply.status == 200);
        }
        assert_eq!(passed, 3, "a fourth of ten, upwards");
        assert!(started.elapsed() < Duration::from_secs(5), "nobody waits for the server");
        let counted = metrics(admin).await;
        for line in [
            "guard_shared_limits_up 0",
            "guard_limits_alone_total{result=\"admitted\"} 3",
            "guard_limits_alone_total{result=\"refused\"} 3",
            "guard_requests_total{dialect=\"openai_chat\",outcome=\"allowed\"} 3",
            "guard_requests_total{dialect=\"openai_chat\",outcome=\"refused\"} 3",
            "guard_reasons_total{outcome=\"refused\",reason=\"rate_limit_exceeded\"} 3",
        ] {
            assert!(counted.contains(line), "{line} is not in:\n{counted}");
        }
    }
}

#[tokio::test]
async fn who_wants_no_parts_refuses_and_a_policy_without_limits_asks_nobody() {
    let upstream = Upstream::start(Script::say("ok")).await;
    let settings =
        format!("shared_limits: {{ url: \"redis://{}\", on_failure: refuse }}\n", free());
    let limited = format!("{POLICY}limits: {{ tokens: 10K/h }}\n");
    let guard = Guard::with(&upstream.url(), &limited, &settings);
    let reply = say(&guard, "hello").await;
    assert_eq!((reply.status, reply.code().as_str()), (503, "limits_unavailable"));
    assert_eq!(reply.headers["retry-after"], "1");
    let guard = Guard::with(&upstream.url(), POLICY, &settings);
    assert_eq!(say(&guard, "hello").await.status, 200);
}

/// A real server that ends with the test.
struct Redis(Child);

impl Drop for Redis {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// One that wants TLS, a certificate and a password.
#[tokio::test]
async fn the_server_is_reached_by_tls_with_a_certificate_and_a_password() {
    let paths = std::env::var_os("PATH").unwrap();
    let programs = std::env::split_paths(&paths).map(|path| path.join("redis-server"));
    let Some(program) = programs.into_iter().find(|path| path.is_file()) else {
        println!("SKIPPED: there is no redis-server");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let at = |file: &str| dir.path().join(file).display().to_string();
    let authority = Authority::new(dir.path());
    authority.issue("localhost", "redis");
    authority.issue("guard", "guard");
    std::fs::write(at("password"), "geheim\n").unwrap();
    let (server, admin) = (free(), free());
    let mut command = Command::new(program);
    command.args(["--port", "0", "--save", "", "--requirepass", "geheim", "--tls-port"]);
    command.args([server.port().to_string(), "--tls-auth-clients".into(), "yes".into()]);
    for (name, file) in [("cert", "redis.pem"), ("key", "redis.key"), ("ca-cert", "ca.pem")] {
        command.args([format!("--tls-{name}-file"), at(file)]);
    }
    let _redis = Redis(command.stdout(Stdio::null()).spawn().unwrap());
    let settings = format!(
        "admin: {admin}\nshared_limits:\n  url: rediss://localhost:{}\n  password_file: {}\n  ca_file: {}\n  \
         cert_file: {}\n  cert_key_file: {}\n  timeout_ms: 1000\n",
        server.port(),
        at("password"),
        at("ca.pem"),
        at("guard.pem"),
        at("guard.key")
    );
    let upstream = Upstream::start(Script::say("ok")).await;
    let policy = format!("{POLICY}limits: {{ requests: 2/h }}\n");
    let guard = Guard::with(&upstream.url(), &policy, &settings);
    let started = Instant::now();
    while !metrics(admin).await.contains("\nguard_shared_limits_up 1") {
        assert!(started.elapsed() < Duration::from_secs(10), "{}", metrics(admin).await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let said = [say(&guard, "hello").await, say(&guard, "hello").await, say(&guard, "hello").await];
    assert_eq!(said.map(|reply| reply.status), [200, 200, 429]);
    let counted = metrics(admin).await;
    assert!(counted.contains("guard_limits_alone_total{result=\"admitted\"} 0"), "{counted}");
    assert!(!counted.contains("geheim"));
}

#[test]
fn doctor_says_that_the_server_does_not_count_and_a_password_in_a_url_is_refused() {
    let url = format!("redis://{}", free());
    let run = |url: &str| {
        let output = Command::new(Guard::binary())
            .args(["doctor", "--upstream", "http://127.0.0.1:9", "--shared-limits", url])
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let said = run(&url);
    assert!(
        said.contains("FAIL  limits       the server of `shared_limits` does not count"),
        "{said}"
    );
    let said = run("redis://:geheim@127.0.0.1:6379");
    assert!(said.contains("password_file") && !said.contains("geheim"), "{said}");
}
