//! The `portcullis` binary.

/// A line for whoever reads standard output; who reads no more has read enough.
macro_rules! say {
    ($($line:tt)*) => {{
        use std::io::Write as _;
        writeln!(std::io::stdout(), $($line)*).ok();
    }};
}

mod again;
mod args;
mod commands;
mod config;
mod console;
mod demo;
mod elsewhere;
mod failure;
mod fetch;
mod indexed;
mod limits;
mod listener;
mod logging;
mod policy;
mod provider;
mod registry;
mod reload;
mod remote;
mod server;
mod shared;
mod sign_in;
mod sinks;
mod supervisor;
mod tls;
mod tokens;
mod traces;

use std::process::ExitCode;

use clap::Parser;

use args::{Args, Command};

fn main() -> ExitCode {
    let args = Args::parse();
    logging::start(args.log, matches!(args.command, Command::Serve(_) | Command::Console(_)));
    let result = match args.command {
        Command::Serve(args) => commands::serve::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Classify(args) => commands::classify::run(&args),
        Command::Check(args) => commands::check::run(&args),
        Command::Test(args) => commands::test::run(&args),
        Command::Explain(args) => commands::explain::run(&args),
        Command::Diff(args) => commands::diff::run(&args),
        Command::Calibrate(args) => commands::calibrate::run(&args),
        Command::Eval(args) => commands::eval::run(&args),
        Command::Canary(args) => commands::canary::run(&args),
        Command::Schema(args) => commands::schema::run(&args),
        Command::Fingerprint(args) => commands::fingerprint::run(&args),
        Command::Policy(args) => commands::policy::run(&args),
        Command::VerifyModel(args) => commands::verify_model::run(&args),
        Command::Doctor(args) => commands::doctor::run(&args),
        Command::VerifyRemote(args) => commands::verify_remote::run(&args),
        Command::Audit(args) => commands::audit::run(&args),
        Command::Console(args) => commands::console::run(&args),
    };
    result.unwrap_or_else(|failure| failure.report())
}
