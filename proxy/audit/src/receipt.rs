//! What an appended record has reached, and waking the one task that waits for it.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::error::JournalError;

/// How far a record has come. Later is more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Queued,
    Written,
    Durable,
}

#[derive(Debug)]
struct Slot {
    stage: Stage,
    failure: Option<JournalError>,
    /// The waiting task and the stage that it waits for: it is woken once, then, and not before.
    waiter: Option<(Stage, Waker)>,
}

type Shared = Arc<Mutex<Slot>>;

/// Nothing in here panics while the lock is held, and the slot is sound after every statement.
fn lock(slot: &Shared) -> MutexGuard<'_, Slot> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What an append hands back. Dropping it does not take the record back.
#[derive(Debug)]
#[must_use = "a record counts only once its receipt says so"]
pub struct Receipt {
    slot: Shared,
}

impl Receipt {
    /// Resolves when the record is in the kernel: it survives the death of this process.
    ///
    /// # Errors
    /// The record is not in the journal, or nobody can say that it is.
    pub async fn written(&mut self) -> Result<(), JournalError> {
        Reached { slot: &self.slot, stage: Stage::Written }.await
    }

    /// Resolves when the record is on the disk: it survives a power cut.
    ///
    /// # Errors
    /// The record is not on the disk, or nobody can say that it is.
    pub async fn durable(&mut self) -> Result<(), JournalError> {
        Reached { slot: &self.slot, stage: Stage::Durable }.await
    }
}

/// Waits until a record reaches a stage.
struct Reached<'a> {
    slot: &'a Shared,
    stage: Stage,
}

impl Future for Reached<'_> {
    type Output = Result<(), JournalError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut slot = lock(self.slot);
        if slot.stage >= self.stage {
            return Poll::Ready(Ok(()));
        }
        if let Some(failure) = &slot.failure {
            return Poll::Ready(Err(failure.clone()));
        }
        match &mut slot.waiter {
            Some((stage, waker)) if waker.will_wake(context.waker()) => *stage = self.stage,
            waiter => *waiter = Some((self.stage, context.waker().clone())),
        }
        Poll::Pending
    }
}

/// The journal's end of a receipt. Dropped before the record is durable, it fails the receipt: no
/// path through the journal, a panic included, leaves anybody waiting.
#[derive(Debug)]
pub(crate) struct Promise {
    slot: Shared,
}

impl Promise {
    pub(crate) fn new() -> (Self, Receipt) {
        let slot = Slot { stage: Stage::Queued, failure: None, waiter: None };
        let slot = Arc::new(Mutex::new(slot));
        (Self { slot: Arc::clone(&slot) }, Receipt { slot })
    }

    pub(crate) fn written(&self) {
        self.advance(Stage::Written);
    }

    pub(crate) fn durable(self) {
        self.advance(Stage::Durable);
    }

    pub(crate) fn fail(self, error: JournalError) {
        self.set_failure(error);
    }

    fn advance(&self, stage: Stage) {
        let mut slot = lock(&self.slot);
        slot.stage = stage;
        let due = slot.waiter.take_if(|(awaited, _)| *awaited <= stage);
        drop(slot);
        if let Some((_, waker)) = due {
            waker.wake();
        }
    }

    fn set_failure(&self, error: JournalError) {
        let mut slot = lock(&self.slot);
        slot.failure.get_or_insert(error);
        let waiter = slot.waiter.take();
        drop(slot);
        if let Some((_, waker)) = waiter {
            waker.wake();
        }
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        let slot = lock(&self.slot);
        let settled = slot.stage == Stage::Durable || slot.failure.is_some();
        drop(slot);
        if !settled {
            self.set_failure(JournalError::failed(
                "a record was dropped",
                std::io::ErrorKind::Other.into(),
            ));
        }
    }
}
