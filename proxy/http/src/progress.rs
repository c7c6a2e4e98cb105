//! How far a connection is: what those who read it, answer on it and wait for it tell each other.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use http::{Method, Uri};
use proxy_stack::HttpFault;

/// A head that was refused; there is at most one on a connection, and it is the last.
#[derive(Debug)]
pub(crate) struct Refused {
    /// How many requests came before it.
    pub(crate) after: u64,
    pub(crate) fault: HttpFault,
    /// What was asked for, if the first line could be read.
    pub(crate) request: Option<(Method, Uri)>,
}

/// The progress of one connection. One task works on it at a time, so that no order between these has to be kept.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// How many heads were handed on, and how many answers are over.
    begun: AtomicU64,
    over: AtomicU64,
    /// Whether all that came was whole requests.
    between: AtomicBool,
    /// Whether all that was written has left.
    flushed: AtomicBool,
    refused: OnceLock<Refused>,
}

impl Progress {
    /// A head may be handed on.
    pub(crate) fn begun(&self) {
        self.begun.fetch_add(1, Ordering::Relaxed);
    }

    /// An answer is over.
    pub(crate) fn over(&self) {
        self.over.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn between(&self, between: bool) {
        self.between.store(between, Ordering::Relaxed);
    }

    pub(crate) fn flushed(&self, flushed: bool) {
        self.flushed.store(flushed, Ordering::Relaxed);
    }

    /// Leaves word of a head that cannot be accepted.
    pub(crate) fn refuse(&self, fault: HttpFault, request: Option<(Method, Uri)>) {
        let after = self.begun.load(Ordering::Relaxed);
        // It is set once: nothing is read after it.
        let _first = self.refused.set(Refused { after, fault, request });
    }

    /// What was refused, if it is the request of this number.
    pub(crate) fn refused(&self, number: u64) -> Option<&Refused> {
        self.refused.get().filter(|refused| refused.after == number)
    }

    /// How many requests there were, if each of them has had its answer and nothing else has come: the library holds
    /// nothing then.
    pub(crate) fn idle(&self) -> Option<u64> {
        let get = |flag: &AtomicBool| flag.load(Ordering::Relaxed);
        let begun = self.begun.load(Ordering::Relaxed);
        let answered = begun > 0 && self.over.load(Ordering::Relaxed) == begun;
        (answered && get(&self.between) && get(&self.flushed)).then_some(begun)
    }
}
