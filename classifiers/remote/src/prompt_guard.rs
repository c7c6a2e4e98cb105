//! Prompt Guard on a server: text-embeddings-inference, or any that speaks the Open Inference Protocol.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use classifiers_core::{Assessment, Category, ClassifierId, ClassifyError, Passage};
use classifiers_prompt_guard_windows::{
    Config, Family, FolderError, OVERLAP, Scores, Tokens, Window, findings, read,
};
use futures_util::stream::{StreamExt as _, TryStreamExt as _, iter};
use tower::Service;

use crate::fault::Fault;
use crate::fleet::Fleet;
use crate::llama_guard::short;
use crate::settings::{Settings, SetupError};
use crate::{inference, predict};

/// Tokenizing a longer text would hold up the others on its thread.
const INLINE_BYTES: usize = 4 * 1024;
/// Windows of one text that are judged at a time.
const AT_A_TIME: usize = 16;
/// Tokens by which a window that is sent as text is smaller: it may become a few more when it is tokenized on its own.
const MARGIN: usize = 16;

/// How the servers are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PromptGuardApi {
    /// `POST /predict` of text-embeddings-inference: texts in, probabilities out.
    TextEmbeddingsInference,
    /// `POST /v2/models/{model}/infer` of the Open Inference Protocol: ids in, logits out.
    OpenInference,
}

/// What is asked of a Prompt Guard elsewhere.
#[derive(Clone, Debug)]
pub struct PromptGuardOptions {
    /// A folder with the config.json and tokenizer.json of the model; its weights are not needed.
    pub folder: PathBuf,
    /// How the servers are asked.
    pub api: PromptGuardApi,
    /// Logits are divided by this before they become probabilities. 1 is the model card's.
    pub temperature: f32,
}

/// A Prompt Guard that others run: a [`Classify`](classifiers_core::Classify) service that covers texts of any length,
/// as the one in process does.
#[derive(Clone, Debug)]
pub struct RemotePromptGuard {
    inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    id: ClassifierId,
    pub(crate) fleet: Fleet,
    pub(crate) model: String,
    pub(crate) family: Family,
    /// The labels by id, as the folder names them.
    pub(crate) labels: Vec<String>,
    pub(crate) temperature: f32,
    tokens: Tokens,
    size: usize,
    api: PromptGuardApi,
}

impl RemotePromptGuard {
    /// The name findings carry: that of the one in process.
    pub const NAME: &'static str = "prompt_guard";
    /// What it looks for.
    pub const COVERED: [Category; 2] = [Category::PromptInjection, Category::Jailbreak];

    /// Reads the folder; no server is asked yet.
    ///
    /// # Errors
    /// When folder or settings cannot be used.
    pub fn new(settings: &Settings, options: &PromptGuardOptions) -> Result<Self, SetupError> {
        if !(options.temperature > 0.0 && options.temperature.is_finite()) {
            return Err(SetupError::Model("the temperature must be above 0".to_owned()));
        }
        let fleet = Fleet::new(settings)?;
        let inner = Inner::new(fleet, settings.model.clone(), options)
            .map_err(|error| SetupError::Model(error.to_string()))?;
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Name and revision: of tokenizer, configuration and the model's name.
    #[must_use]
    pub fn id(&self) -> &ClassifierId {
        &self.inner.id
    }

    /// How the servers are asked.
    #[must_use]
    pub fn api(&self) -> PromptGuardApi {
        self.inner.api
    }

    /// Servers, and how many of them are failing.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        self.inner.fleet.counts()
    }

    /// The scores of `text`: of all its windows the strongest.
    ///
    /// # Errors
    /// When the text cannot be tokenized, or no server gives a verdict.
    pub async fn scores(&self, text: &str) -> Result<Scores, ClassifyError> {
        let windows = self.inner.windows(text)?;
        let found = self.inner.judge(text, windows).await?;
        let strongest =
            |score: fn(&Scores) -> f32| found.iter().map(|(s, _)| score(s)).fold(0.0, f32::max);
        Ok(Scores { jailbreak: strongest(|s| s.jailbreak), indirect: strongest(|s| s.indirect) })
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.inner
    }
}

