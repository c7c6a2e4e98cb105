//! What `portcullis audit` is told.

use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};
use proxy_index::Query;

use crate::commands::diff::DiffArgs;
use crate::failure::Failure;
use crate::indexed;
use crate::sinks::BucketFile;

/// How a filter is written, for `--help`.
const FILTER_HELP: &str = "A filter says which decisions are meant. Every term must hold; `a,b` is one of several, `-` in front is not, \
`*` stands for anything, `none` for no value:

  action:block hazard:violent_crimes -route:/v1/embeddings score>0.8 since:24h \"free text\"

Fields: action, would, outcome, hazard, classifier, failed, route, model, key, policy, profile, exemption, language, \
reason, status, method, mode, instance, trace, id, review, reviewer; score>0.8 or score.hate>=0.5; since: and until: \
with 24h, 7d, 2026-11-22 or 2026-11-22T06:03:28Z; words of kept texts, in quotes one after the other.";

/// Who asks, for `--help`.
const FETCH_HELP: &str = "The login is what the environment has (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, \
AWS_WEB_IDENTITY_TOKEN_FILE and AWS_ROLE_ARN), or the machine's own role. What was got before and has not grown stays. \
Then: portcullis audit verify DIR --key ed25519:...";

#[derive(Debug, clap::Args)]
pub(crate) struct AuditArgs {
    #[command(subcommand)]
    pub(crate) command: AuditCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Show the newest decisions, and go on with --follow
    #[command(after_help = FILTER_HELP)]
    Tail(TailArgs),
    /// List the decisions that a filter means, newest first, or count them
    #[command(after_help = FILTER_HELP)]
    Query(QueryArgs),
    /// Show everything about one decision
    Show(ShowArgs),
    /// Write decisions as CSV, JSON lines or OCSF, or verdicts as a labelled set
    #[command(after_help = FILTER_HELP)]
    Export(ExportArgs),
    /// Check every record, the chain between them and the signatures; name the first record that is not as it was written
    Verify(VerifyArgs),
    /// Decide every recorded decision again under another policy, and count what flips: the same as `diff`
    Replay(DiffArgs),
    /// Get a log back from the object store that it was copied to, for `verify` and every other command here
    #[command(after_help = FETCH_HELP)]
    Fetch(FetchArgs),
    /// Remove old segments, and leave in their place a signed note by which the rest still verifies
    Gc(GcArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct TailArgs {
    /// The audit directory
    pub(crate) dir: PathBuf,
    /// Show only what this filter means
    #[arg(value_name = "FILTER", allow_hyphen_values = true)]
    pub(crate) filter: Vec<String>,
    /// How many to show first
    #[arg(short = 'n', long, default_value_t = 20)]
    pub(crate) lines: u64,
    /// Go on showing decisions as they are made
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Print JSON lines: without a filter the records as they stand in the log but for kept texts, with one what `query`
    /// prints
    #[arg(long)]
    pub(crate) json: bool,
}

/// Which decisions are meant.
#[derive(Debug, clap::Args)]
pub(crate) struct Selection {
    /// The audit directory
    pub(crate) dir: PathBuf,
    /// Which decisions; all of them if it is left out
    #[arg(value_name = "FILTER", allow_hyphen_values = true)]
    pub(crate) filter: Vec<String>,
    /// Those decided at that time or later: 24h, 7d, 2026-11-22
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
    /// Those decided before that time
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<String>,
    /// Those with this action
    #[arg(long)]
    pub(crate) action: Option<String>,
    /// Those because of this category or rule
    #[arg(long)]
    pub(crate) hazard: Option<String>,
    /// Those of this key, by name or fingerprint
    #[arg(long)]
    pub(crate) key: Option<String>,
    /// Those of this route
    #[arg(long)]
    pub(crate) route: Option<String>,
    /// Those in which this classifier found something
    #[arg(long)]
    pub(crate) classifier: Option<String>,
    /// Those whose kept texts have these words
    #[arg(long)]
    pub(crate) text: Option<String>,
    /// Where the index is, if not in the audit directory: a file, or postgres://user:password@host/database
    #[arg(long, value_name = "FILE|URL", env = indexed::ENV, hide_env_values = true)]
    pub(crate) index: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct QueryArgs {
    #[command(flatten)]
    pub(crate) selection: Selection,
    /// How many to list
    #[arg(short = 'n', long, default_value_t = 50)]
    pub(crate) limit: usize,
    /// Go on with a page before: the number it ended with
    #[arg(long, value_name = "NUMBER")]
    pub(crate) before: Option<u64>,
    /// Print how many there are, and nothing else
    #[arg(long, conflicts_with = "facets")]
    pub(crate) count: bool,
    /// Print how often each value of these fields occurs, such as action,hazard
    #[arg(long, value_name = "FIELD", value_delimiter = ',')]
    pub(crate) facets: Vec<String>,
    /// Print JSON, one object per line
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ShowArgs {
    /// The audit directory
    pub(crate) dir: PathBuf,
    /// The decision's id: clients have it in the header `x-guard-decision-id`
    pub(crate) id: uuid::Uuid,
    /// Show the kept texts too, and record that and why
    #[arg(long, value_name = "REASON")]
    pub(crate) reveal: Option<String>,
    /// Where the index is, if not in the audit directory: a file, or postgres://user:password@host/database
    #[arg(long, value_name = "FILE|URL", env = indexed::ENV, hide_env_values = true)]
    pub(crate) index: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ExportArgs {
    #[command(flatten)]
    pub(crate) selection: Selection,
    /// What is written
    #[arg(long, value_enum, default_value_t = ExportFormat::Jsonl)]
    pub(crate) format: ExportFormat,
    /// Where to; standard output if it is left out. The file must not exist
    #[arg(short, long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Why texts are exported: `labelled` needs it, because its lines have kept texts, and it is recorded
    #[arg(long, value_name = "REASON")]
    pub(crate) reveal: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportFormat {
    /// Decisions for a spreadsheet; a cell that a spreadsheet would compute begins with an apostrophe
    Csv,
    /// Decisions as JSON, one on each line
    Jsonl,
    /// Detection Findings of the Open Cybersecurity Schema Framework 1.8, one on each line
    Ocsf,
    /// Texts with what reviewers said, for `portcullis eval` and `portcullis calibrate`
    Labelled,
    /// Policy tests from what reviewers said, for `portcullis test`: to be put under `tests:`
    Tests,
}

#[derive(Debug, clap::Args)]
pub(crate) struct VerifyArgs {
    /// The audit directory
    pub(crate) dir: PathBuf,
    /// The public key that must have signed: `ed25519:...`, or a file with it. Without it journal.pub in the directory is
    /// taken, which is worth no more than the directory
    #[arg(long, value_name = "KEY|FILE")]
    pub(crate) key: Option<String>,
    /// A file of checkpoints that were noted elsewhere (`audit: { anchor: FILE }` in server.yaml): the log must contain
    /// every one of them
    #[arg(long, value_name = "FILE")]
    pub(crate) anchor: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct FetchArgs {
    #[command(flatten)]
    pub(crate) bucket: BucketFile,
    /// Where to put its files; made if it is not there
    pub(crate) dir: PathBuf,
    /// Which log, by its public key, if there are several: `ed25519:...`
    #[arg(long, value_name = "KEY")]
    pub(crate) key: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct GcArgs {
    /// The audit directory
    pub(crate) dir: PathBuf,
    /// The policy whose `audit: { keep: ... }` says how long: a file, or one that comes with the program
    #[arg(long, value_name = "FILE|NAME", required_unless_present = "older_than")]
    pub(crate) policy: Option<String>,
    /// Remove whatever is older, such as 90d, whatever a policy says
    #[arg(long, value_name = "AGE")]
    pub(crate) older_than: Option<String>,
    /// Say what would be removed, and remove nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Where the index is, if it is not in the audit directory: what is removed is removed from it too
    #[arg(long, value_name = "FILE|URL", env = indexed::ENV, hide_env_values = true)]
    pub(crate) index: Option<String>,
}

/// Several arguments are one filter: a shell takes quotes away, so an argument with blanks is taken as quoted text.
pub(crate) fn filter(words: &[String]) -> Result<Query, Failure> {
    // A term may begin with `-`, so what comes behind the first one is never taken for an option.
    let option =
        |word: &&String| word.starts_with("--") || (word.starts_with('-') && word.len() == 2);
    if let Some(word) = words.iter().find(option) {
        return Err(Failure::Usage(format!("options such as `{word}` stand before the filter")));
    }
    let text = match words {
        [one] => one.clone(),
        words => {
            let quoted =
                |word: &String| match word.contains(char::is_whitespace) && !word.contains('"') {
                    true if !word.contains(':') => format!("\"{word}\""),
                    _ => word.clone(),
                };
            words.iter().map(quoted).collect::<Vec<_>>().join(" ")
        }
    };
    text.parse().map_err(|error: proxy_index::FilterError| Failure::Usage(error.to_string()))
}
