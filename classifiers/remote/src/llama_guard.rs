//! Llama Guard on a server that speaks OpenAI's completions: vLLM, SGLang, llama.cpp.

use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use classifiers_core::{Assessment, Category, ClassifierId, ClassifyError, Passage};
use classifiers_llama_guard_prompt::{
    ANSWER, Asker, Layout, LoadError, Long, Tokens, Turn, Variant, Verdict, assessment,
    chat_template, turns, variant,
};
use futures_util::future::try_join_all;
use futures_util::stream::{StreamExt as _, TryStreamExt as _, iter};
use serde_json::json;
use tower::Service;

use crate::fault::Fault;
use crate::fleet::{Fleet, Question};
use crate::logprobs::{Place, Written, written};
use crate::settings::{Settings, SetupError};

/// Tokenizing a longer text would hold up the others on its thread.
const INLINE_BYTES: usize = 16 * 1024;
/// Windows of one text that are judged at a time.
const AT_A_TIME: usize = 16;
/// Alternatives for each token: as many as vLLM gives unless told otherwise.
const ALTERNATIVES: usize = 20;
/// The context that published servers are run with.
const CONTEXT: usize = 8192;

/// What is asked of a Llama Guard elsewhere.
#[derive(Clone, Debug)]
pub struct LlamaGuardOptions {
    /// A folder with the tokenizer.json and the chat template of the model; its weights are not needed.
    pub folder: PathBuf,
    /// Tokens that a prompt may have on the servers.
    pub context: usize,
    /// What becomes of a text that is longer than the context.
    pub long: Long,
    /// Categories that the model is not asked about.
    pub exclude: Vec<Category>,
    /// Other names for categories.
    pub rename: Vec<(Category, String)>,
}

impl LlamaGuardOptions {
    /// The model whose tokenizer is in `folder`, asked as published.
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        let (exclude, rename) = (Vec::new(), Vec::new());
        Self { folder, context: CONTEXT, long: Long::Window, exclude, rename }
    }
}

/// A Llama Guard that others run: a [`Classify`](classifiers_core::Classify) service with the verdicts, scores and
/// categories of the one in process. Prompts are sent as tokens, so no text can end its own turn.
#[derive(Clone, Debug)]
pub struct RemoteLlamaGuard {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    id: ClassifierId,
    covered: Vec<Category>,
    asker: Asker,
    fleet: Fleet,
    model: String,
}

impl RemoteLlamaGuard {
    /// The name findings carry: that of the one in process.
    pub const NAME: &'static str = "llama_guard";

    /// Reads the folder; no server is asked yet.
    ///
    /// # Errors
    /// When folder or settings cannot be used.
    pub fn new(settings: &Settings, options: &LlamaGuardOptions) -> Result<Self, SetupError> {
        let model = |error: LoadError| SetupError::Model(error.to_string());
        let (asker, mut digest) = asker(options).map_err(model)?;
        let fleet = Fleet::new(settings)?;
        let hash = digest.update(settings.model.as_bytes()).finalize();
        let revision = format!("remote-{}{}", short(&hash), asker.layout.revision());
        let id = ClassifierId::new(Self::NAME, revision);
        let covered = asker.layout.categories.covered();
        let model = settings.model.clone();
        Ok(Self { inner: Arc::new(Inner { id, covered, asker, fleet, model }) })
    }

    /// Name and revision: of tokenizer, prompt and the model's name. What the servers run behind that name is theirs
    /// to keep the same.
    #[must_use]
    pub fn id(&self) -> &ClassifierId {
        &self.inner.id
    }

    /// What it looks for.
    #[must_use]
    pub fn covers(&self) -> &[Category] {
        &self.inner.covered
    }

    /// Which published prompt is sent.
    #[must_use]
    pub fn variant(&self) -> Variant {
        self.inner.asker.layout.variant
    }

    /// Servers, and how many of them are failing.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        self.inner.fleet.counts()
    }

    /// Judges the last of `turns`; of a turn that is judged in windows, each.
    ///
    /// # Errors
    /// When there is no turn, or there was no verdict.
    pub async fn judge(&self, turns: &[Turn]) -> Result<Vec<Verdict>, ClassifyError> {
        let windows = self.inner.asker.windows(turns, false)?;
        let verdicts = windows.iter().map(|(prompt, _)| self.inner.verdict(&prompt.ids));
        Ok(try_join_all(verdicts).await?)
    }

    pub(crate) fn fleet(&self) -> &Fleet {
        &self.inner.fleet
    }

    pub(crate) fn model(&self) -> &str {
        &self.inner.model
    }
}

