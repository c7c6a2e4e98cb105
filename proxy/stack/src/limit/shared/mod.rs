//! Limits that several guards count together, in a Redis or Valkey server.
//!
//! What this guard alone knows to be too much is refused without asking. Else the server is asked, once for each
//! request and within a bound of time: it counts over the same sliding window, atomically, by its own clock. What is
//! known only afterwards (tokens, blocks) is reported a moment later, and what could not be reported is owed.
//!
//! When the server does not answer, [`Without`] says what happens, and until it is heard of again no request waits for
//! it. Then everything that is owed is reported; a server that has forgotten is told everything that this guard has let
//! pass within the period.

mod counts;
mod link;
mod script;
#[cfg(test)]
mod tests;
mod touch;

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::Uri;
use tokio::sync::Notify;
use uuid::Uuid;

use self::link::{Asked, Away, Link, Said};
use super::accounts::Accounts;
use crate::arrival::Caller;
use crate::denial::Denial;
use crate::upstream::Network;

/// How often a guard that the server does not recognise tells it everything before it gives up.
const INTRODUCTIONS: usize = 3;
/// What is counted is counted by the server's own clock.
const SERVERS_TIME: u64 = 0;

/// Where limits are shared, and how.
#[derive(Clone, Debug)]
pub struct SharedSettings {
    /// The server: `http` and `https` stand for TCP and TLS.
    pub server: Uri,
    /// Which of its databases.
    pub database: u16,
    /// Who we are there.
    pub username: Option<String>,
    /// What proves it.
    pub password: Option<Password>,
    /// Before every key; guards with the same one count together.
    pub prefix: String,
    /// How long a request waits for the server at most.
    pub timeout: Duration,
    /// How many guards there are, until they have been counted.
    pub guards: NonZeroU32,
    /// What happens without the server.
    pub without: Without,
}

/// A password, which is not shown.
#[derive(Clone)]
pub struct Password(String);

impl From<String> for Password {
    fn from(password: String) -> Self {
        Self(password)
    }
}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password")
    }
}

/// What happens while the server does not answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Without {
    /// Each guard gives every caller its part of the limit: one of as many as there are guards, and at least one
    /// request.
    #[default]
    Share,
    /// Requests are refused.
    Refuse,
}

/// A handle to limits that are shared with other guards.
#[derive(Clone, Debug)]
pub struct SharedLimits(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    settings: SharedSettings,
    network: Network,
    link: Link,
    /// This guard's name among the others: a new one at each start.
    guard: Uuid,
    /// How many there are.
    guards: AtomicU32,
    /// Of whom something is to be reported.
    due: Mutex<Vec<Due>>,
    /// Wakes who reports.
    reports: Notify,
}

#[derive(Debug)]
struct Due {
    accounts: Arc<Accounts>,
    caller: Caller,
    /// Even if nothing is owed: the server may have forgotten what it was told.
    anyway: bool,
}

impl SharedLimits {
    /// Not in touch yet: [`keep_in_touch`](Self::keep_in_touch) must run.
    #[must_use]
    pub fn new(settings: SharedSettings, network: Network) -> Self {
        Self(Arc::new(Shared {
            link: Link::new(settings.timeout),
            guards: AtomicU32::new(settings.guards.get()),
            settings,
            network,
            guard: Uuid::now_v7(),
            due: Mutex::default(),
            reports: Notify::new(),
        }))
    }

    /// Counts a request of `caller`, or says why it is refused.
    pub(super) async fn admit(
        &self,
        accounts: &Arc<Accounts>,
        caller: &Caller,
    ) -> Result<(), Denial> {
        accounts.look(caller)?;
        match self.0.tell(accounts, caller, true).await {
            Ok(Asked::Admitted) => Ok(()),
            Ok(Asked::Refused(refusal, wait)) => Err(accounts.refused(caller, refusal, wait)),
            Err(Away) => self.admit_without(accounts, caller),
        }
    }

    fn admit_without(&self, accounts: &Arc<Accounts>, caller: &Caller) -> Result<(), Denial> {
        let counts = &self.0.link.counts;
        if self.0.settings.without == Without::Refuse {
            counts.without(false);
            return Err(Denial::LimitsUnavailable);
        }
        let admitted = accounts.admit_share(caller, self.0.guards());
        counts.without(admitted.is_ok());
        if admitted? {
            self.due(Arc::clone(accounts), caller.clone());
        }
        Ok(())
    }

    /// Something about `caller` is to be reported.
    pub(super) fn due(&self, accounts: Arc<Accounts>, caller: Caller) {
        self.0.due([Due { accounts, caller, anyway: false }]);
    }

    /// Whether the server answers, and what came of asking it, in the text format of Prometheus.
    pub(crate) fn write(&self, text: &mut String) {
        self.0.link.counts.write(text, self.0.link.is_up(), self.0.guards());
    }
}

impl Shared {
    fn guards(&self) -> NonZeroU32 {
        NonZeroU32::new(self.guards.load(Ordering::Relaxed)).unwrap_or(NonZeroU32::MIN)
    }

    fn due(&self, more: impl IntoIterator<Item = Due>) {
        self.due.lock().unwrap_or_else(PoisonError::into_inner).extend(more);
        self.reports.notify_one();
    }

    fn take_due(&self) -> Vec<Due> {
        std::mem::take(&mut *self.due.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reports what is owed about `caller`, and counts a request if `asks`.
    async fn tell(
        &self,
        accounts: &Arc<Accounts>,
        caller: &Caller,
        asks: bool,
    ) -> Result<Asked, Away> {
        let key = script::key(&self.settings.prefix, accounts.limits(), caller);
        for _ in 0..INTRODUCTIONS {
            let report = accounts.report(caller);
            let call = script::account(&key, accounts.limits(), (&report, asks), SERVERS_TIME);
            let said = self.link.ask(&call).await;
            if !matches!(said, Ok(Said::Is(_))) {
                accounts.give_back(caller, &report);
            }
            match said? {
                Said::Stranger(common) => accounts.begin_anew(caller, common),
                Said::Is(asked) => {
                    if asks && asked == Asked::Admitted {
                        accounts.admitted(caller, report.common);
                    }
                    return Ok(asked);
                }
            }
        }
        // Somebody empties the server all the time.
        Err(Away)
    }
}
