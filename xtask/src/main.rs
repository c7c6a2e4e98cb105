//! `cargo xtask test` runs every test there is; `cargo xtask tidy` checks the rules that hold the design; `cargo xtask
//! onnxruntime` fetches the library that Prompt Guard needs; `cargo xtask scaling` says what fleets cost.

mod arrows;
mod files;
mod onnxruntime;
mod run;
mod scaling;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Repository chores
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask")]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run every test: Rust, and real clients against the real binary
    Test {
        /// Leave out the tests with the real Python and Node.js clients and with scikit-learn (they install packages)
        #[arg(long)]
        no_clients: bool,
    },
    /// Fetch ONNX Runtime, which Prompt Guard and its tests need, into the target directory (from the Python package)
    Onnxruntime {
        /// The build for NVIDIA graphics cards
        #[arg(long)]
        gpu: bool,
    },
    /// Print what fleets cost, by simulation, as docs/scaling.md has it
    Scaling {
        #[command(flatten)]
        costs: scaling::Costs,
    },
    /// Check which package may depend on which, and how files look
    Tidy,
}

fn main() -> ExitCode {
    let done = match Args::parse().command {
        Command::Test { no_clients } => run::test(no_clients),
        Command::Onnxruntime { gpu } => {
            onnxruntime::fetch(gpu).map(|library| println!("{}", library.display()))
        }
        Command::Scaling { costs } => {
            print!("{}", scaling::table(&costs));
            Ok(())
        }
        Command::Tidy => tidy(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

fn tidy() -> Result<(), String> {
    let mut faults = arrows::check()?;
    faults.extend(files::check()?);
    if faults.is_empty() {
        println!("tidy: every dependency is an allowed arrow, every file looks as it should");
        return Ok(());
    }
    for fault in &faults {
        println!("{fault}");
    }
    Err(format!("{} things are not tidy", faults.len()))
}
