//! `portcullis fingerprint`

use std::io::{BufRead as _, Write as _};
use std::process::ExitCode;

use crate::failure::Failure;

/// Prints the fingerprint of each key on standard input: arguments of a command can be read by others.
pub(crate) fn run() -> Result<ExitCode, Failure> {
    for line in std::io::stdin().lock().lines() {
        let line =
            line.map_err(|error| Failure::environment("standard input cannot be read", &error))?;
        let key = line.trim();
        if !key.is_empty() {
            writeln!(std::io::stdout(), "{}", proxy_stack::fingerprint(key)).ok();
        }
    }
    Ok(ExitCode::SUCCESS)
}
