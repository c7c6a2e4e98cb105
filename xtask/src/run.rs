//! Running other programs.

use std::process::Command;

/// Where the clients' tests install their Python, below the target directory; the audit log's second verifier is
/// Python too.
const PYTHON: &str = "clients/python/bin/python";

/// Runs every test.
pub(crate) fn test(no_clients: bool) -> Result<(), String> {
    let mut rust = Command::new("cargo");
    rust.args(["test", "--workspace", "--locked"]);
    if !no_clients {
        run(Command::new("cargo").args([
            "build",
            "--release",
            "--locked",
            "--package",
            "portcullis",
        ]))?;
        run(&mut Command::new("tests/clients/run"))?;
        let here = std::env::current_dir().map_err(|error| error.to_string())?;
        let target = std::env::var("CARGO_TARGET_DIR").unwrap_or_else(|_| "target".to_owned());
        rust.env("PORTCULLIS_TEST_PYTHON", here.join(target).join(PYTHON));
    }
    run(&mut rust)
}

/// Runs a program whose output is for the person watching.
fn run(command: &mut Command) -> Result<(), String> {
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
