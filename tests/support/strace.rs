//! System calls that fail: `strace` makes them, in a real process on a real disk.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Set where `strace` cannot be had or may not trace, to leave out the tests that need it.
const LEAVE_OUT: &str = "PORTCULLIS_TEST_WITHOUT_STRACE";
/// Debian's package, and the one that its program needs.
const PACKAGES: [&str; 2] = ["strace", "libunwind8"];

/// A system call that one thread of a program makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Call {
    /// Its name.
    pub(crate) name: String,
    /// The file that it is about, below the watched directory; empty: the directory itself.
    pub(crate) file: PathBuf,
    /// Which of the calls of this name, of this thread, about this file, counted from 1.
    pub(crate) nth: u64,
}

/// The program `strace`, which may trace here.
pub(crate) struct Strace {
    program: PathBuf,
    /// Where its libraries are if it was fetched.
    libraries: Option<PathBuf>,
}

impl Strace {
    /// Nothing, and loudly, if the environment says so: a test that cannot run fails otherwise.
    pub(crate) fn find() -> Option<Self> {
        if std::env::var_os(LEAVE_OUT).is_some() {
            let said = format!("SKIPPED: system calls that fail; {LEAVE_OUT} is set\n");
            // What goes through `eprintln!` is kept by the test harness.
            std::io::stderr().write_all(said.as_bytes()).expect("somebody listens");
            return None;
        }
        let installed = Self { program: "strace".into(), libraries: None };
        let (strace, tried) = match installed.try_out() {
            Ok(output) => (installed, Ok(output)),
            Err(_) => {
                let strace = fetched();
                let tried = strace.try_out();
                (strace, tried)
            }
        };
        let output = tried.expect("it starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "`strace` may not trace here: {said}allow it (a container needs --cap-add=SYS_PTRACE), \
             or set {LEAVE_OUT}=1 to leave these tests out"
        );
        Some(strace)
    }

    fn try_out(&self) -> std::io::Result<Output> {
        self.watching(Path::new("/dev/null")).arg("true").output()
    }

    fn command(&self, trace: &Path) -> Command {
        let mut command = Command::new(&self.program);
        // The tracer is the grandchild: signals go to the program itself.
        command.args(["-D", "-f", "-qq", "--seccomp-bpf", "-o"]).arg(trace);
        if let Some(libraries) = &self.libraries {
            command.env("LD_LIBRARY_PATH", libraries);
        }
        command
    }

    /// Runs the program that is added to it, and writes its calls to `trace`.
    pub(crate) fn watching(&self, trace: &Path) -> Command {
        let mut command = self.command(trace);
        command.args(["-y", "-e", "trace=%file,%desc"]);
        command
    }

    /// Runs the program that is added to it; one `call` about a file below `dir` fails with `error`, in every thread
    /// that comes so far.
    pub(crate) fn failing(
        &self,
        trace: &Path,
        (dir, call, error): (&Path, &Call, &str),
    ) -> Command {
        let Call { name, file, nth } = call;
        let inject = format!("inject={name}:error={error}:when={nth}");
        // Joining nothing would add a slash.
        let path = if file.as_os_str().is_empty() { dir.into() } else { dir.join(file) };
        let mut command = self.command(trace);
        command.args(["-e", &format!("trace={name}"), "-e", &inject, "-P"]).arg(path);
        command
    }
}

/// Whether a call was made to fail.
pub(crate) fn has_failed(trace: &Path) -> bool {
    std::fs::read_to_string(trace).is_ok_and(|calls| calls.contains("(INJECTED)"))
}

/// The calls in `trace` that are about files below `dir`, as often as one thread makes them at most.
pub(crate) fn calls(trace: &Path, dir: &Path) -> Vec<Call> {
    let text = std::fs::read(trace).expect("strace writes what it sees");
    let (text, dir) = (String::from_utf8_lossy(&text), dir.to_str().expect("it is text"));
    let mut counts = BTreeMap::<_, BTreeMap<&str, u64>>::new();
    // The standard library takes a close that fails for a mistake in the program, and ends it.
    let calls = text.lines().filter_map(|line| call(line, dir));
    for (thread, name, file) in calls.filter(|(_, name, _)| *name != "close") {
        *counts.entry((file, name)).or_default().entry(thread).or_default() += 1;
    }
    let calls = counts.iter().flat_map(|((file, name), threads)| {
        let most = threads.values().max().copied().unwrap_or_default();
        (1..=most).map(|nth| Call { name: (*name).to_owned(), file: file.into(), nth })
    });
    calls.collect()
}

/// The first and the last call of each name about each file.
pub(crate) fn ends(calls: &[Call]) -> Vec<Call> {
    let is_like = |a: &Call, b: &Call| (&a.name, &a.file) == (&b.name, &b.file);
    let ends = calls.chunk_by(is_like).flat_map(|alike| match alike {
        [first, .., last] => vec![first.clone(), last.clone()],
        one => one.to_vec(),
    });
    ends.collect()
}

/// `4711  openat(AT_FDCWD</>, "/dir/file", O_RDONLY) = 3`: who does what, and with which file below `dir`.
fn call<'l>(line: &'l str, dir: &str) -> Option<(&'l str, &'l str, &'l str)> {
    let (thread, rest) = line.split_once(' ')?;
    let (name, arguments) = rest.trim_start().split_once('(')?;
    // The end of a call that was interrupted in the trace has another beginning.
    let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let (_, path) = arguments.split_once(dir)?;
    let path = path.split(['"', '>', '<']).next()?;
    let is_below = path.is_empty() || path.starts_with('/');
    (is_name && is_below).then(|| (thread, name, path.trim_start_matches('/')))
}

/// Debian's package, unpacked below the target directory: nothing is installed.
fn fetched() -> Strace {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let dir = target.join("strace");
    if !dir.is_dir() {
        let advice = format!(
            "there is no `strace`: `apt-get install strace`, or set {LEAVE_OUT}=1 to leave these tests out"
        );
        let new = tempfile::tempdir_in(target).expect("a directory");
        let run = |program: &str, arguments: &[&str]| {
            let done = Command::new(program).args(arguments).current_dir(&new).status();
            assert!(done.is_ok_and(|status| status.success()), "{advice}");
        };
        run("apt-get", &["download", "--quiet", PACKAGES[0], PACKAGES[1]]);
        run("sh", &["-ec", "for package in *.deb; do dpkg-deb --extract \"$package\" .; done"]);
        // Another test may have been faster.
        drop(std::fs::rename(new.path(), &dir));
    }
    let multiarch = std::fs::read_dir(dir.join("usr/lib")).expect("it is unpacked");
    let libraries = multiarch.flatten().map(|entry| entry.path()).next();
    Strace { program: dir.join("usr/bin/strace"), libraries }
}
