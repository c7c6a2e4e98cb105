//! The real binary, started and stopped.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use proxy_audit::{Closed, Opened, Record, Released};
use serde_json::Value;

use super::POLICY;

/// A running `portcullis serve` with its own audit directory.
pub struct Guard {
    pub address: SocketAddr,
    child: Child,
    dir: Arc<tempfile::TempDir>,
    /// What it logged since it listens, and nobody waited for yet.
    said: Arc<Mutex<Vec<String>>>,
}

impl Guard {
    /// Before the model server at `upstream`, with the tests' policy.
    pub fn start(upstream: &str) -> Self {
        Self::with(upstream, POLICY, "")
    }

    /// With any policy, and settings as in `server.yaml`.
    pub fn with(upstream: &str, policy: &str, settings: &str) -> Self {
        let dir = Arc::new(tempfile::tempdir().unwrap());
        Self::run(Command::new(Self::binary()), upstream, (policy, settings), dir)
    }

    /// Run by a shell that has set some limit before.
    pub fn limited(upstream: &str, limit: &str) -> Self {
        Self::shell(upstream, (POLICY, ""), limit)
    }

    /// Run by a shell that has done something before.
    pub fn shell(upstream: &str, files: (&str, &str), before: &str) -> Self {
        let mut command = Command::new("bash");
        command.args(["-c", &format!("{before}; exec \"$0\" \"$@\""), Self::binary()]);
        Self::run(command, upstream, files, Arc::new(tempfile::tempdir().unwrap()))
    }

    /// On a directory that is there, with its log in `audit`.
    pub fn on(dir: &Arc<tempfile::TempDir>, upstream: &str, settings: &str) -> Self {
        Self::run(Command::new(Self::binary()), upstream, (POLICY, settings), Arc::clone(dir))
    }

    /// On a directory that is there, with a policy that only the settings name; what it said if it did not start.
    pub fn settled(
        dir: &Arc<tempfile::TempDir>,
        upstream: &str,
        settings: &str,
    ) -> Result<Self, String> {
        Self::try_run(Command::new(Self::binary()), upstream, ("", settings), Arc::clone(dir))
    }

    /// On the same audit directory again.
    pub fn restart(mut self, upstream: &str) -> Self {
        let dir = Arc::clone(&self.dir);
        // It may be dead already.
        let _dead = self.child.kill();
        self.child.wait().unwrap();
        Self::run(Command::new(Self::binary()), upstream, (POLICY, ""), dir)
    }

    /// The path of the binary under test.
    pub fn binary() -> &'static str {
        env!("CARGO_BIN_EXE_portcullis")
    }

    fn run(
        command: Command,
        upstream: &str,
        files: (&str, &str),
        dir: Arc<tempfile::TempDir>,
    ) -> Self {
        Self::try_run(command, upstream, files, dir).unwrap_or_else(|said| panic!("{said}"))
    }

    /// Run by a program that is given the guard's command line, with its files in `dir`; what it said if it did not
    /// start.
    pub fn try_below(
        mut command: Command,
        upstream: &str,
        dir: Arc<tempfile::TempDir>,
    ) -> Result<Self, String> {
        command.arg(Self::binary());
        Self::try_run(command, upstream, (POLICY, ""), dir)
    }

    fn try_run(
        mut command: Command,
        upstream: &str,
        (policy, settings): (&str, &str),
        dir: Arc<tempfile::TempDir>,
    ) -> Result<Self, String> {
        let (policy_file, config_file) =
            (dir.path().join("policy.yaml"), dir.path().join("server.yaml"));
        std::fs::write(&config_file, settings).unwrap();
        command.args(["serve", "--log", "json", "--listen", "127.0.0.1:0", "--upstream", upstream]);
        if !policy.is_empty() {
            std::fs::write(&policy_file, policy).unwrap();
            command.arg("--policy").arg(&policy_file);
        }
        let mut child = command
            .arg("--audit-dir")
            .arg(dir.path().join("audit"))
            .arg("--config")
            .arg(&config_file)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut begun = String::from("the guard did not start\n");
        let address = lines.by_ref().map_while(Result::ok).find_map(|line| {
            begun += &format!("{line}\n");
            let line: Value = serde_json::from_str(&line).unwrap_or_default();
            line["fields"]["address"].as_str().map(|address| address.parse().unwrap())
        });
        let Some(address) = address else {
            child.wait().unwrap();
            return Err(begun);
        };
        let said = Arc::<Mutex<Vec<String>>>::default();
        let heard = Arc::clone(&said);
        // Somebody must read on, or the guard would wait for room in the pipe.
        std::thread::spawn(move || {
            lines.map_while(Result::ok).for_each(|line| heard.lock().unwrap().push(line));
        });
        Ok(Self { address, child, dir, said })
    }

    /// Waits until it has logged a line with `text`, and forgets what it logged so far.
    pub async fn says(&self, text: &str) {
        let started = Instant::now();
        while !self.said.lock().unwrap().iter().any(|line| line.contains(text)) {
            assert!(started.elapsed() < Duration::from_secs(10), "it never said {text:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.said.lock().unwrap().clear();
    }

    pub fn audit_dir(&self) -> PathBuf {
        self.dir.path().join("audit")
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Every closed record so far, oldest first.
    pub fn closed(&self) -> Vec<Closed> {
        Self::closed_in(&self.audit_dir())
    }

    /// Every closed record of a log, oldest first.
    pub fn closed_in(log: &Path) -> Vec<Closed> {
        let entries = proxy_audit::tail(log, u64::MAX).unwrap();
        entries
            .into_iter()
            .filter_map(|entry| match entry.record {
                Record::Closed(closed) => Some(*closed),
                _ => None,
            })
            .collect()
    }

    /// Every released record so far, oldest first.
    pub fn released(&self) -> Vec<Released> {
        let entries = proxy_audit::tail(&self.audit_dir(), u64::MAX).unwrap();
        entries
            .into_iter()
            .filter_map(|entry| match entry.record {
                Record::Released(released) => Some(released),
                _ => None,
            })
            .collect()
    }

    /// Every opened record so far, oldest first.
    pub fn opened(&self) -> Vec<Opened> {
        let entries = proxy_audit::tail(&self.audit_dir(), u64::MAX).unwrap();
        entries
            .into_iter()
            .filter_map(|entry| match entry.record {
                Record::Opened(opened) => Some(opened),
                _ => None,
            })
            .collect()
    }

    /// Waits until there are `count` closed records, and returns them.
    pub async fn closed_after(&self, count: usize) -> Vec<Closed> {
        let started = Instant::now();
        loop {
            let closed = self.closed();
            if closed.len() >= count {
                return closed;
            }
            let found = closed.len();
            assert!(started.elapsed() < Duration::from_secs(10), "{found} of {count} are closed");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub fn signal(&self, name: &str) {
        let status =
            Command::new("kill").args(["-s", name, &self.pid().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// Waits for the end of the process.
    pub fn wait(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    /// Checks the whole journal.
    pub fn verify(&self) -> proxy_audit::Report {
        proxy_audit::verify(&self.audit_dir()).unwrap()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // It may have ended already.
        let _ended = self.child.kill();
        let _waited = self.child.wait();
    }
}
