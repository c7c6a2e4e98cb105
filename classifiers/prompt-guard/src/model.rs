//! Prompt Guard as a classifier.

use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use classifiers_batching::{BatchLimits, Engine, Pool, PoolCounts, PoolOptions};
use classifiers_core::{Assessment, Category, ClassifierId, ClassifyError, Passage};
use classifiers_prompt_guard_windows::{Family, FolderError, OVERLAP, Scores, Window, findings};
use tower::Service;

use crate::device::Device;
use crate::engine::{Onnx, SessionOptions};
use crate::folder::Folder;
use crate::initializers::Shared;
use crate::library::LibraryError;

/// How long texts are cut up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Overlapping windows over all tokens, whose ids the model gets as they are.
    #[default]
    Covering,
    /// As the reference implementation does, which leaves tokens at every boundary unseen: for comparison only.
    MetaCompat,
}

/// How a model is run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// Threads of each session.
    pub threads: usize,
    /// Sessions that judge side by side; they share the weights.
    pub sessions: usize,
    /// What it runs on.
    pub device: Device,
    /// Logits are divided by this before they become probabilities. 1 is the model card's.
    pub temperature: f32,
    /// How long texts are cut up.
    pub mode: Mode,
    /// How long a text waits for its verdict; what cannot be judged by then is refused when it comes.
    pub deadline: Duration,
    /// How batches are put together; by default what suits the device.
    pub batches: Option<BatchLimits>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            threads: std::thread::available_parallelism()
                .map_or(1, |count| count.get().min(MOST_THREADS)),
            sessions: 1,
            device: Device::Cpu,
            temperature: 1.0,
            mode: Mode::Covering,
            deadline: Duration::from_secs(10),
            batches: None,
        }
    }
}

/// Texts are short: more threads than this wait for each other.
const MOST_THREADS: usize = 8;
/// Tokenizing a longer text would hold up the others on its thread.
const INLINE_BYTES: usize = 4 * 1024;
/// A processor gains little by batches: enough to fill its registers, no padding, and nobody waits long for others.
const CPU_BATCHES: BatchLimits = BatchLimits { tokens: 512, padding: 0.0, packed: false };
/// A graphics card idles with less.
const CUDA_BATCHES: BatchLimits = BatchLimits { tokens: 16_384, padding: 0.15, packed: false };
/// What speed is measured with.
const PROBE: &str =
    "The quick brown fox jumps over the lazy dog, and what is written here matters to nobody.";

