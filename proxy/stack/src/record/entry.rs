//! The open record of one exchange.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use proxy_audit::{
    Closed, Journal, JournalError, Mode, Opened, Outcome, ReadSummary, Receipt, Released, Text,
    Timing,
};
use uuid::Uuid;

use super::texts::Texts;
use crate::Metrics;
use crate::reply::LetGo;
use crate::trace::Trace;

/// A handle to the record of an exchange, to note things in on the way.
///
/// The record closes exactly once: by [`close`](Self::close), or when the last handle is dropped, because the
/// client went away or because we failed.
#[derive(Clone)]
pub(crate) struct Entry(Arc<Open>);

struct Open {
    id: Uuid,
    journal: Arc<Journal>,
    started: Instant,
    opened: Mutex<Option<Receipt>>,
    notes: Mutex<Option<Closed>>,
    texts: Mutex<Texts>,
    then: Mutex<Option<Then>>,
    metrics: Arc<Metrics>,
    /// The format of the request, and the trace it belongs to.
    spoken: (&'static str, Option<Text>),
    trace: Trace,
}

/// What is done when a record closes.
type Then = Box<dyn FnOnce(&Closed) + Send>;

impl Entry {
    /// Opens a record in `journal`; how it ends is counted in `metrics`, under the format of the request, and `trace` ends
    /// with it.
    pub(crate) fn open(
        journal: &Arc<Journal>,
        opened: &Opened,
        (metrics, spoken): (&Arc<Metrics>, &'static str),
        trace: Trace,
    ) -> Self {
        let receipt = journal.append_opened(opened);
        Self(Arc::new(Open {
            id: opened.id,
            journal: Arc::clone(journal),
            started: Instant::now(),
            opened: Mutex::new(Some(receipt)),
            notes: Mutex::new(Some(blank(opened.id))),
            texts: Mutex::default(),
            then: Mutex::new(None),
            metrics: Arc::clone(metrics),
            spoken: (spoken, opened.trace_id.clone()),
            trace,
        }))
    }

    /// The decision's id.
    pub(crate) fn id(&self) -> Uuid {
        self.0.id
    }

    /// The spans of the exchange.
    pub(crate) fn trace(&self) -> &Trace {
        &self.0.trace
    }

    /// Waits until the opened record is written: from then on a crash of this process cannot lose it.
    ///
    /// # Errors
    /// When it cannot be written: then the exchange must not go on.
    pub(crate) async fn opened(&self) -> Result<(), JournalError> {
        let receipt = lock(&self.0.opened).take();
        match receipt {
            Some(mut receipt) => receipt.written().await,
            None => Ok(()),
        }
    }

    /// Notes something in the record, unless it is closed already.
    pub(crate) fn note(&self, note: impl FnOnce(&mut Closed)) {
        if let Some(closed) = lock(&self.0.notes).as_mut() {
            note(closed);
        }
    }

    /// Adds texts that were examined, to be kept as the policy says.
    pub(crate) fn keep(&self, add: impl FnOnce(&mut Texts)) {
        add(&mut lock(&self.0.texts));
    }

    /// Has `then` look at the record when it closes, however the exchange ends. It must not wait for anything.
    pub(crate) fn when_closed(&self, then: impl FnOnce(&Closed) + Send + 'static) {
        *lock(&self.0.then) = Some(Box::new(then));
    }

    /// Where the time went so far.
    pub(crate) fn timing(&self) -> Timing {
        lock(&self.0.notes).as_ref().map(|closed| closed.timing_ms).unwrap_or_default()
    }

    /// Records that part of the answer is let go, and waits until that is durable.
    ///
    /// # Errors
    /// When it cannot be made durable: then the part may not leave.
    pub(crate) async fn release(&self, part: LetGo) -> Result<(), JournalError> {
        let LetGo { action, until } = part;
        let released = Released { id: self.0.id, time: Timestamp::now(), action, until };
        self.0.journal.append_released(&released).durable().await
    }

    /// Closes the record and waits until it is durable.
    ///
    /// # Errors
    /// When it cannot be made durable: then nothing may leave.
    pub(crate) async fn close(
        &self,
        outcome: Outcome,
        status: u16,
        released: u64,
    ) -> Result<(), JournalError> {
        self.note(|closed| {
            closed.outcome = outcome;
            closed.status = status;
            closed.released_bytes = released;
        });
        match self.0.finish() {
            Some(mut receipt) => receipt.durable().await,
            None => Ok(()),
        }
    }
}

impl Open {
    fn finish(&self) -> Option<Receipt> {
        let mut closed = lock(&self.notes).take()?;
        closed.time = Timestamp::now();
        closed.timing_ms.total = milliseconds(self.started.elapsed());
        if let Some(then) = lock(&self.then).take() {
            then(&closed);
        }
        let (dialect, trace_id) = &self.spoken;
        self.metrics.requests.closed((dialect, trace_id.as_ref()), &closed);
        self.trace.finish(&closed);
        // Before the end, and in order: if the end is durable, the texts are.
        if let Some(examined) =
            std::mem::take(&mut *lock(&self.texts)).examined(self.id, closed.time)
        {
            drop(self.journal.append_examined(examined));
        }
        Some(self.journal.append_closed(&closed))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if std::thread::panicking()
            && let Some(closed) = lock(&self.notes).as_mut()
        {
            closed.outcome = Outcome::Failed;
            closed.reason = Some("panic".into());
        }
        // Nobody is left to wait for it, and nothing more is released.
        drop(self.finish());
    }
}

/// A record of which nothing is known yet; if it stays so, the client went away.
fn blank(id: Uuid) -> Closed {
    Closed {
        id,
        time: Timestamp::UNIX_EPOCH,
        outcome: Outcome::ClientGone,
        status: 0,
        reason: None,
        stream: false,
        model: None,
        policy: None,
        profile: None,
        key_name: None,
        mode: Mode::Enforce,
        input: None,
        output: None,
        unchecked: Vec::new(),
        unchecked_left_out: 0,
        read: ReadSummary::default(),
        answered: ReadSummary::default(),
        released_bytes: 0,
        timing_ms: Timing::default(),
    }
}

/// Time as records hold it: microseconds are exact enough, and short to write.
pub(crate) fn milliseconds(time: Duration) -> f32 {
    (time.as_secs_f32() * 1_000_000.0).round() / 1_000.0
}

/// The lock, also after a panic elsewhere: what it guards is plain data.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
