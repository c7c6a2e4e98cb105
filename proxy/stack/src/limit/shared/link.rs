//! The connection to the server, while there is one.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{FromRedisValue, RedisError, ScriptInvocation};
use tokio::sync::Notify;

use super::counts::Counts;
use crate::limit::account::Refusal;

/// A connection that many requests use at once.
pub(super) type Connection = Arc<MultiplexedConnection>;

/// What came of asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// There is room, and it is taken.
    Admitted,
    /// There is none for so long.
    Refused(Refusal, Duration),
}

/// What the server says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// It is as the guard knows it.
    Is(Asked),
    /// It knows nothing of what the guard has told before; its account is this one.
    Stranger(u64),
}

/// There is no answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Away;

/// Why there is no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    #[error("the connection was closed")]
    Closed,
    #[error("it cannot be reached: {0}")]
    Unreachable(String),
    #[error("{0}")]
    Error(RedisError),
    #[error("its answer is none that is known here")]
    Odd,
}

pub(super) struct Link {
    timeout: Duration,
    state: Mutex<State>,
    /// Wakes who mends it.
    broken: Notify,
    pub(super) counts: Counts,
}

#[derive(Default)]
struct State {
    connection: Option<Connection>,
    /// Why the connection was given up.
    fault: Option<Fault>,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("is_up", &self.is_up()).finish_non_exhaustive()
    }
}

impl Link {
    /// Not connected.
    pub(super) fn new(timeout: Duration) -> Self {
        let (state, broken) = (Mutex::default(), Notify::new());
        Self { timeout, state, broken, counts: Counts::default() }
    }

    /// Whether the server answers, as far as is known.
    pub(super) fn is_up(&self) -> bool {
        self.state().connection.is_some()
    }

    /// From now on the server is asked through `connection`.
    pub(super) fn open(&self, connection: Connection) {
        *self.state() = State { connection: Some(connection), fault: None };
    }

    /// From now on it is not asked.
    pub(super) fn close(&self) {
        *self.state() = State::default();
    }

    /// Waits until somebody has found out that the server does not answer.
    pub(super) async fn broken(&self) -> Fault {
        loop {
            self.broken.notified().await;
            if let Some(fault) = self.state().fault.take() {
                return fault;
            }
        }
    }

    /// Asks about one caller.
    ///
    /// # Errors
    /// When there is no answer within the time; then the next ones are not asked until the connection is mended.
    pub(super) async fn ask(&self, call: &ScriptInvocation<'_>) -> Result<Said, Away> {
        let connection = self.state().connection.clone().ok_or(Away)?;
        let started = Instant::now();
        let said = self.invoke(call, &connection).await.and_then(said);
        match said {
            Ok(said) => {
                self.counts.answered(started.elapsed());
                Ok(said)
            }
            Err(fault) => {
                self.counts.failed(&fault);
                self.give_up(&connection, fault);
                Err(Away)
            }
        }
    }

    /// Runs a script, within the time.
    pub(super) async fn invoke<T: FromRedisValue>(
        &self,
        call: &ScriptInvocation<'_>,
        connection: &Connection,
    ) -> Result<T, Fault> {
        let mut connection = MultiplexedConnection::clone(connection);
        let answer = tokio::time::timeout(self.timeout, call.invoke_async(&mut connection)).await;
        answer.map_err(|_| Fault::Timeout(self.timeout))?.map_err(Fault::Error)
    }

    /// One request that waits in vain is enough: the others are not to wait.
    fn give_up(&self, connection: &Connection, fault: Fault) {
        let mut state = self.state();
        if state.connection.as_ref().is_some_and(|current| Arc::ptr_eq(current, connection)) {
            *state = State { connection: None, fault: Some(fault) };
            self.broken.notify_one();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the server's words mean.
fn said((word, common, wait_us): (String, u64, u64)) -> Result<Said, Fault> {
    let refused = |refusal| Said::Is(Asked::Refused(refusal, Duration::from_micros(wait_us)));
    Ok(match word.as_str() {
        "ok" => Said::Is(Asked::Admitted),
        "requests" => refused(Refusal::Requests),
        "tokens" => refused(Refusal::Tokens),
        "paused" => refused(Refusal::Paused),
        "stranger" => Said::Stranger(common),
        _ => return Err(Fault::Odd),
    })
}
