//! `portcullis fingerprint`

use std::io::{BufRead as _, Write as _};
use std::process::ExitCode;

use crate::args::FingerprintArgs;
use crate::failure::Failure;

/// Prints the fingerprint of each key, or subject, on standard input: arguments of a command can be read by others.
pub(crate) fn run(args: &FingerprintArgs) -> Result<ExitCode, Failure> {
    for line in std::io::stdin().lock().lines() {
        let line =
            line.map_err(|error| Failure::environment("standard input cannot be read", &error))?;
        let said = line.trim();
        if !said.is_empty() {
            let fingerprint = match &args.issuer {
                Some(issuer) => proxy_identity::fingerprint(issuer, said),
                None => proxy_stack::fingerprint(said),
            };
            writeln!(std::io::stdout(), "{fingerprint}").ok();
        }
    }
    Ok(ExitCode::SUCCESS)
}
