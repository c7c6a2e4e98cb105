//! `portcullis policy`

use std::process::ExitCode;

use policies::library;

use crate::args::PolicyArgs;
use crate::failure::Failure;

/// Prints the source of a policy that comes with the program.
pub(crate) fn run(args: &PolicyArgs) -> Result<ExitCode, Failure> {
    let source = library::by_name(&args.name).ok_or_else(|| {
        Failure::Usage(format!(
            "there is no policy `{}`; there are default, strict and observe",
            args.name
        ))
    })?;
    print!("{source}");
    Ok(ExitCode::SUCCESS)
}
