//! Which requests are open.
//!
//! The writer, the restart and the verifier all keep the same books, so that what the writer lets
//! through is what the verifier accepts.

use std::collections::HashMap;

use uuid::Uuid;

use crate::error::Misuse;

/// Most requests open at once. Their ids must fit one `started` line.
pub(crate) const OPEN_LIMIT: usize = 262_144;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Closed,
}

/// The open requests, and those closed since the last `started` record: enough to tell a second
/// close from one that was never opened, in memory bounded by one segment.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    requests: HashMap<Uuid, State>,
    open: usize,
}

impl Ledger {
    pub(crate) fn open(&mut self, id: Uuid) -> Result<(), Misuse> {
        match self.requests.get(&id) {
            Some(State::Open) => Err(Misuse::OpenedTwice),
            Some(State::Closed) => Err(Misuse::Reused),
            None => {
                self.requests.insert(id, State::Open);
                self.open += 1;
                Ok(())
            }
        }
    }

    /// Something is said about a request that must be open.
    pub(crate) fn release(&self, id: Uuid) -> Result<(), Misuse> {
        match self.requests.get(&id) {
            Some(State::Open) => Ok(()),
            Some(State::Closed) => Err(Misuse::ClosedTwice),
            None => Err(Misuse::NotOpen),
        }
    }

    pub(crate) fn close(&mut self, id: Uuid) -> Result<(), Misuse> {
        match self.requests.get_mut(&id) {
            Some(state @ State::Open) => {
                *state = State::Closed;
                self.open -= 1;
                Ok(())
            }
            Some(State::Closed) => Err(Misuse::ClosedTwice),
            None => Err(Misuse::NotOpen),
        }
    }

    /// How many requests are open.
    pub(crate) fn open_count(&self) -> usize {
        self.open
    }

    /// The open requests, oldest id first.
    pub(crate) fn open_ids(&self) -> Vec<Uuid> {
        let open = self.requests.iter().filter(|(_, state)| **state == State::Open);
        let mut ids: Vec<Uuid> = open.map(|(id, _)| *id).collect();
        ids.sort_unstable();
        ids
    }

    /// Whether exactly these requests are open.
    pub(crate) fn has_open(&self, ids: &[Uuid]) -> bool {
        ids.len() == self.open
            && ids.iter().all(|id| self.requests.get(id) == Some(&State::Open))
            && ids.is_sorted_by(|a, b| a < b)
    }

    /// Begins anew after a `started` record that names these requests.
    pub(crate) fn restart(&mut self, ids: &[Uuid]) {
        self.requests.clear();
        self.requests.extend(ids.iter().map(|id| (*id, State::Open)));
        self.open = self.requests.len();
    }
}
