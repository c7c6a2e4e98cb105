//! Models that run elsewhere: how arguments and `server.yaml` name them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ValueEnum;
use classifiers_core::Category;
use classifiers_remote::{
    Key, LlamaGuardOptions, PromptGuardApi, PromptGuardOptions, RemoteLlamaGuard,
    RemoteModerations, RemotePromptGuard, Settings,
};
use serde::Deserialize;

use crate::config::read_key;
use crate::failure::Failure;

/// What the models are called where nothing else is said: as they are published.
const LLAMA_GUARD: &str = "meta-llama/Llama-Guard-3-8B";
const PROMPT_GUARD: &str = "prompt-guard";

/// Models on other machines.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct ElsewhereArgs {
    /// Have hazards judged by a Llama Guard on these servers (vLLM, SGLang, llama.cpp); --llama-guard then names the
    /// folder with its tokenizer
    ///
    /// Several URLs, separated by commas, must run the same model. `portcullis verify-remote` tries them.
    #[arg(long, value_name = "URL", env = "PORTCULLIS_LLAMA_GUARD_URL", value_delimiter = ',')]
    pub(crate) llama_guard_url: Vec<String>,
    /// What the servers call Llama Guard [default: meta-llama/Llama-Guard-3-8B]
    #[arg(long, value_name = "NAME", env = "PORTCULLIS_LLAMA_GUARD_MODEL")]
    pub(crate) llama_guard_model: Option<String>,
    /// Have prompt attacks judged by a Prompt Guard on these servers; --prompt-guard then names the folder with its
    /// tokenizer
    #[arg(long, value_name = "URL", env = "PORTCULLIS_PROMPT_GUARD_URL", value_delimiter = ',')]
    pub(crate) prompt_guard_url: Vec<String>,
    /// What the servers of Prompt Guard speak [default: text-embeddings-inference]
    #[arg(long, value_name = "API", env = "PORTCULLIS_PROMPT_GUARD_API")]
    pub(crate) prompt_guard_api: Option<Api>,
    /// What servers of the Open Inference Protocol call Prompt Guard [default: prompt-guard]
    #[arg(long, value_name = "NAME", env = "PORTCULLIS_PROMPT_GUARD_MODEL")]
    pub(crate) prompt_guard_model: Option<String>,
    /// Have texts judged by these servers of `/v1/moderations` too
    #[arg(long, value_name = "URL", env = "PORTCULLIS_MODERATIONS_URL", value_delimiter = ',')]
    pub(crate) moderations_url: Vec<String>,
    /// Which model the servers of `/v1/moderations` are asked for
    #[arg(long, value_name = "NAME", env = "PORTCULLIS_MODERATIONS_MODEL")]
    pub(crate) moderations_model: Option<String>,
    /// Holds the API key that is sent to these servers; for different keys see `remote` in server.yaml
    #[arg(long, value_name = "FILE", env = "PORTCULLIS_GUARD_KEY_FILE")]
    pub(crate) guard_key_file: Option<PathBuf>,
}

/// What servers of Prompt Guard speak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Api {
    /// `POST /predict`
    #[default]
    TextEmbeddingsInference,
    /// `POST /v2/models/NAME/infer`: Triton, KServe, MLServer
    OpenInference,
}

/// `remote` in server.yaml.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RemoteFile {
    /// Servers that run the same model.
    urls: Vec<String>,
    /// What they call it.
    model: Option<String>,
    /// Holds the API key that is sent to them.
    key_file: Option<PathBuf>,
    /// The environment variable that holds it.
    key_env: Option<String>,
    /// Certificate authorities that they are trusted by, in place of the system's.
    ca_file: Option<PathBuf>,
    /// The certificate that they know us by, and its key.
    cert_file: Option<PathBuf>,
    cert_key_file: Option<PathBuf>,
    /// Questions to one server at a time.
    concurrent: Option<usize>,
    /// The share of questions that may be asked a second time.
    extra: Option<f32>,
    /// Tokens that a prompt may have there.
    context: Option<usize>,
    /// What servers of Prompt Guard speak.
    api: Option<Api>,
    /// Hazards by the names that a server of moderations has for them.
    #[serde(default)]
    names: BTreeMap<String, String>,
}

