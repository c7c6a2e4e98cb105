//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

use crate::commands::audit::AuditArgs;
use crate::commands::calibrate::CalibrateArgs;
use crate::commands::canary::CanaryArgs;
use crate::commands::check::CheckArgs;
use crate::commands::console::ConsoleArgs;
use crate::commands::diff::DiffArgs;
use crate::commands::eval::EvalArgs;
use crate::commands::explain::ExplainArgs;
use crate::commands::policy::PolicyArgs;
use crate::commands::schema::SchemaArgs;
use crate::commands::test::TestArgs;
use crate::elsewhere::ElsewhereArgs;
use crate::indexed;
use crate::shared::SharedArgs;

/// A safety guardrail proxy: a sidecar in front of model APIs.
///
/// Every request and every answer is judged by classifiers, a policy decides, and every decision is recorded
/// before anything leaves. Start with `portcullis demo`.
#[derive(Debug, Parser)]
#[command(name = "portcullis", version, propagate_version = true, max_term_width = 100)]
pub(crate) struct Args {
    /// How to write the log (standard error). What is logged: environment variable PORTCULLIS_LOG, one of error, warn,
    /// info (a server's default), debug, trace, off
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text, env = "PORTCULLIS_LOG_FORMAT")]
    pub(crate) log: LogFormat,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show what the guard does: a stand-in model, the proxy, and a table of telling exchanges
    Demo(DemoArgs),
    /// Guard a model server
    ///
    /// SIGTERM stops it in order, SIGHUP reads policy, certificates and keys again. Traces go where `traces` in
    /// server.yaml or OTEL_EXPORTER_OTLP_ENDPOINT says.
    Serve(Box<ServeArgs>),
    /// Judge texts from standard input, one JSON object or plain text per line
    ///
    /// A line is `{"text": "...", "role": "user|assistant|tool"}` or plain text (a user's). For each line comes
    /// one line of JSON: every category's score, the policy's action and what it is because of.
    Classify(ClassifyArgs),
    /// Check a policy file: everything that is wrong with it, with line and remedy
    Check(CheckArgs),
    /// Run the tests that a policy file contains
    Test(TestArgs),
    /// Say why a text or a recorded decision is decided as it is, and what would change it
    Explain(ExplainArgs),
    /// Decide every recorded decision again under another policy, and count what flips
    Diff(DiffArgs),
    /// Measure from which scores on a classifier's findings should count
    ///
    /// Reads labelled JSON lines and writes a calibration file: what `low`, `medium` and `high` in a policy are
    /// for exactly this classifier, with 95 % intervals. Never measure on texts that it was trained on.
    Calibrate(CalibrateArgs),
    /// Measure how good a guard is on labelled texts: this program's classifiers, or any running guard
    ///
    /// Writes one HTML page with plots, and the same as JSON. Ends with 0, 1 if a --gate does not hold, 3 if the data
    /// cannot be read.
    Eval(Box<EvalArgs>),
    /// Send known attacks through a running guard again and again, and alarm when they are no longer blocked
    ///
    /// Give it an API key of its own and name that key in server.yaml (`keys`): so its traffic is known in the log.
    Canary(Box<CanaryArgs>),
    /// Print the JSON Schema of policies, for editors, or the reference page
    Schema(SchemaArgs),
    /// Print the fingerprint of each API key on standard input, for `keys` in server.yaml
    Fingerprint(FingerprintArgs),
    /// Print a policy that comes with the program, to start your own from; sign policies, and check signed ones
    Policy(PolicyArgs),
    /// Check a model's folder (Prompt Guard or Llama Guard): files and digests, what it says about fixed texts, how fast
    /// it is
    ///
    /// Ends with 0 if the model behaves like what it is, 1 if it answers otherwise, 3 if it cannot be loaded.
    VerifyModel(VerifyModelArgs),
    /// Look at everything that `serve` with the same arguments needs, and say what is wrong and what to do
    ///
    /// Ends with 0 if everything is as it should be, 1 if something is not.
    Doctor(Box<ServeArgs>),
    /// Try the servers that judge elsewhere, and say in plain words what is wrong with them
    ///
    /// Takes the arguments and the server.yaml of `serve`. Ends with 0 if every server gives the verdicts that a model
    /// in order gives, 1 if one does not, 3 if there is nothing to try.
    VerifyRemote(Box<VerifyRemoteArgs>),
    /// Look into the audit log
    Audit(AuditArgs),
    /// Look into the audit log with a browser, and say who may
    Console(ConsoleArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct DemoArgs {
    /// Show the table and exit, instead of serving on for your own requests
    #[arg(long)]
    pub(crate) once: bool,
    /// Where the demo's proxy listens
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub(crate) listen: SocketAddr,
}

#[derive(Debug, clap::Args)]
pub(crate) struct FingerprintArgs {
    /// Take each line as a subject (`sub`) of this issuer of tokens, as records name it
    #[arg(long, value_name = "ISSUER")]
    pub(crate) issuer: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ServeArgs {
    /// The model server: http://127.0.0.1:8000, or a base URL such as https://api.example.com/v1
    #[arg(long, value_name = "URL", env = "PORTCULLIS_UPSTREAM")]
    pub(crate) upstream: Option<String>,
    /// Where to listen [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS", env = "PORTCULLIS_LISTEN")]
    pub(crate) listen: Option<SocketAddr>,
    /// Where an Envoy asks about its exchanges (ext_proc over gRPC); nowhere unless said
    #[arg(long, value_name = "ADDRESS", env = "PORTCULLIS_EXT_PROC")]
    pub(crate) ext_proc: Option<SocketAddr>,
    /// Where to serve /metrics, /livez and /readyz; nowhere unless said
    #[arg(long, value_name = "ADDRESS", env = "PORTCULLIS_ADMIN")]
    pub(crate) admin: Option<SocketAddr>,
    /// Where to serve the review page; nowhere unless said. `portcullis console add-user` says who may log in
    #[arg(long, value_name = "ADDRESS", env = "PORTCULLIS_CONSOLE")]
    pub(crate) console: Option<SocketAddr>,
    /// A policy file, one that comes with the program (see `policy --list`), or a signed one at a URL [default: default]
    #[arg(long, value_name = "FILE|NAME|URL")]
    pub(crate) policy: Option<String>,
    /// A public key that may sign the policy at a URL, or a file with one; several while keys are exchanged
    #[arg(long, value_name = "KEY|FILE")]
    pub(crate) policy_key: Vec<String>,
    /// Where decisions are recorded [default: portcullis-audit]
    #[arg(long, value_name = "DIR", env = "PORTCULLIS_AUDIT_DIR")]
    pub(crate) audit_dir: Option<PathBuf>,
    /// Where decisions are indexed: a file, or postgres://user:password@host/database [default: in the audit directory]
    #[arg(long, value_name = "FILE|URL", env = indexed::ENV, hide_env_values = true)]
    pub(crate) audit_index: Option<String>,
    /// Have prompt attacks judged by the Prompt Guard in this folder (model.onnx, tokenizer.json, config.json)
    ///
    /// classifiers/prompt-guard/tools/export.py makes one; `portcullis verify-model DIR` checks it.
    #[arg(long, value_name = "DIR", env = "PORTCULLIS_PROMPT_GUARD")]
    pub(crate) prompt_guard: Option<PathBuf>,
    /// Have hazards judged by the Llama Guard 3 (8B or 1B) in this folder, as Hugging Face publishes it
    ///
    /// `portcullis verify-model DIR` checks it and says how fast it is. The policy's `timeout` must leave it time.
    #[arg(long, value_name = "DIR", env = "PORTCULLIS_LLAMA_GUARD")]
    pub(crate) llama_guard: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) elsewhere: ElsewhereArgs,
    #[command(flatten)]
    pub(crate) shared: SharedArgs,
    /// Settings of the server (server.yaml); arguments and environment win over it
    #[arg(long, value_name = "FILE", env = "PORTCULLIS_CONFIG")]
    pub(crate) config: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct VerifyRemoteArgs {
    #[command(flatten)]
    pub(crate) models: ModelsArgs,
    /// Settings of the server (server.yaml), with `remote` in them
    #[arg(long, value_name = "FILE", env = "PORTCULLIS_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// How long one verdict may take, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    pub(crate) timeout: u64,
}

/// Models in place of the embedded classifier.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct ModelsArgs {
    /// Have prompt attacks judged by the Prompt Guard in this folder
    #[arg(long, value_name = "DIR", env = "PORTCULLIS_PROMPT_GUARD")]
    pub(crate) prompt_guard: Option<PathBuf>,
    /// Have hazards judged by the Llama Guard 3 in this folder
    #[arg(long, value_name = "DIR", env = "PORTCULLIS_LLAMA_GUARD")]
    pub(crate) llama_guard: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) elsewhere: ElsewhereArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ClassifyArgs {
    /// A policy file, or one that comes with the program
    #[arg(long, value_name = "FILE|NAME", default_value = "default")]
    pub(crate) policy: String,
    #[command(flatten)]
    pub(crate) models: ModelsArgs,
    /// Take every line as a JSON object; a line that is not one is an error
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct VerifyModelArgs {
    /// The folder
    pub(crate) dir: PathBuf,
    #[command(flatten)]
    pub(crate) model: ModelArgs,
}

/// How a model is run.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct ModelArgs {
    /// What to run it on: cpu, cuda, or cuda:1 for the second graphics card [default: cpu]
    #[arg(long, value_name = "DEVICE")]
    pub(crate) device: Option<String>,
    /// Threads for one inference [default: as many as there are processors, for Prompt Guard at most 8]
    #[arg(long, value_name = "COUNT")]
    pub(crate) threads: Option<usize>,
    /// What Llama Guard is computed in: f32, f16 or bf16 [default: f32 on a processor, bf16 on a graphics card]
    #[arg(long, value_name = "TYPE")]
    pub(crate) precision: Option<String>,
}
