//! An S3 server of one test: moto, which keeps what it has in memory. One that is killed comes back empty.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Set where there is none, to leave out the tests that need it.
const LEAVE_OUT: &str = "PORTCULLIS_TEST_WITHOUT_S3";
/// A Python that has moto.
const PYTHON: &str = "PORTCULLIS_TEST_PYTHON";
/// How long a server may take to listen, or to answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// What moto believes everybody to be.
pub const KEY: (&str, &str) = ("AKIDGUARD", "geheim-geheim");
pub const BUCKET: &str = "audit";

/// A server, running or killed. It ends with this.
pub struct Server {
    pub address: SocketAddr,
    dir: TempDir,
    child: Child,
}

impl Server {
    /// One with an empty bucket. Nothing, and loudly, if the environment says so: a test that cannot run fails otherwise.
    pub fn start() -> Option<Self> {
        if std::env::var_os(LEAVE_OUT).is_some() {
            let said = format!("SKIPPED: copying the audit log to S3; {LEAVE_OUT} is set\n");
            // What goes through `eprintln!` is kept by the test harness.
            std::io::stderr().write_all(said.as_bytes()).unwrap();
            return None;
        }
        let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let child = run(&dir, address);
        let mut server = Self { address, dir, child };
        server.make_bucket();
        Some(server)
    }

    /// As the system's OOM killer would.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Again, with nothing in its bucket.
    pub fn restart(&mut self) {
        self.child = run(&self.dir, self.address);
        self.make_bucket();
    }

    /// `STOP` hangs it, `CONT` lets it go on.
    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }

    fn make_bucket(&mut self) {
        let started = Instant::now();
        while self.ask("PUT", "", b"").is_none_or(|answer| !answer.starts_with("HTTP/1.1 200")) {
            let ended = self.child.try_wait().unwrap();
            let log = || std::fs::read_to_string(self.dir.path().join("log")).unwrap();
            assert!(
                ended.is_none() && started.elapsed() < PATIENCE,
                "there is no moto: `pip install 'moto[server]'` for {}, or set {LEAVE_OUT}=1 to leave these tests out: {}",
                python(),
                log()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The objects of the bucket, with their lengths.
    pub fn objects(&self) -> BTreeMap<String, u64> {
        let listed = self.ask("GET", "?list-type=2", b"").unwrap();
        let between = |text: &str, name: &str| {
            let (_, rest) = text.split_once(&format!("<{name}>")).unwrap();
            rest.split_once('<').unwrap().0.to_owned()
        };
        let entries = listed.split("<Contents>").skip(1);
        entries.map(|one| (between(one, "Key"), between(one, "Size").parse().unwrap())).collect()
    }

    /// Makes or replaces an object behind everybody's back.
    pub fn put(&self, key: &str, bytes: &[u8]) {
        assert!(self.ask("PUT", &format!("/{key}"), bytes).unwrap().starts_with("HTTP/1.1 200"));
    }

    pub fn get(&self, key: &str) -> String {
        let answer = self.ask("GET", &format!("/{key}"), b"").unwrap();
        answer.split_once("\r\n\r\n").unwrap().1.to_owned()
    }

    pub fn remove(&self, key: &str) {
        assert!(self.ask("DELETE", &format!("/{key}"), b"").unwrap().starts_with("HTTP/1.1 204"));
    }

    /// The answer, if there is one. Moto asks nobody for a signature.
    fn ask(&self, method: &str, what: &str, body: &[u8]) -> Option<String> {
        let mut stream = TcpStream::connect(self.address).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        // It is the owner of its objects who asks.
        let (id, length) = (KEY.0, body.len());
        let head = format!(
            "{method} /{BUCKET}{what} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncontent-length: {length}\r\n\
             content-type: application/octet-stream\r\nauthorization: AWS4-HMAC-SHA256 \
             Credential={id}/20261123/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0\r\n\r\n",
            self.address
        );
        stream.write_all(&[head.as_bytes(), body].concat()).ok()?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).ok()?;
        Some(String::from_utf8_lossy(&answer).into_owned())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ended = self.child.kill();
        let _waited = self.child.wait();
    }
}

fn run(dir: &TempDir, address: SocketAddr) -> Child {
    let log = std::fs::File::create(dir.path().join("log")).unwrap();
    let mut command = Command::new(python());
    command.args(["-m", "moto.server", "-H", "127.0.0.1", "-p"]).arg(address.port().to_string());
    command.stdout(Stdio::null()).stderr(log).spawn().unwrap()
}

fn python() -> String {
    std::env::var(PYTHON).unwrap_or_else(|_| "python3".to_owned())
}