impl Inner {
    /// What the model says about a prompt: its answer, and what it would list, were it `unsafe`.
    async fn verdict(&self, ids: &[u32]) -> Result<Verdict, Fault> {
        let grammar = &self.asker.tokens.grammar;
        let begun = self.complete(ids, ANSWER, |said| said.verdict(grammar)).await?;
        let number = match begun.number() {
            Some(place) => place.clone(),
            None => {
                let forced = [grammar.paragraph, grammar.unsafe_, grammar.line, grammar.code];
                let ids = [ids, &forced].concat();
                self.complete(&ids, 1, |said: Written| -> Result<Place, Fault> { said.first() })
                    .await?
            }
        };
        begun.finish(&number, self.asker.layout.categories.numbers(), grammar)
    }

    async fn complete<T: Send>(
        &self,
        ids: &[u32],
        most: usize,
        read: impl Fn(Written) -> Result<T, Fault> + Copy + Send + Sync,
    ) -> Result<T, Fault> {
        // Whatever the folder of the server's model says about sampling, the likeliest token is wanted.
        let body = json!({
            "model": self.model,
            "prompt": ids,
            "max_tokens": most,
            "temperature": 0,
            "top_p": 1,
            "repetition_penalty": 1,
            "logprobs": ALTERNATIVES,
            "return_tokens_as_token_ids": true,
            "add_special_tokens": false,
            "stream": false,
        });
        let question = Question::new("/v1/completions", Bytes::from(body.to_string()));
        let grammar = &self.asker.tokens.grammar;
        let asked = (self.model.as_str(), ids.len());
        self.fleet.ask(&question, |answer| read(written(answer, grammar, asked)?)).await
    }

    async fn assess(self: Arc<Self>, passage: Passage) -> Result<Assessment, ClassifyError> {
        let windows = if passage.text.len() <= INLINE_BYTES {
            self.asker.windows(&turns(&passage), false)?
        } else {
            let inner = Arc::clone(&self);
            let asking =
                tokio::task::spawn_blocking(move || inner.asker.windows(&turns(&passage), false));
            let panicked = |_| ClassifyError::Failed("it panicked".to_owned());
            asking.await.map_err(panicked)??
        };
        let verdicts = windows.into_iter().map(|(prompt, span)| {
            let inner = &self;
            async move { Ok::<_, Fault>((inner.verdict(&prompt.ids).await?, span)) }
        });
        let judged = iter(verdicts).buffered(AT_A_TIME).try_collect();
        let judged = tokio::time::timeout(self.fleet.deadline(), judged).await;
        let judged: Vec<_> =
            judged.map_err(|_| ClassifyError::Timeout(self.fleet.deadline()))??;
        Ok(assessment(self.id.clone(), &self.asker.layout.categories, &judged))
    }
}

impl Service<Passage> for RemoteLlamaGuard {
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

/// What makes prompts, and a digest of what they depend on.
fn asker(options: &LlamaGuardOptions) -> Result<(Asker, blake3::Hasher), LoadError> {
    let tokenizer = options.folder.join("tokenizer.json");
    let tokens = Tokens::read(&tokenizer)?;
    let (file, template) = chat_template(&options.folder)?;
    let variant = variant(&file, &template)?;
    let layout = Layout::asking(variant, &options.exclude, &options.rename)?;
    let mut digest = digest(&tokenizer)?;
    digest.update(template.as_bytes());
    let asker = Asker::new(tokens, layout, (options.context, options.long))
        .map_err(|fault| LoadError::wrong(&options.folder, fault))?;
    Ok((asker, digest))
}

fn digest(path: &Path) -> Result<blake3::Hasher, LoadError> {
    let bytes = std::fs::read(path).map_err(|error| LoadError::unreadable(path, error))?;
    let mut hasher = blake3::Hasher::new();
    hasher.update(&bytes);
    Ok(hasher)
}

/// The first sixteen digits of a digest.
pub(crate) fn short(hash: &blake3::Hash) -> String {
    hash.to_hex().chars().take(16).collect()
}
