//! `portcullis console`

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use proxy_audit::{Journal, JournalError, Options};
use proxy_console::{Role, Rules, Users};

use crate::config;
use crate::console::{LISTEN, Served, Settings, Shown, document, users_file};
use crate::failure::Failure;
use crate::indexed::{self, Indexed};
use crate::registry;

use super::serve::{runtime, stop_signal};

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = false)]
pub(crate) struct ConsoleArgs {
    #[command(subcommand)]
    command: Option<ConsoleCommand>,
    /// Where decisions were recorded
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "PORTCULLIS_AUDIT_DIR",
        default_value = "portcullis-audit"
    )]
    audit_dir: PathBuf,
    /// Where decisions are indexed: a file, or postgres://user:password@host/database [default: in the audit directory]
    #[arg(long, value_name = "FILE|URL", env = indexed::ENV, hide_env_values = true)]
    audit_index: Option<String>,
    /// Who may log in [default: console-users.json in the audit directory]
    #[arg(long, global = true, value_name = "FILE", env = "PORTCULLIS_CONSOLE_USERS")]
    users: Option<PathBuf>,
    /// Where to serve the page
    #[arg(long, value_name = "ADDRESS", env = "PORTCULLIS_CONSOLE", default_value_t = LISTEN)]
    listen: SocketAddr,
    /// The policy whose thresholds are shown: a file, or one that comes with the program
    #[arg(long, value_name = "FILE|NAME", default_value = "default")]
    policy: String,
}

#[derive(Debug, clap::Subcommand)]
pub(crate) enum ConsoleCommand {
    /// Let somebody log in. Asks for the password, or reads it from standard input
    AddUser {
        /// The name to log in by
        name: String,
        /// viewer: lists, scores and charts; reviewer: texts and verdicts too; policy-admin: everything
        #[arg(long)]
        role: Role,
    },
    /// Let somebody log in no more
    RemoveUser {
        /// The name
        name: String,
    },
    /// Say who may log in
    Users,
}

/// Serves the page for a log, or changes who may log in.
pub(crate) fn run(args: &ConsoleArgs) -> Result<ExitCode, Failure> {
    let users = Users::new(args.users.clone().unwrap_or_else(|| users_file(&args.audit_dir)));
    let failed = |error| Failure::environment("the console's users were not changed", &error);
    let mut out = std::io::stdout();
    match &args.command {
        None => return serve(args),
        Some(ConsoleCommand::AddUser { name, role }) => {
            users.add(name, *role, &password()?).map_err(failed)?;
            writeln!(out, "{name} may log in as {role} ({})", users.file().display()).ok();
        }
        Some(ConsoleCommand::RemoveUser { name }) => {
            users.remove(name).map_err(failed)?;
            writeln!(out, "{name} may not log in any more").ok();
        }
        Some(ConsoleCommand::Users) => {
            for (name, role) in users.list().map_err(failed)? {
                writeln!(out, "{role:<12}  {name}").ok();
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A new password: asked for twice on a terminal, else the first line of standard input.
fn password() -> Result<String, Failure> {
    let unread = |error| Failure::environment("the password cannot be read", &error);
    if !std::io::stdin().is_terminal() {
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line).map_err(unread)?;
        return Ok(line.trim_end_matches(['\r', '\n']).to_owned());
    }
    let password = rpassword::prompt_password("Password: ").map_err(unread)?;
    if rpassword::prompt_password("Again: ").map_err(unread)? != password {
        return Err(Failure::Usage("the two passwords are not the same".to_owned()));
    }
    Ok(password)
}

fn serve(args: &ConsoleArgs) -> Result<ExitCode, Failure> {
    let dir = &args.audit_dir;
    if !dir.is_dir() {
        return Err(Failure::Environment(format!("there is no audit log in {}", dir.display())));
    }
    let calibrations = registry::calibrations(&registry::embedded()?)?;
    let policy = config::policy(&args.policy)?.calibrated(calibrations.iter().cloned());
    let rules = Rules::new(move || policy.clone(), document(&args.policy), calibrations);
    let journal = open(dir)?;
    runtime()?.block_on(async {
        let stop = stop_signal()?;
        let mut settings = Settings::new(args.listen, dir);
        settings.users = args.users.clone().unwrap_or(settings.users);
        let place = args.audit_index.as_deref().map(indexed::place).transpose()?;
        let indexed = Indexed::start(dir, place.as_ref())?;
        let shown = Shown { audit_dir: dir.clone(), indexed, journal: journal.clone(), rules };
        let served = Served::start(&settings, shown).await?;
        let console = served.url()?;
        tracing::info!(%console, audit_dir = %dir.display(), "review page");
        served.serve(stop).await;
        if let Some(journal) = journal {
            journal.close().map_err(|error| {
                Failure::environment("the audit log could not be sealed", &error)
            })?;
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// The journal, to record what people do. While a proxy writes it, the page only reads.
fn open(dir: &Path) -> Result<Option<Arc<Journal>>, Failure> {
    match Journal::open(dir, &Options::default()) {
        Ok((journal, _)) => Ok(Some(Arc::new(journal))),
        Err(JournalError::Locked { .. }) => {
            tracing::warn!("another process writes this log: this console only reads it");
            Ok(None)
        }
        Err(error) => Err(Failure::environment(
            format!("the audit log in {} cannot be opened", dir.display()),
            &error,
        )),
    }
}
