//! A NATS server of one test: the one that is installed, with JetStream in a folder of its own.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

/// Set where there is none, to leave out the tests that need it.
const LEAVE_OUT: &str = "PORTCULLIS_TEST_WITHOUT_NATS";
/// How long a server may take to listen, or to answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server, running or killed. It ends with this.
pub struct Server {
    pub address: SocketAddr,
    dir: TempDir,
    child: Child,
}

impl Server {
    /// With more lines of configuration. Nothing, and loudly, if the environment says so: a test that cannot run fails
    /// otherwise.
    pub fn start(config: &str) -> Option<Self> {
        if std::env::var_os(LEAVE_OUT).is_some() {
            let said = format!("SKIPPED: sending the audit log on to NATS; {LEAVE_OUT} is set\n");
            // What goes through `eprintln!` is kept by the test harness.
            std::io::stderr().write_all(said.as_bytes()).unwrap();
            return None;
        }
        let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let child = run(&dir, address, config);
        Some(Self { address, dir, child })
    }

    /// As the system's OOM killer would.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Again, on what it has stored, with these lines of configuration.
    pub fn restart(&mut self, config: &str) {
        self.child = run(&self.dir, self.address, config);
    }

    /// `STOP` hangs it, `CONT` lets it go on.
    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }

    /// A stream that takes `subject`.
    pub fn add_stream(&self, subject: &str) {
        let config = json!({ "name": "AUDIT", "subjects": [subject], "storage": "file" });
        let made = self.ask("STREAM.CREATE.AUDIT", &config);
        assert!(made.get("error").is_none(), "{made}");
    }

    /// How many messages the stream has.
    pub fn messages(&self) -> u64 {
        self.ask("STREAM.INFO.AUDIT", &json!({}))["state"]["messages"].as_u64().unwrap_or_default()
    }

    /// What JetStream answers, on a connection of its own.
    pub fn ask(&self, what: &str, question: &Value) -> Value {
        let started = Instant::now();
        loop {
            let asked =
                Asker::come_in(self.address).and_then(|mut asker| asker.ask(what, question));
            match asked {
                Ok(answer) => return answer,
                Err(error) => assert!(started.elapsed() < PATIENCE, "{what}: {error}"),
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Asks JetStream without any client's help.
pub struct Asker {
    to: TcpStream,
    from: BufReader<TcpStream>,
    /// Where answers go, and nobody else's.
    inbox: String,
}

impl Asker {
    pub fn come_in(server: SocketAddr) -> std::io::Result<Self> {
        let mut to = TcpStream::connect(server)?;
        to.set_read_timeout(Some(PATIENCE))?;
        let mut from = BufReader::new(to.try_clone()?);
        from.read_line(&mut String::new())?;
        let inbox = format!("answers.{}", to.local_addr()?.port());
        to.write_all(format!("CONNECT {{\"verbose\":false}}\r\nSUB {inbox} 1\r\n").as_bytes())?;
        Ok(Self { to, from, inbox })
    }

    pub fn ask(&mut self, what: &str, question: &Value) -> std::io::Result<Value> {
        let (question, mut line) = (question.to_string(), String::new());
        let head = format!("PUB $JS.API.{what} {} {}\r\n", self.inbox, question.len());
        self.to.write_all(format!("{head}{question}\r\n").as_bytes())?;
        loop {
            line.clear();
            if self.from.read_line(&mut line)? == 0 || line.starts_with("-ERR") {
                return Err(std::io::Error::other(line));
            }
            if line.starts_with("MSG ") {
                let length = line.split_whitespace().last().and_then(|word| word.parse().ok());
                let mut answer = vec![0; length.unwrap_or_default()];
                self.from.read_exact(&mut answer)?;
                return serde_json::from_slice(&answer).map_err(std::io::Error::other);
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ended = self.child.kill();
        let _waited = self.child.wait();
    }
}

fn run(dir: &TempDir, address: SocketAddr, config: &str) -> Child {
    let (file, store) = (dir.path().join("nats.conf"), dir.path().join("store"));
    let text = format!(
        "listen: \"{address}\"\njetstream: {{ store_dir: \"{}\" }}\n{config}",
        store.display()
    );
    std::fs::write(&file, text).unwrap();
    let log = std::fs::File::create(dir.path().join("log")).unwrap();
    let mut command = Command::new(program());
    command.arg("-c").arg(file).stdout(Stdio::null()).stderr(log).spawn().unwrap()
}

fn program() -> PathBuf {
    // Debian puts it where only root looks.
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let dirs = std::env::split_paths(&paths).chain(["/usr/sbin".into()]);
    let mut programs = dirs.map(|dir| dir.join("nats-server"));
    programs.find(|path| path.is_file()).unwrap_or_else(|| {
        panic!(
            "there is no NATS: `apt-get install nats-server`, or set {LEAVE_OUT}=1 to leave these tests out"
        )
    })
}