impl RemoteFile {
    /// Of servers at `urls`, all else as usual.
    fn of(urls: &[String]) -> Option<Self> {
        (!urls.is_empty()).then(|| Self {
            urls: urls.to_vec(),
            model: None,
            key_file: None,
            key_env: None,
            ca_file: None,
            cert_file: None,
            cert_key_file: None,
            concurrent: None,
            extra: None,
            context: None,
            api: None,
            names: BTreeMap::new(),
        })
    }

    fn settings(&self, default_model: &str) -> Result<Settings, Failure> {
        let model = self.model.clone().unwrap_or_else(|| default_model.to_owned());
        let base = Settings::new(self.urls.clone(), model);
        let identity = match (&self.cert_file, &self.cert_key_file) {
            (Some(certificate), Some(key)) => Some((certificate.clone(), key.clone())),
            (None, None) => None,
            _ => {
                return Err(Failure::Usage(
                    "remote: `cert_file` and `cert_key_file` belong together".to_owned(),
                ));
            }
        };
        Ok(Settings {
            key: self.key()?,
            ca_file: self.ca_file.clone(),
            identity,
            concurrent: self.concurrent.unwrap_or(base.concurrent),
            extra: self.extra.unwrap_or(base.extra),
            ..base
        })
    }

    fn key(&self) -> Result<Option<Key>, Failure> {
        match (&self.key_file, &self.key_env) {
            (None, None) => Ok(None),
            (Some(path), None) => Ok(Some(Key::new(&read_key(path)?))),
            (None, Some(name)) => {
                let key = std::env::var(name).ok().filter(|key| !key.trim().is_empty());
                let missing = || {
                    Failure::Environment(format!("the environment variable {name} holds no key"))
                };
                key.map(|key| Some(Key::new(&key))).ok_or_else(missing)
            }
            (Some(_), Some(_)) => Err(Failure::Usage(
                "remote: a key is either in `key_file` or in `key_env`".to_owned(),
            )),
        }
    }
}

/// A Llama Guard elsewhere.
#[derive(Clone, Debug)]
pub(crate) struct LlamaGuardThere {
    settings: Settings,
    options: LlamaGuardOptions,
}

/// A Prompt Guard elsewhere.
#[derive(Clone, Debug)]
pub(crate) struct PromptGuardThere {
    settings: Settings,
    options: PromptGuardOptions,
}

/// Moderations elsewhere.
#[derive(Clone, Debug)]
pub(crate) struct ModerationsThere {
    settings: Settings,
    names: BTreeMap<String, Category>,
}

/// All that judges elsewhere.
#[derive(Clone, Debug, Default)]
pub(crate) struct Elsewhere {
    pub(crate) llama_guard: Option<LlamaGuardThere>,
    pub(crate) prompt_guard: Option<PromptGuardThere>,
    pub(crate) moderations: Option<ModerationsThere>,
}

impl ElsewhereArgs {
    /// Arguments win over what the file says about the same model.
    fn over(
        &self,
        file: Option<RemoteFile>,
        urls: &[String],
        model: Option<&String>,
    ) -> Option<RemoteFile> {
        let mut file = RemoteFile::of(urls).or(file)?;
        file.model = model.cloned().or(file.model);
        if let Some(path) = &self.guard_key_file {
            file.key_file = Some(path.clone());
        }
        Some(file)
    }

    /// The Llama Guard elsewhere, if there is one; `options` has what the folder's section says.
    pub(crate) fn llama_guard(
        &self,
        file: Option<RemoteFile>,
        options: Option<LlamaGuardOptions>,
    ) -> Result<Option<LlamaGuardThere>, Failure> {
        let model = self.llama_guard_model.as_ref();
        let Some(file) = self.over(file, &self.llama_guard_url, model) else { return Ok(None) };
        let mut options = options.ok_or_else(|| no_folder("llama_guard", "--llama-guard"))?;
        options.context = file.context.unwrap_or(options.context);
        Ok(Some(LlamaGuardThere { settings: file.settings(LLAMA_GUARD)?, options }))
    }

