//! What `portcullis eval` is told.

use std::path::{Path, PathBuf};
use std::time::Duration;

use evaluation::{DataSet, Example, Format, Gate, read};

use crate::args::ModelsArgs;
use crate::failure::Failure;
use crate::remote::{Api, Remote, Settings};

use super::judge::{Here, Judge, Scored};
use super::position::PositionArgs;

#[derive(Debug, clap::Subcommand)]
pub(super) enum EvalCommand {
    /// Known attacks at every place of long harmless contexts, up to 128k tokens
    Position(PositionArgs),
}

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct EvalArgs {
    #[command(subcommand)]
    pub(super) command: Option<EvalCommand>,
    /// Labelled texts: JSON lines or CSV (also .gz), a CyberSecEval set (.json), or a folder of those
    ///
    /// Fields: `text`, `role` (user, assistant, tool), `attack` (benign, injection, jailbreak), `hazards` (list of S1 or
    /// violent_crimes; empty: none), `labels` ({"secrets": true}), `lang`, `source`; or `scores` in place of `text`.
    /// What is missing or null is unknown, and in no figure.
    #[arg(required = true, value_name = "FILE|FOLDER")]
    data: Vec<PathBuf>,
    /// How the data is written
    #[arg(long, value_enum, default_value_t = DataFormat::Auto)]
    format: DataFormat,
    /// Where the report is written: report.html, report.json, report.md
    #[arg(long, value_name = "FOLDER", default_value = "portcullis-eval")]
    pub(super) out: PathBuf,
    /// Outcomes as they come, by digest of the text; a run that was interrupted goes on [default: OUT/results.jsonl]
    #[arg(long, value_name = "FILE")]
    pub(super) results: Option<PathBuf>,
    /// The policy that decides: a file, or one that comes with the program
    #[arg(long, value_name = "FILE|NAME", default_value = "default")]
    policy: String,
    #[command(flatten)]
    models: ModelsArgs,
    /// Whose the scores are, where the data has scores in place of texts
    #[arg(long, default_value = "starter")]
    classifier: String,
    /// In which revision it gave them
    #[arg(long)]
    revision: Option<String>,
    #[command(flatten)]
    remote: RemoteArgs,
    /// Texts that are asked about at the same time
    #[arg(long, value_name = "COUNT", default_value_t = 8)]
    pub(super) concurrency: usize,
    /// Compare with what this policy decides on the same texts
    #[arg(long, value_name = "FILE|NAME", conflicts_with_all = ["url", "versus_results"])]
    versus_policy: Option<String>,
    /// Compare with another run, such as of another revision: its results.jsonl
    #[arg(long, value_name = "FILE")]
    pub(super) versus_results: Option<PathBuf>,
    /// End with 1 unless this holds, such as jailbreak.recall>=0.3, any[language=de].auc.low>=0.9 or
    /// benign[source=all].blocked<=0.01
    #[arg(long, value_name = "CONDITION")]
    gate: Vec<String>,
    /// What a reader of the report must know, such as whether the classifier was trained on the data
    #[arg(long, value_name = "TEXT")]
    pub(super) note: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum DataFormat {
    /// By its name
    Auto,
    Jsonl,
    Csv,
    Cyberseceval,
}

/// A guard somewhere.
#[derive(Debug, clap::Args)]
pub(crate) struct RemoteArgs {
    /// Ask a running guard instead, ours or another gateway: http://127.0.0.1:8080
    #[arg(long)]
    pub(crate) url: Option<String>,
    /// What to ask it
    #[arg(long, value_enum, default_value_t = Api::Chat)]
    api: Api,
    /// The model to name
    #[arg(long, default_value = "default")]
    model: String,
    /// Ask for streamed answers
    #[arg(long)]
    stream: bool,
    /// A file that holds the API key
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// Statuses that mean a block, beside 400, 403, 422 and 446 with an error that says so
    #[arg(long, value_name = "STATUS", value_delimiter = ',')]
    blocked_status: Vec<u16>,
    /// How long to wait for an answer
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    timeout: u64,
}

impl RemoteArgs {
    pub(crate) fn at(&self, url: &str) -> Result<Remote, Failure> {
        let key = |path: &PathBuf| {
            std::fs::read_to_string(path).map(|key| key.trim().to_owned()).map_err(|error| {
                Failure::environment(format!("{} cannot be read", path.display()), &error)
            })
        };
        Remote::new(Settings {
            url: url.to_owned(),
            api: self.api,
            model: self.model.clone(),
            stream: self.stream,
            key: self.key_file.as_ref().map(key).transpose()?,
            blocked_status: self.blocked_status.clone(),
            timeout: Duration::from_secs(self.timeout),
        })
    }
}

impl EvalArgs {
    pub(super) fn gates(&self) -> Result<Vec<Gate>, Failure> {
        let parsed = self.gate.iter().map(|gate| gate.parse::<Gate>());
        parsed.collect::<Result<_, _>>().map_err(|error| Failure::Usage(error.to_string()))
    }

    pub(super) fn examples(&self) -> Result<(Vec<Example>, Vec<DataSet>), Failure> {
        let format = match self.format {
            DataFormat::Auto => Format::Auto,
            DataFormat::Jsonl => Format::Jsonl,
            DataFormat::Csv => Format::Csv,
            DataFormat::Cyberseceval => Format::CyberSecEval,
        };
        let (mut all, mut data) = (Vec::new(), Vec::new());
        for path in &self.data {
            let examples = examples(path, format)?;
            let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
            data.push(DataSet { name: name.into_owned(), texts: examples.len() });
            all.extend(examples);
        }
        Ok((all, data))
    }

    pub(super) fn judge(&self, examples: &[Example]) -> Result<Judge, Failure> {
        let Some(url) = &self.remote.url else { return self.here(&self.policy, examples) };
        Ok(Judge::There(Box::new(self.remote.at(url)?)))
    }

    fn here(&self, policy: &str, examples: &[Example]) -> Result<Judge, Failure> {
        let given = examples.iter().any(|example| example.scores.is_some());
        if given && self.revision.is_none() {
            return Err(Failure::Usage(
                "the data has scores: whose are they? say `--revision`".to_owned(),
            ));
        }
        let scored = given
            .then_some(Scored { classifier: &self.classifier, revision: self.revision.as_deref() });
        let models = self.models.models()?;
        Ok(Judge::Here(Box::new(Here::new(policy, &models, scored.as_ref())?)))
    }

    pub(super) fn versus(&self, examples: &[Example]) -> Result<Option<Judge>, Failure> {
        self.versus_policy.as_ref().map(|policy| self.here(policy, examples)).transpose()
    }
}

/// Labelled texts of a file or folder.
pub(crate) fn examples(path: &Path, format: Format) -> Result<Vec<Example>, Failure> {
    read(path, format).map_err(|error| Failure::environment("the data cannot be used", &error))
}
