//! A PostgreSQL server of one test: the one that is installed, with a folder of its own, reached through a socket.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// Where Debian has it.
const DEBIAN: &str = "/usr/lib/postgresql";
/// Set where there is none, to leave out the tests that need it.
const LEAVE_OUT: &str = "PORTCULLIS_TEST_WITHOUT_POSTGRES";

/// A running server. It ends with this.
pub(crate) struct Server {
    dir: TempDir,
    programs: PathBuf,
}

impl Server {
    /// Nothing, and loudly, if the environment says so: a test that cannot run fails otherwise.
    pub(crate) fn start() -> Option<Self> {
        if std::env::var_os(LEAVE_OUT).is_some() {
            let said = format!("SKIPPED: an index in PostgreSQL; {LEAVE_OUT} is set\n");
            // What goes through `eprintln!` is kept by the test harness.
            std::io::stderr().write_all(said.as_bytes()).expect("somebody listens");
            return None;
        }
        let programs = programs();
        let dir = tempfile::tempdir().expect("a directory");
        let server = Self { dir, programs };
        if is_root() {
            // It refuses to run as root.
            run(Command::new("chown").arg("postgres").arg(server.dir.path()));
        }
        let data = server.data();
        let mut init = server.command("initdb");
        run(init
            .args([
                "--no-sync",
                "--auth=trust",
                "--username=test",
                "-E",
                "UTF8",
                "--locale=C",
                "-D",
            ])
            .arg(&data));
        let options =
            format!("-c listen_addresses= -c fsync=off -k {}", server.dir.path().display());
        server.control(&["start", "-o", &options, "-l", &data.join("log").display().to_string()]);
        Some(server)
    }

    pub(crate) fn address(&self) -> String {
        let socket = self.dir.path().display().to_string().replace('/', "%2F");
        format!("postgres://test@{socket}/postgres")
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// Tells it something, such as to restart.
    pub(crate) fn control(&self, arguments: &[&str]) {
        run(self.command("pg_ctl").args(arguments).arg("-w").arg("-D").arg(self.data()));
    }

    fn command(&self, name: &str) -> Command {
        let program = self.programs.join(name);
        let mut command = Command::new(if is_root() { Path::new("runuser") } else { &program });
        if is_root() {
            command.args(["-u", "postgres", "--"]).arg(&program);
        }
        command.current_dir("/");
        command
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have failed to start, and the test has said so.
        let mut stop = self.command("pg_ctl");
        drop(stop.args(["stop", "-m", "immediate", "-s", "-D"]).arg(self.data()).status());
    }
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output().expect("a Unix system");
    output.stdout == b"0\n"
}

fn run(command: &mut Command) {
    // What it starts keeps its output open.
    let log = tempfile::NamedTempFile::new().expect("a file");
    let file = || log.reopen().expect("a file");
    let status = command.stdout(file()).stderr(file()).status();
    let said = std::fs::read_to_string(log.path()).unwrap_or_default();
    assert!(
        status.as_ref().is_ok_and(std::process::ExitStatus::success),
        "{command:?}: {status:?}: {said}"
    );
}

/// The newest version that is installed.
fn programs() -> PathBuf {
    let versions = std::fs::read_dir(DEBIAN).into_iter().flatten().flatten();
    let mut programs: Vec<PathBuf> = versions.map(|entry| entry.path().join("bin")).collect();
    programs.retain(|programs| programs.join("initdb").is_file());
    programs.sort();
    programs.pop().unwrap_or_else(|| {
        panic!(
            "there is no PostgreSQL: `apt-get install postgresql`, or set {LEAVE_OUT}=1 to leave these tests out"
        )
    })
}
