//! Every view of a passage, put to a classifier.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use classifiers_core::{Assessment, ClassifyError, Passage};
use futures_util::future::try_join_all;
use tower::{Layer, Service, ServiceExt};

use crate::views::{TooManyViews, View, views};

/// Puts views before a classifier: it judges the passage and every [view](crate::views) of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct ViewsLayer;

impl<S> Layer<S> for ViewsLayer {
    type Service = Viewed<S>;

    fn layer(&self, inner: S) -> Viewed<S> {
        Viewed { inner }
    }
}

/// A classifier that sees through disguises. Ready when the classifier behind it is.
///
/// Findings of all views are put together, with spans of the original. If the classifier gives no verdict on one
/// view, or there are more views than are examined, there is no verdict.
#[derive(Clone, Debug)]
pub struct Viewed<S> {
    inner: S,
}

impl<S> Service<Passage> for Viewed<S>
where
    S: Service<Passage, Response = Assessment, Error = ClassifyError> + Clone + Send + 'static,
    S::Future: Send + 'static,
{
    type Response = Assessment;
    type Error = ClassifyError;
    // Boxed only for texts that have several views: how many is known when they are seen.
    type Future = ViewedFuture<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), ClassifyError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, passage: Passage) -> Self::Future {
        if passage.text.len() > INLINE_BYTES {
            return ViewedFuture::Several(Box::pin(self.clone().judge_long(passage)));
        }
        match views(&passage.text) {
            Ok(views) if views.len() == 1 => ViewedFuture::One(Box::pin(self.inner.call(passage))),
            Ok(views) => ViewedFuture::Several(Box::pin(self.judge_all(passage, &views))),
            Err(error) => ViewedFuture::Several(Box::pin(std::future::ready(Err(failed(error))))),
        }
    }
}

/// Looking through a longer text would hold up the others on its thread: at some 4 microseconds per KiB this is a
/// quarter of a millisecond.
const INLINE_BYTES: usize = 64 * 1024;

fn failed(error: TooManyViews) -> ClassifyError {
    ClassifyError::Failed(error.to_string())
}

impl<S> Viewed<S>
where
    S: Service<Passage, Response = Assessment, Error = ClassifyError> + Clone + Send + 'static,
    S::Future: Send + 'static,
{
    async fn judge_long(self, passage: Passage) -> Result<Assessment, ClassifyError> {
        let text = Arc::clone(&passage.text);
        let looking = tokio::task::spawn_blocking(move || views(&text));
        let views = looking.await.map_err(|_| ClassifyError::Failed("it panicked".to_owned()))?;
        self.judge_all(passage, &views.map_err(failed)?).await
    }

    /// Puts all views of `passage` to the classifier at once.
    fn judge_all(
        &self,
        passage: Passage,
        views: &[View],
    ) -> impl Future<Output = Result<Assessment, ClassifyError>> + Send + use<S> {
        let disguised = views.get(1..).unwrap_or_default().to_vec();
        let judge = |text| {
            let passage = Passage { text, ..passage.clone() };
            self.inner.clone().oneshot(passage)
        };
        let judged: Vec<_> = disguised.iter().map(|view| judge(Arc::clone(view.text()))).collect();
        let plain = self.inner.clone().oneshot(passage);
        async move {
            let mut assessment = plain.await?;
            for (view, found) in disguised.iter().zip(try_join_all(judged).await?) {
                merge(&mut assessment, view, found);
            }
            Ok(assessment)
        }
    }
}

fn merge(assessment: &mut Assessment, view: &View, found: Assessment) {
    if found.measures_more_than(&assessment.measures) {
        assessment.measures.clone_from(&found.measures);
    }
    for mut finding in found.findings {
        finding.span = finding.span.map(|span| view.original(&span));
        let known = assessment
            .findings
            .iter_mut()
            .find(|known| known.category == finding.category && known.span == finding.span);
        match known {
            // A score that is no number must be seen as such, not lost in a comparison.
            Some(known) if known.score >= finding.score => {}
            Some(known) => known.score = finding.score,
            None => assessment.findings.push(finding),
        }
    }
}

/// The verdict to come.
pub enum ViewedFuture<F> {
    /// On a text with one view.
    One(Pin<Box<F>>),
    /// On a text with several.
    Several(Pin<Box<dyn Future<Output = Result<Assessment, ClassifyError>> + Send>>),
}

impl<F> Future for ViewedFuture<F>
where
    F: Future<Output = Result<Assessment, ClassifyError>>,
{
    type Output = Result<Assessment, ClassifyError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            Self::One(verdict) => verdict.as_mut().poll(context),
            Self::Several(verdict) => verdict.as_mut().poll(context),
        }
    }
}

impl<F> std::fmt::Debug for ViewedFuture<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ViewedFuture")
    }
}
