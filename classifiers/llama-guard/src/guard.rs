//! Llama Guard as a classifier.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use classifiers_batching::{Pool, PoolCounts};
use classifiers_core::{Assessment, Category, ClassifierId, ClassifyError, Direction, Passage};
use tower::Service;

use crate::judge::Judge;
use crate::load::{self, Loaded};
use crate::options::Options;
use classifiers_llama_guard_prompt::LoadError;
use classifiers_llama_guard_prompt::{Asker, Layout, Turn, Variant, Verdict, assessment, turns};

/// Tokenizing a longer text would hold up the others on its thread.
const INLINE_BYTES: usize = 16 * 1024;

/// A loaded Llama Guard: a [`Classify`](classifiers_core::Classify) service. Always ready; what it cannot judge in time
/// it refuses at once.
#[derive(Clone, Debug)]
pub struct LlamaGuard {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    id: ClassifierId,
    asker: Asker,
    covered: Vec<Category>,
    pool: Pool<Judge>,
    facts: Facts,
}

/// What is known about a loaded model.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Which published prompt it wants.
    pub variant: Variant,
    /// Its files, with their BLAKE3 digests.
    pub files: Vec<(PathBuf, blake3::Hash)>,
    /// What it is computed in.
    pub precision: String,
    /// Bytes that its weights take.
    pub weight_bytes: usize,
    /// Bytes that keys and values take, all pages together.
    pub store_bytes: usize,
    /// The longest prompt in tokens.
    pub capacity: usize,
}

impl LlamaGuard {
    /// The name findings carry.
    pub const NAME: &'static str = "llama_guard";

    /// Loads the model in `folder` and tests it, so that what cannot work is known now.
    ///
    /// # Errors
    /// When the folder or the options are not usable, or the model does not answer as a Llama Guard does; the text says
    /// what to do.
    pub fn load(folder: &Path, options: &Options) -> Result<Self, LoadError> {
        // Libraries on the way trust files more than we do.
        let loaded = catch_unwind(AssertUnwindSafe(|| load::load(folder, options)));
        let Loaded { judge, asker, facts, digest, tokens_per_second } =
            loaded.map_err(|_| {
                LoadError::wrong(
                    folder,
                    "one of its files is damaged in a way that stops its reader",
                )
            })??;
        let pool = Pool::start(vec![judge], options.pool(tokens_per_second)).map_err(|error| {
            LoadError::Options(format!("no thread could be started for the model: {error}"))
        })?;
        let id = ClassifierId::new(Self::NAME, revision(&digest, options, &asker.layout));
        let covered = asker.layout.categories.covered();
        Ok(Self { inner: Arc::new(Inner { id, asker, covered, pool, facts }) })
    }

    /// Name and revision: the revision changes with every file and with every option that may change a score.
    #[must_use]
    pub fn id(&self) -> &ClassifierId {
        &self.inner.id
    }

    /// What it looks for.
    #[must_use]
    pub fn covers(&self) -> &[Category] {
        &self.inner.covered
    }

    /// What is known about the model.
    #[must_use]
    pub fn facts(&self) -> &Facts {
        &self.inner.facts
    }

    /// What was judged so far.
    #[must_use]
    pub fn counts(&self) -> PoolCounts {
        self.inner.pool.counts()
    }

    /// Judges the last of `turns`; of a turn that is judged in windows, each.
    ///
    /// # Errors
    /// When there is no turn, or there was no verdict.
    pub async fn judge(&self, turns: &[Turn]) -> Result<Vec<Verdict>, ClassifyError> {
        let windows = self.inner.asker.windows(turns, false)?;
        let prompts = windows.into_iter().map(|(prompt, _)| prompt).collect();
        self.inner.pool.judge(prompts).await?.into_iter().collect()
    }
}

impl Inner {
    async fn assess(self: Arc<Self>, passage: Passage) -> Result<Assessment, ClassifyError> {
        // An answer under way waits for its verdict, and so does whoever reads it.
        let urgent = passage.origin.direction == Direction::Output;
        let windows = if passage.text.len() <= INLINE_BYTES {
            self.asker.windows(&turns(&passage), urgent)?
        } else {
            let inner = Arc::clone(&self);
            let asking =
                tokio::task::spawn_blocking(move || inner.asker.windows(&turns(&passage), urgent));
            asking.await.map_err(|_| failed("it panicked"))??
        };
        let (prompts, spans): (Vec<_>, Vec<_>) = windows.into_iter().unzip();
        let verdicts: Vec<Verdict> =
            self.pool.judge(prompts).await?.into_iter().collect::<Result<_, _>>()?;
        let judged: Vec<_> = verdicts.into_iter().zip(spans).collect();
        Ok(assessment(self.id.clone(), &self.asker.layout.categories, &judged))
    }
}

impl Service<Passage> for LlamaGuard {
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

/// What must change when a score may change.
fn revision(digest: &blake3::Hash, options: &Options, layout: &Layout) -> String {
    let mut revision: String = digest.to_hex().chars().take(16).collect();
    revision.push_str(&format!("-{}", options.precision()));
    revision.push_str(&layout.revision());
    revision
}

fn failed(why: &str) -> ClassifyError {
    ClassifyError::Failed(why.to_owned())
}
