//! How much is done at a time. The console shares threads and cores with the guard, which must not wait for people who
//! look at its log: what is beyond a few is turned away before it takes a thread.

use std::sync::Arc;

use http::StatusCode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::respond::Problem;

/// Kinds of work that do not wait for each other.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Work {
    /// What takes milliseconds, as a rule.
    Ordinary,
    /// What reads much: bulk actions, exports, what-ifs.
    Heavy,
    /// Checking a password takes much memory.
    Password,
    /// Waits for a provider of identities.
    Provider,
}

/// A queue for each kind of work.
#[derive(Debug)]
pub(crate) struct Turns {
    ordinary: Queue,
    heavy: Queue,
    password: Queue,
    provider: Queue,
}

impl Default for Turns {
    fn default() -> Self {
        // A page loads some thirty files at once, and asks four questions about a filter.
        let (ordinary, heavy) = (Queue::new(4, 256), Queue::new(1, 8));
        Self { ordinary, heavy, password: Queue::new(1, 16), provider: Queue::new(2, 32) }
    }
}

impl Turns {
    /// Waits for a turn. It is over when what is returned is dropped.
    ///
    /// # Errors
    /// Too many wait already.
    pub(crate) async fn wait(&self, work: Work) -> Result<Turn, Problem> {
        let queue = match work {
            Work::Ordinary => &self.ordinary,
            Work::Heavy => &self.heavy,
            Work::Password => &self.password,
            Work::Provider => &self.provider,
        };
        queue.wait().await.ok_or_else(|| {
            let message = "The console is busy. Try again in a moment.";
            let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, message);
            Problem { retry_after: Some(1), ..problem }
        })
    }
}

/// A turn of work.
#[derive(Debug)]
pub(crate) struct Turn {
    _running: OwnedSemaphorePermit,
    _place: OwnedSemaphorePermit,
}

#[derive(Debug)]
struct Queue {
    running: Arc<Semaphore>,
    /// Those that run and those that wait.
    places: Arc<Semaphore>,
}

impl Queue {
    fn new(at_a_time: usize, waiting: usize) -> Self {
        let semaphore = |permits| Arc::new(Semaphore::new(permits));
        Self { running: semaphore(at_a_time), places: semaphore(at_a_time + waiting) }
    }

    async fn wait(&self) -> Option<Turn> {
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        let running = Arc::clone(&self.running).acquire_owned().await.ok()?;
        Some(Turn { _running: running, _place: place })
    }
}
