//! `portcullis policy`

mod signing;

use std::process::ExitCode;

use clap::Subcommand;
use policies::{Policy, library};

use crate::failure::Failure;
use signing::{KeygenArgs, SignArgs, VerifyArgs};

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct PolicyArgs {
    /// Which one; `--list` says which there are
    #[arg(default_value = "default")]
    name: String,
    /// List the policies that come with the program, with what they are for
    #[arg(long)]
    list: bool,
    #[command(subcommand)]
    command: Option<PolicyCommand>,
}

#[derive(Debug, Subcommand)]
enum PolicyCommand {
    /// Make a key pair that signs policies: NAME.key, which is secret, and NAME.pub, which guards are told
    Keygen(KeygenArgs),
    /// Sign a policy file, for guards that fetch it from a URL
    ///
    /// The policy must have no errors and pass its own tests. Guards take it if its serial is higher than that of the
    /// policy before it.
    Sign(SignArgs),
    /// Check a signed policy in a file or at a URL, and say what it is
    ///
    /// Ends with 0 if guards would take it, 1 if not, 3 if it cannot be had.
    Verify(VerifyArgs),
}

/// Prints the source of a policy that comes with the program, or does what the subcommand says.
pub(crate) fn run(args: &PolicyArgs) -> Result<ExitCode, Failure> {
    match &args.command {
        Some(PolicyCommand::Keygen(args)) => return signing::keygen(args),
        Some(PolicyCommand::Sign(args)) => return signing::sign(args),
        Some(PolicyCommand::Verify(args)) => return signing::verify(args),
        None => {}
    }
    if args.list {
        for (name, source) in library::ALL {
            let policy = Policy::parse(source, name).ok().map(|(policy, _)| policy);
            let about = policy.as_ref().and_then(Policy::about).unwrap_or_default();
            say!("{name:<18} {about}");
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
