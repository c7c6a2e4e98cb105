//! `portcullis policy`

use std::process::ExitCode;

use policies::{Policy, library};

use crate::args::PolicyArgs;
use crate::failure::Failure;

/// Prints the source of a policy that comes with the program.
pub(crate) fn run(args: &PolicyArgs) -> Result<ExitCode, Failure> {
    if args.list {
        for (name, source) in library::ALL {
            let policy = Policy::parse(source, name).ok().map(|(policy, _)| policy);
            let about = policy.as_ref().and_then(Policy::about).unwrap_or_default();
            println!("{name:<18} {about}");
        }
        return Ok(ExitCode::SUCCESS);
    }
    let source = library::by_name(&args.name).ok_or_else(|| {
        Failure::Usage(format!(
            "there is no policy `{}`; there are {}",
            args.name,
            library::names()
        ))
    })?;
    print!("{source}");
    Ok(ExitCode::SUCCESS)
}
