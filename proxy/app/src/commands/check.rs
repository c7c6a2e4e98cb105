//! `portcullis check`

use std::process::ExitCode;

use policies::Policy;

use crate::args::PolicyFileArgs;
use crate::config::policy_source;
use crate::failure::Failure;

/// Prints everything that is wrong with a policy, or that nothing is.
pub(crate) fn run(args: &PolicyFileArgs) -> Result<ExitCode, Failure> {
    let source = policy_source(&args.file)?;
    match Policy::parse(&source, &args.file) {
        Ok((policy, warnings)) => {
            println!("{warnings}");
            println!("{} can be used", policy.label());
            Ok(ExitCode::SUCCESS)
        }
        Err(diagnostics) => {
            println!("{diagnostics}");
            Err(Failure::SaidNo)
        }
    }
}