/// Why there is no model.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The folder is not one.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// There is no runtime for it.
    #[error(transparent)]
    Library(#[from] LibraryError),
    /// The runtime does not take the model.
    #[error("{path} cannot be used: {reason}")]
    Model {
        /// The model's file.
        path: String,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// The options make no sense.
    #[error("{0}")]
    Options(&'static str),
}

/// A loaded Prompt Guard: a [`Classify`](classifiers_core::Classify) service. Always ready; what it cannot judge in
/// time it refuses at once.
#[derive(Clone, Debug)]
pub struct PromptGuard {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    id: ClassifierId,
    folder: Folder,
    options: Options,
    pool: Pool<Onnx>,
}

impl PromptGuard {
    /// The name findings carry.
    pub const NAME: &'static str = "prompt_guard";
    /// What it looks for.
    pub const COVERED: [Category; 2] = [Category::PromptInjection, Category::Jailbreak];

    /// Loads the model in `folder` and has it judge a text, so that what cannot work is known now.
    ///
    /// # Errors
    /// When the folder, the runtime or the options are not usable; the text says what to do.
    pub fn load(folder: &Path, options: Options) -> Result<Self, LoadError> {
        if options.threads == 0 || options.sessions == 0 {
            return Err(LoadError::Options("threads and sessions must be at least 1"));
        }
        if !(options.temperature > 0.0 && options.temperature.is_finite()) {
            return Err(LoadError::Options("the temperature must be above 0"));
        }
        crate::library::environment()?;
        let folder = Folder::open(folder)?;
        // Reading a gigabyte twice takes as long as loading it: both at a time.
        let (digest, engines) = std::thread::scope(|scope| {
            let digest = scope.spawn(|| folder.digests());
            let engines = engines(&folder, &options);
            (digest.join(), engines)
        });
        let digest = digest.map_err(|_| LoadError::Options("the digest could not be computed"))??.1;
        let (engines, tokens_per_second) = engines?;
        let batches = options.batches.unwrap_or(match options.device {
            Device::Cpu => CPU_BATCHES,
            Device::Cuda(_) => CUDA_BATCHES,
        });
        let pool_options = PoolOptions { batches, deadline: options.deadline, tokens_per_second };
        let pool = Pool::start(engines, pool_options).map_err(|error| LoadError::Model {
            path: folder.model.display().to_string(),
            reason: format!("no thread could be started for it: {error}"),
        })?;
        let id = ClassifierId::new(Self::NAME, revision(&digest, &options));
        Ok(Self { inner: Arc::new(Inner { id, folder, options, pool }) })
    }

    /// Name and revision: the revision changes with every file and with every option that may change a score.
    #[must_use]
    pub fn id(&self) -> &ClassifierId {
        &self.inner.id
    }

    /// Which generation it is.
    #[must_use]
    pub fn family(&self) -> Family {
        self.inner.folder.family
    }

    /// The labels by id, as the folder names them.
    #[must_use]
    pub fn labels(&self) -> &[String] {
        &self.inner.folder.labels
    }

    /// What was judged so far, with how much padding.
    #[must_use]
    pub fn counts(&self) -> PoolCounts {
        self.inner.pool.counts()
    }

    /// The ids of `text` alone, without the template's.
    ///
    /// # Errors
    /// When the text cannot be tokenized.
    pub fn ids(&self, text: &str) -> Result<Vec<u32>, ClassifyError> {
        self.inner.folder.tokens.ids(text)
    }

    /// The logits of each window of `text`, in the order of the text.
    ///
    /// # Errors
    /// When the text cannot be tokenized, or the model does not answer in time.
    pub async fn logits(&self, text: &str) -> Result<Vec<Vec<f32>>, ClassifyError> {
        self.inner.pool.judge(self.inner.windows(text)?).await
    }

    /// The scores of `text`: of all its windows the strongest.
    ///
    /// # Errors
    /// When the text cannot be tokenized, or the model does not answer in time.
    pub async fn scores(&self, text: &str) -> Result<Scores, ClassifyError> {
        let windows = self.inner.windows(text)?;
        let found = self.inner.judge(windows).await?;
        let strongest =
            |score: fn(&Scores) -> f32| found.iter().map(|(s, _)| score(s)).fold(0.0, f32::max);
        Ok(Scores { jailbreak: strongest(|s| s.jailbreak), indirect: strongest(|s| s.indirect) })
    }

    pub(crate) fn digests(&self) -> Result<Vec<(std::path::PathBuf, blake3::Hash)>, FolderError> {
        Ok(self.inner.folder.digests()?.0)
    }
}

impl Inner {
    fn windows(&self, text: &str) -> Result<Vec<Window>, ClassifyError> {
        match self.options.mode {
            Mode::Covering => self.folder.tokens.windows(text, OVERLAP),
            Mode::MetaCompat => self.folder.tokens.reference_windows(text),
        }
    }

    /// The scores of each window, and where it is.
    async fn judge(&self, windows: Vec<Window>) -> Result<Vec<(Scores, Window)>, ClassifyError> {
        let logits = self.pool.judge(windows.clone()).await?;
        let scored = logits.iter().zip(windows).map(|(logits, window)| {
            let scores = self.folder.family.scores(logits, self.options.temperature);
            scores.map(|scores| (scores, window))
        });
        scored
            .collect::<Option<_>>()
            .ok_or_else(|| ClassifyError::Failed("the model's answer is no number".to_owned()))
    }

    async fn assess(self: Arc<Self>, passage: Passage) -> Result<Assessment, ClassifyError> {
        let windows = if passage.text.len() <= INLINE_BYTES {
            self.windows(&passage.text)?
        } else {
            let (inner, text) = (Arc::clone(&self), Arc::clone(&passage.text));
            let cutting = tokio::task::spawn_blocking(move || inner.windows(&text));
            cutting.await.map_err(|_| ClassifyError::Failed("it panicked".to_owned()))??
        };
        let found = self.judge(windows).await?;
        Ok(Assessment::new(self.id.clone(), findings(passage.origin.role, &found)))
    }
}

impl Service<Passage> for PromptGuard {
    type Response = Assessment;
    type Error = ClassifyError;
    // Boxed: it waits for tokens and then for verdicts, each of which takes far longer than an allocation.
    type Future = Pin<Box<dyn Future<Output = Result<Assessment, ClassifyError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ClassifyError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, passage: Passage) -> Self::Future {
        Box::pin(Arc::clone(&self.inner).assess(passage))
    }
}

/// Sessions, and how many tokens one of them judges in a second.
fn engines(folder: &Folder, options: &Options) -> Result<(Vec<Onnx>, f64), LoadError> {
    let wrong = |reason| LoadError::Model { path: folder.model.display().to_string(), reason };
    let session = SessionOptions { threads: options.threads, device: options.device };
    let shared = (options.sessions > 1 && options.device == Device::Cpu)
        .then(|| Shared::read(&folder.model))
        .transpose()
        .map_err(wrong)?;
    let mut engines = Vec::with_capacity(options.sessions);
    for _ in 0..options.sessions {
        engines.push(Onnx::load(&folder.model, session, shared.as_ref()).map_err(wrong)?);
    }
    let mut speed = 1.0;
    for engine in &mut engines {
        speed = probe(folder, engine).map_err(wrong)?;
    }
    Ok((engines, speed))
}

/// Has a session judge a text twice, the second time in earnest; its speed in tokens a second.
fn probe(folder: &Folder, engine: &mut Onnx) -> Result<f64, String> {
    let windows = folder.tokens.windows(PROBE, OVERLAP).map_err(|error| error.to_string())?;
    let tokens: usize = windows.iter().map(|window| window.ids.len()).sum();
    let mut elapsed = Duration::ZERO;
    for _ in 0..2 {
        let started = Instant::now();
        let logits = engine.run(&windows).map_err(|error| error.to_string())?;
        elapsed = started.elapsed();
        let first = logits.first().map(Vec::as_slice).unwrap_or_default();
        if folder.family.scores(first, 1.0).is_none() {
            return Err(format!(
                "it answers {first:?} where {} finite numbers are due ({}): config.json and model are of different folders",
                folder.family.labels(),
                folder.labels.join(", ")
            ));
        }
    }
    Ok(tokens as f64 / elapsed.as_secs_f64().max(1e-6))
}

/// What must change when a score may change.
fn revision(digest: &blake3::Hash, options: &Options) -> String {
    let mut revision: String = digest.to_hex().chars().take(16).collect();
    if (options.temperature - 1.0).abs() > f32::EPSILON {
        revision.push_str(&format!("-t{}", options.temperature));
    }
    if options.mode == Mode::MetaCompat {
        revision.push_str("-meta-compat");
    }
    revision
}
