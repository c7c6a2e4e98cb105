//! Running other programs.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Where the clients' tests install their Python, below the target directory; the audit log's second verifier is
/// Python too.
const PYTHON: &str = "clients/python/bin/python";

/// Runs every test.
pub(crate) fn test(no_clients: bool) -> Result<(), String> {
    let mut rust = Command::new("cargo");
    rust.args(["test", "--workspace", "--locked"]);
    match crate::onnxruntime::fetch(false) {
        // From here on a test that needs the library and does not find it fails.
        Ok(library) => {
            rust.env("ORT_DYLIB_PATH", library).env("PORTCULLIS_REQUIRE_ONNXRUNTIME", "1");
        }
        Err(error) if std::env::var_os("CI").is_some() => {
            return Err(format!(
                "ONNX Runtime cannot be had, and its tests are required here: {error}"
            ));
        }
        Err(error) => {
            println!("SKIPPED: the tests of Prompt Guard; ONNX Runtime cannot be had: {error}")
        }
    }
    leave_out(&mut rust);
    if !no_clients {
        run(Command::new("cargo").args([
            "build",
            "--release",
            "--locked",
            "--package",
            "portcullis",
        ]))?;
        run(&mut Command::new("tests/clients/run"))?;
        run(&mut Command::new("tests/envoy/run"))?;
        run(&mut Command::new("tests/eval/run"))?;
        fleet()?;
        if !tool("chromium") {
            println!("SKIPPED: the review page in a browser; there is no `chromium` on the PATH");
        } else {
            run(&mut Command::new("tests/console/run"))?;
        }
        rust.env("PORTCULLIS_TEST_PYTHON", target()?.join(PYTHON));
    } else if output("python3", &["-c", "import moto.server"]).is_err() {
        println!(
            "SKIPPED: copying the audit log to S3; there is no moto (`pip install moto[server]`)"
        );
        rust.env("PORTCULLIS_TEST_WITHOUT_S3", "1");
    }
    run(&mut rust)
}

/// Has the Rust tests leave out, loudly, what cannot be run here. By themselves they would fail.
fn leave_out(rust: &mut Command) {
    let tracing = Command::new("strace").args(["-qq", "-o", "/dev/null", "true"]).output();
    if !tracing.is_ok_and(|output| output.status.success()) {
        println!("SKIPPED: system calls that fail; there is no `strace`, or it may not trace");
        rust.env("PORTCULLIS_TEST_WITHOUT_STRACE", "1");
    }
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    if !versions.into_iter().any(|version| version.path().join("bin/initdb").is_file()) {
        println!(
            "SKIPPED: an index in PostgreSQL; there is no server (`apt-get install postgresql`)"
        );
        rust.env("PORTCULLIS_TEST_WITHOUT_POSTGRES", "1");
    }
    // Debian puts it where only root looks.
    if !tool("nats-server") && !Path::new("/usr/sbin/nats-server").is_file() {
        println!(
            "SKIPPED: sending the audit log on; there is no NATS (`apt-get install nats-server`)"
        );
        rust.env("PORTCULLIS_TEST_WITHOUT_NATS", "1");
    }
}

/// A minute of the fleet; by itself it tries more and longer.
fn fleet() -> Result<(), String> {
    if !["redis-server", "valkey-server", "apt-get"].into_iter().any(tool) {
        println!("SKIPPED: the fleet; there is no redis-server, and no apt-get to fetch one");
        return Ok(());
    }
    let times = ["--seconds", "18", "--fault", "3", "--faults", "2"];
    let guard = target()?.join("release/portcullis");
    run(Command::new("tests/fleet/run").arg(guard).args(times))
}

/// Whether a program can be run by its name.
fn tool(name: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths).any(|path| path.join(name).is_file())
}

/// The target directory.
pub(crate) fn target() -> Result<PathBuf, String> {
    let here = std::env::current_dir().map_err(|error| error.to_string())?;
    let target = std::env::var("CARGO_TARGET_DIR").unwrap_or_else(|_| "target".to_owned());
    Ok(here.join(target))
}

/// Runs a program whose output is for the person watching.
pub(crate) fn run(command: &mut Command) -> Result<(), String> {
    println!("$ {}", shown(command));
    let status = command.status().map_err(|error| format!("{}: {error}", shown(command)))?;
    if status.success() { Ok(()) } else { Err(format!("{}: {status}", shown(command))) }
}

/// Runs a program and returns what it prints.
pub(crate) fn output(program: &str, args: &[&str]) -> Result<String, String> {
    let output =
        Command::new(program).args(args).output().map_err(|error| format!("{program}: {error}"))?;
    if !output.status.success() {
        return Err(format!("{program}: {}", String::from_utf8_lossy(&output.stderr)));
    }
    String::from_utf8(output.stdout).map_err(|error| error.to_string())
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
