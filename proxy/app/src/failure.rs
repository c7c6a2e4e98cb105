//! How a command ends when it does not end well: a sentence on standard error, and an exit code.

use std::error::Error;
use std::process::ExitCode;

/// Exit codes: 0 all is well, 1 a check or test said no, 2 wrong usage (clap's own), 3 the environment is not
/// as it must be (a file is missing, a port is taken).
#[derive(Debug)]
pub(crate) enum Failure {
    /// What was asked about is not as it should be; already said on standard output.
    SaidNo,
    /// The command was used in a way that makes no sense.
    Usage(String),
    /// The command could not run.
    Environment(String),
}

impl Failure {
    /// The command could not run, because of `error` while doing `what`.
    pub(crate) fn environment(what: impl std::fmt::Display, error: &(dyn Error + 'static)) -> Self {
        Self::Environment(format!("{what}: {}", chain(error)))
    }

    /// Says what went wrong, and gives the exit code.
    pub(crate) fn report(self) -> ExitCode {
        match self {
            Self::SaidNo => ExitCode::from(1),
            Self::Usage(message) => {
                eprintln!("error: {message}");
                ExitCode::from(2)
            }
            Self::Environment(message) => {
                eprintln!("error: {message}");
                ExitCode::from(3)
            }
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::SaidNo => f.write_str("not as it should be"),
            Self::Usage(message) | Self::Environment(message) => f.write_str(message),
        }
    }
}

/// An error and everything that led to it, in one line.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