    /// The Prompt Guard elsewhere, if there is one, with its tokenizer in `folder`.
    pub(crate) fn prompt_guard(
        &self,
        file: Option<RemoteFile>,
        folder: Option<&Path>,
        temperature: Option<f32>,
    ) -> Result<Option<PromptGuardThere>, Failure> {
        let model = self.prompt_guard_model.as_ref();
        let Some(file) = self.over(file, &self.prompt_guard_url, model) else { return Ok(None) };
        let folder = folder.ok_or_else(|| no_folder("prompt_guard", "--prompt-guard"))?;
        let api = match self.prompt_guard_api.or(file.api).unwrap_or_default() {
            Api::TextEmbeddingsInference => PromptGuardApi::TextEmbeddingsInference,
            Api::OpenInference => PromptGuardApi::OpenInference,
        };
        let temperature = temperature.unwrap_or(1.0);
        let options = PromptGuardOptions { folder: folder.to_owned(), api, temperature };
        Ok(Some(PromptGuardThere { settings: file.settings(PROMPT_GUARD)?, options }))
    }

    /// Moderations elsewhere, if there are any.
    pub(crate) fn moderations(
        &self,
        file: Option<RemoteFile>,
    ) -> Result<Option<ModerationsThere>, Failure> {
        let model = self.moderations_model.as_ref();
        let Some(file) = self.over(file, &self.moderations_url, model) else { return Ok(None) };
        let names = file.names.iter().map(|(theirs, ours)| {
            let category = ours.parse::<Category>();
            let unknown = |error| Failure::Usage(format!("moderations: {error}"));
            Ok((theirs.clone(), category.map_err(unknown)?))
        });
        let names = names.collect::<Result<_, Failure>>()?;
        Ok(Some(ModerationsThere { settings: file.settings("")?, names }))
    }
}

fn no_folder(section: &str, argument: &str) -> Failure {
    Failure::Usage(format!(
        "a model elsewhere needs a folder with its tokenizer (its weights need not be there): give {argument} DIR, or \
         `{section}: {{ dir: ... }}` in --config FILE"
    ))
}

fn unusable(what: &str) -> impl Fn(classifiers_remote::SetupError) -> Failure {
    move |error| Failure::environment(format!("{what} cannot be asked elsewhere"), &error)
}

/// The same about each server alone.
fn apart(settings: &Settings) -> impl Iterator<Item = Settings> {
    settings.urls.iter().map(|url| Settings { urls: vec![url.clone()], ..settings.clone() })
}

impl LlamaGuardThere {
    /// Each of its servers alone.
    pub(crate) fn apart(&self) -> impl Iterator<Item = Self> {
        apart(&self.settings).map(|settings| Self { settings, ..self.clone() })
    }

    /// Ready to be asked; no server is asked yet. Verdicts come within `deadline` or not at all.
    pub(crate) fn open(&self, deadline: Duration) -> Result<RemoteLlamaGuard, Failure> {
        let settings = Settings { deadline, ..self.settings.clone() };
        RemoteLlamaGuard::new(&settings, &self.options).map_err(unusable("Llama Guard"))
    }
}

impl PromptGuardThere {
    /// Each of its servers alone.
    pub(crate) fn apart(&self) -> impl Iterator<Item = Self> {
        apart(&self.settings).map(|settings| Self { settings, ..self.clone() })
    }

    /// The same for Prompt Guard.
    pub(crate) fn open(&self, deadline: Duration) -> Result<RemotePromptGuard, Failure> {
        let settings = Settings { deadline, ..self.settings.clone() };
        RemotePromptGuard::new(&settings, &self.options).map_err(unusable("Prompt Guard"))
    }
}

impl ModerationsThere {
    /// Each of its servers alone.
    pub(crate) fn apart(&self) -> impl Iterator<Item = Self> {
        apart(&self.settings).map(|settings| Self { settings, ..self.clone() })
    }

    /// The same for moderations.
    pub(crate) fn open(&self, deadline: Duration) -> Result<RemoteModerations, Failure> {
        let settings = Settings { deadline, ..self.settings.clone() };
        RemoteModerations::new(&settings, &self.names).map_err(unusable("moderations"))
    }
}
