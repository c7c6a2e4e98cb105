//! Running a backend in this process.

use std::future::{Ready, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use classifiers_core::{Assessment, Backend, ClassifyError, Passage};
use tower::Service;

/// Texts up to this many bytes are judged on the calling thread: at some 20 microseconds per KiB that stays
/// below the half millisecond after which other requests on that thread would notice.
const INLINE_BYTES: usize = 16 * 1024;

/// A backend as a [`Classify`](classifiers_core::Classify) service. Always ready.
///
/// A backend that panics has given no verdict; the process lives on.
#[derive(Debug)]
pub struct InProcess<B> {
    backend: Arc<B>,
}

impl<B: Backend> InProcess<B> {
    /// Runs `backend`.
    pub fn new(backend: B) -> Self {
        Self { backend: Arc::new(backend) }
    }
}

impl<B> Clone for InProcess<B> {
    fn clone(&self) -> Self {
        Self { backend: Arc::clone(&self.backend) }
    }
}

impl<B: Backend> Service<Passage> for InProcess<B> {
    type Response = Assessment;
    type Error = ClassifyError;
    type Future = Verdict;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ClassifyError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, passage: Passage) -> Verdict {
        if passage.text.len() <= INLINE_BYTES {
            return Verdict(Kind::Done(ready(assess(&*self.backend, passage))));
        }
        let backend = Arc::clone(&self.backend);
        Verdict(Kind::Running(tokio::task::spawn_blocking(move || assess(&*backend, passage))))
    }
}

fn assess<B: Backend>(backend: &B, passage: Passage) -> Result<Assessment, ClassifyError> {
    // The backend is only read, and what a panicking call leaves behind is not looked at again.
    let answer = catch_unwind(AssertUnwindSafe(|| backend.assess(&[passage])))
        .map_err(|_| ClassifyError::Failed("it panicked".to_owned()))??;
    let [findings] = <[_; 1]>::try_from(answer)
        .map_err(|_| ClassifyError::Failed("it answered for another number of texts".to_owned()))?;
    Ok(Assessment::new(backend.id().clone(), findings))
}

/// The verdict to come.
#[derive(Debug)]
pub struct Verdict(Kind);

#[derive(Debug)]
enum Kind {
    Done(Ready<Result<Assessment, ClassifyError>>),
    Running(tokio::task::JoinHandle<Result<Assessment, ClassifyError>>),
}

impl Future for Verdict {
    type Output = Result<Assessment, ClassifyError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Kind::Done(done) => Pin::new(done).poll(context),
            Kind::Running(task) => Pin::new(task).poll(context).map(|joined| {
                joined.unwrap_or_else(|_| Err(ClassifyError::Failed("it was stopped".to_owned())))
            }),
        }
    }
}
