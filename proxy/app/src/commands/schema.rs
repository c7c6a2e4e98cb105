//! `portcullis schema`

use std::io::Write as _;
use std::process::ExitCode;

use policies::reference;

use crate::failure::Failure;

#[derive(Debug, clap::Args)]
pub(crate) struct SchemaArgs {
    /// Print the reference page (Markdown) instead
    #[arg(long)]
    reference: bool,
}

/// Prints the JSON Schema of policies.
#[expect(clippy::unnecessary_wraps, reason = "as every command")]
pub(crate) fn run(args: &SchemaArgs) -> Result<ExitCode, Failure> {
    let text = if args.reference { reference::page() } else { reference::schema() };
    write!(std::io::stdout(), "{text}").ok();
    Ok(ExitCode::SUCCESS)
}
