//! A model server that fails again and again is left alone for a while, and never gets more than it is allowed at a time.
//!
//! The circuit breaker of M. Nygard, *Release It!* (2nd edition, 2018, section 5.2): callers hear at once what they would
//! have waited for, and a server that comes back is not met by all of them together. In place of one trial that may take
//! as long as an answer takes, one request is let through after each pause.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::{Response, StatusCode};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::Limits;
use crate::denial::Denial;
use crate::metrics::header;

/// The first pause; each trial that fails doubles it.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest one.
const LONGEST: Duration = Duration::from_secs(5);

/// What is known of a model server, shared by all who ask it.
#[derive(Clone, Debug)]
pub struct Circuit(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// So many failures in a row open it; 0: none do.
    failures: u32,
    /// Answers that may be under way; `None`: as many as exchanges.
    room: Option<Arc<Semaphore>>,
    state: Mutex<State>,
    opened: AtomicU64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed { failures: u32 },
    Open { until: Instant, pause: Duration },
}

/// A request that may be made. Dropped without a word it says nothing about the server: its caller has left.
#[derive(Debug)]
pub(crate) struct Attempt {
    circuit: Circuit,
    /// Whether it is the one that is let through after a pause.
    trial: bool,
    permit: Option<OwnedSemaphorePermit>,
}

impl Circuit {
    /// A closed one, with the bounds of `limits`.
    pub(crate) fn new(limits: &Limits) -> Self {
        let room = limits.upstream_concurrent.map(|most| Arc::new(Semaphore::new(most)));
        let state = Mutex::new(State::Closed { failures: 0 });
        let (failures, opened) = (limits.upstream_failures, AtomicU64::new(0));
        Self(Arc::new(Shared { failures, room, state, opened }))
    }

    /// Whether a request may be made now.
    pub(crate) fn admit(&self, now: Instant) -> Result<Attempt, Denial> {
        let room = self.0.room.as_ref().map(|room| Arc::clone(room).try_acquire_owned());
        let permit = room.transpose().map_err(|_| Denial::UpstreamBusy)?;
        let mut state = self.state();
        let trial = match *state {
            State::Closed { .. } => false,
            State::Open { until, .. } if now < until => {
                return Err(Denial::UpstreamResting { retry_after: until - now });
            }
            State::Open { pause, .. } => {
                *state = State::Open { until: now + pause, pause };
                true
            }
        };
        Ok(Attempt { circuit: self.clone(), trial, permit })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failed(&self, trial: bool, now: Instant) {
        let mut state = self.state();
        *state = match *state {
            State::Closed { failures } if failures.saturating_add(1) == self.0.failures => {
                self.0.opened.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(
                    in_a_row = self.0.failures,
                    "the model server fails and is left alone"
                );
                State::Open { until: now + PAUSE, pause: PAUSE }
            }
            State::Closed { failures } => State::Closed { failures: failures.saturating_add(1) },
            State::Open { pause, .. } if trial => {
                let pause = (pause * 2).min(LONGEST);
                State::Open { until: now + pause, pause }
            }
            // It was under way before.
            open @ State::Open { .. } => open,
        };
    }

    fn succeeded(&self) {
        let mut state = self.state();
        if matches!(*state, State::Open { .. }) {
            tracing::info!("the model server answers again");
        }
        *state = State::Closed { failures: 0 };
    }

    /// Its metrics, in the text format of Prometheus.
    pub(crate) fn write(&self, text: &mut String) {
        let open = u8::from(matches!(*self.state(), State::Open { .. }));
        let name = "guard_upstream_circuit_open";
        header(text, name, "gauge", "1 while the model server is left alone because it fails.");
        text.push_str(&format!("{name} {open}\n"));
        let name = "guard_upstream_circuit_opened_total";
        header(text, name, "counter", "How often it has been.");
        text.push_str(&format!("{name} {}\n", self.0.opened.load(Ordering::Relaxed)));
    }
}

impl Attempt {
    /// What became of it: what says that the server, or what stands before it, cannot do its work is a failure. A permit
    /// is to be held until the answer is over.
    pub(crate) fn came_to<B>(
        self,
        answer: &Result<Response<B>, Denial>,
    ) -> Option<OwnedSemaphorePermit> {
        const DOWN: [StatusCode; 3] =
            [StatusCode::BAD_GATEWAY, StatusCode::SERVICE_UNAVAILABLE, StatusCode::GATEWAY_TIMEOUT];
        match answer {
            Ok(answer) if !DOWN.contains(&answer.status()) => self.circuit.succeeded(),
            _ => self.circuit.failed(self.trial, Instant::now()),
        }
        self.permit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn limits(upstream_failures: u32, upstream_concurrent: Option<usize>) -> Limits {
        Limits { upstream_failures, upstream_concurrent, ..Limits::default() }
    }

    fn rests(circuit: &Circuit, now: Instant) -> Option<Duration> {
        match circuit.admit(now) {
            Err(Denial::UpstreamResting { retry_after }) => Some(retry_after),
            _ => None,
        }
    }

    #[test]
    fn failures_in_a_row_open_it_and_a_success_closes_it() {
        let (circuit, start) = (Circuit::new(&limits(3, None)), Instant::now());
        for _ in 0..2 {
            circuit.failed(false, start);
        }
        circuit.succeeded();
        for _ in 0..3 {
            assert_eq!(rests(&circuit, start), None);
            circuit.failed(false, start);
        }
        assert_eq!(rests(&circuit, start), Some(SECOND));
        // What was under way when it opened changes nothing; a trial that fails doubles the pause, up to five seconds.
        circuit.failed(false, start);
        let mut now = start;
        for seconds in [1, 2, 4, 5, 5] {
            now += SECOND * seconds;
            assert!(circuit.admit(now).is_ok_and(|attempt| attempt.trial));
            // One at a time, whatever becomes of it.
            assert!(rests(&circuit, now).is_some());
            circuit.failed(true, now);
        }
        circuit.succeeded();
        assert_eq!(rests(&circuit, now), None);
    }

    #[test]
    fn it_opens_only_where_it_is_told_to() {
        let (circuit, now) = (Circuit::new(&limits(0, None)), Instant::now());
        for _ in 0..1_000 {
            circuit.failed(false, now);
        }
        assert_eq!(rests(&circuit, now), None);
    }

    #[test]
    fn no_more_are_under_way_than_there_is_room_for() {
        let (circuit, now) = (Circuit::new(&limits(3, Some(2))), Instant::now());
        let first = circuit.admit(now).unwrap();
        let _second = circuit.admit(now).unwrap();
        assert!(matches!(circuit.admit(now), Err(Denial::UpstreamBusy)));
        drop(first);
        assert!(circuit.admit(now).is_ok());
    }
}
