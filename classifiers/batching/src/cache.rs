//! Verdicts remembered by content.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use classifiers_core::{Assessment, ClassifyError, Passage};
use quick_cache::sync::Cache;
use tower::{Layer, Service};

/// Findings of a verdict that is remembered: places are counted as if they were small.
const FINDINGS: usize = 64;

/// Verdicts of one classifier, in one revision, by what they are about: the passage's text, who wrote it, and what was
/// said before.
///
/// Failures are not remembered. The key is BLAKE3, so that nobody can craft a text that is mistaken for another.
pub struct VerdictCache {
    verdicts: Cache<[u8; 32], Arc<Assessment>>,
}

impl VerdictCache {
    /// Room for `entries` verdicts; the least useful are forgotten first.
    #[must_use]
    pub fn new(entries: usize) -> Self {
        Self { verdicts: Cache::new(entries) }
    }
}

impl std::fmt::Debug for VerdictCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VerdictCache").field("entries", &self.verdicts.len()).finish()
    }
}

fn key(passage: &Passage) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    let turns = passage.context.turns();
    // With the number of turns and the length of each text, so that no text can be written that reads like several.
    hasher.update(&(turns.len() as u64).to_le_bytes());
    let own = (passage.origin.role, &passage.text);
    for (role, text) in turns.iter().map(|(role, text)| (*role, text)).chain([own]) {
        hasher.update(&[role as u8]);
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    }
    *hasher.finalize().as_bytes()
}

/// Puts a [`VerdictCache`] before a classifier.
#[derive(Clone, Debug)]
pub struct VerdictCacheLayer {
    cache: Arc<VerdictCache>,
}

impl VerdictCacheLayer {
    /// A layer with its own cache of `entries` verdicts: to be put before one classifier only.
    #[must_use]
    pub fn new(entries: usize) -> Self {
        Self { cache: Arc::new(VerdictCache::new(entries)) }
    }
}

impl<S> Layer<S> for VerdictCacheLayer {
    type Service = Cached<S>;

    fn layer(&self, inner: S) -> Cached<S> {
        Cached { inner, cache: Arc::clone(&self.cache) }
    }
}

/// A classifier whose verdicts are remembered. Ready when the classifier behind it is.
#[derive(Clone, Debug)]
pub struct Cached<S> {
    inner: S,
    cache: Arc<VerdictCache>,
}

impl<S> Service<Passage> for Cached<S>
where
    S: Service<Passage, Response = Assessment, Error = ClassifyError>,
    S::Future: Unpin,
{
    type Response = Assessment;
    type Error = ClassifyError;
    type Future = CachedFuture<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), ClassifyError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, passage: Passage) -> Self::Future {
        let key = key(&passage);
        if let Some(known) = self.cache.verdicts.get(&key) {
            return CachedFuture(Kind::Known(Some(known)));
        }
        let keep = Some((key, Arc::clone(&self.cache)));
        CachedFuture(Kind::Judging { verdict: self.inner.call(passage), keep })
    }
}

/// The verdict to come, or the one remembered.
#[derive(Debug)]
pub struct CachedFuture<F>(Kind<F>);

#[derive(Debug)]
enum Kind<F> {
    Known(Option<Arc<Assessment>>),
    Judging { verdict: F, keep: Option<([u8; 32], Arc<VerdictCache>)> },
}

impl<F> Future for CachedFuture<F>
where
    F: Future<Output = Result<Assessment, ClassifyError>> + Unpin,
{
    type Output = Result<Assessment, ClassifyError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Kind::Known(known) => Poll::Ready(
                known
                    .take()
                    .map(|known| (*known).clone())
                    .ok_or_else(|| ClassifyError::Failed("asked twice for one verdict".to_owned())),
            ),
            Kind::Judging { verdict, keep } => {
                let verdict = ready!(Pin::new(verdict).poll(context));
                if let (Ok(assessment), Some((key, cache))) = (&verdict, keep.take())
                    && assessment.findings.len() <= FINDINGS
                {
                    cache.verdicts.insert(key, Arc::new(assessment.clone()));
                }
                Poll::Ready(verdict)
            }
        }
    }
}