impl Inner {
    fn new(fleet: Fleet, model: String, options: &PromptGuardOptions) -> Result<Self, FolderError> {
        let (config_file, tokenizer) =
            (options.folder.join("config.json"), options.folder.join("tokenizer.json"));
        let config = Config::read(&config_file)?;
        let (family, labels) = config.labels()?;
        let window = config.window()?;
        let size = match options.api {
            PromptGuardApi::TextEmbeddingsInference => window.saturating_sub(MARGIN).max(16),
            PromptGuardApi::OpenInference => window,
        };
        let tokens = tokens(&tokenizer, size)?;
        let mut digest = blake3::Hasher::new();
        for path in [&config_file, &tokenizer] {
            digest.update(&read(path)?);
        }
        digest.update(model.as_bytes());
        let hash = digest.finalize();
        let temperature = match options.temperature {
            1.0 => String::new(),
            other => format!("-t{other}"),
        };
        let revision = format!("remote-{}{temperature}", short(&hash));
        let id = ClassifierId::new(RemotePromptGuard::NAME, revision);
        let (api, temperature) = (options.api, options.temperature);
        Ok(Self { id, fleet, model, family, labels, temperature, tokens, size: window, api })
    }

    fn windows(&self, text: &str) -> Result<Vec<Window>, ClassifyError> {
        self.tokens.windows(text, OVERLAP.min(self.size / 2))
    }

    /// The scores of each window, and where it is.
    async fn judge(
        &self,
        text: &str,
        windows: Vec<Window>,
    ) -> Result<Vec<(Scores, Window)>, ClassifyError> {
        let alone = windows.len() == 1;
        let judged = windows.into_iter().map(|window| async move {
            // The only window is the whole text, white space and all.
            let part = if alone { Some(text) } else { text.get(window.span.clone()) };
            let part = part.ok_or_else(|| Fault::odd("a window is no part of the text"))?;
            Ok::<_, Fault>((self.scores(part, &window).await?, window))
        });
        let judged = iter(judged).buffered(AT_A_TIME).try_collect();
        let judged = tokio::time::timeout(self.fleet.deadline(), judged).await;
        Ok(judged.map_err(|_| ClassifyError::Timeout(self.fleet.deadline()))??)
    }

    async fn scores(&self, text: &str, window: &Window) -> Result<Scores, Fault> {
        match self.api {
            PromptGuardApi::OpenInference => inference::scores(self, &window.ids).await,
            PromptGuardApi::TextEmbeddingsInference => {
                // What does not fit would be cut off by some servers, whatever they are asked.
                let ids =
                    self.tokens.ids(text).map_err(|_| Fault::odd("a window has no tokens"))?;
                if ids.len() + 2 > self.size {
                    return Err(Fault::odd("a window of the text has more tokens on its own"));
                }
                predict::scores(self, text).await
            }
        }
    }

    async fn assess(self: Arc<Self>, mut passage: Passage) -> Result<Assessment, ClassifyError> {
        if self.api == PromptGuardApi::TextEmbeddingsInference
            && let Cow::Owned(plain) = self.tokens.without_special(&passage.text)
        {
            passage.text = plain.into();
        }
        let windows = if passage.text.len() <= INLINE_BYTES {
            self.windows(&passage.text)?
        } else {
            let (inner, text) = (Arc::clone(&self), Arc::clone(&passage.text));
            let cutting = tokio::task::spawn_blocking(move || inner.windows(&text));
            cutting.await.map_err(|_| ClassifyError::Failed("it panicked".to_owned()))??
        };
        let found = self.judge(&passage.text, windows).await?;
        Ok(Assessment::new(self.id.clone(), findings(passage.origin.role, &found)))
    }
}

fn tokens(path: &Path, size: usize) -> Result<Tokens, FolderError> {
    Tokens::read(&read(path)?, size)
        .map_err(|fault| FolderError::Wrong { path: path.to_owned(), fault })
}

impl Service<Passage> for RemotePromptGuard {
    type Response = Assessment;
    type Error = ClassifyError;
    // Boxed: it waits for a server, which takes far longer than an allocation.
    type Future = Pin<Box<dyn Future<Output = Result<Assessment, ClassifyError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ClassifyError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, passage: Passage) -> Self::Future {
        Box::pin(Arc::clone(&self.inner).assess(passage))
    }
}
