//! Takes newer signed policies while the server runs: now and then, and on SIGHUP.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use proxy_stack::{ActivePolicy, Candidate, Fetch, Refused};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::source::{Fault, Received, Source};
use super::store::Store;
use crate::failure::Failure;
use crate::server::no_standby;

/// How soon a look is repeated that brought nothing.
const AGAIN: Duration = Duration::from_secs(15);

/// Follows a policy at a URL.
pub(crate) struct Follow {
    source: Source,
    active: Arc<ActivePolicy>,
    hangup: Signal,
    /// What was said last of a look that brought nothing, so that it is not said each time.
    said: Option<String>,
    /// Was signed well, and yet cannot be used.
    unusable: Option<(Vec<u8>, Fault)>,
    expired: bool,
}

impl Follow {
    /// Begins with what the start has brought, and keeps it.
    pub(crate) fn new(source: Source, active: Arc<ActivePolicy>) -> Result<Self, Failure> {
        let hangup = signal(SignalKind::hangup())
            .map_err(|error| Failure::environment("signals cannot be handled", &error))?;
        let Received { envelope, opened, .. } = &source.last;
        source.store.keep(envelope, opened.statement.serial).map_err(|error| {
            let dir = source.store.dir().display();
            Failure::environment(format!("the policy cannot be kept in {dir}"), &error)
        })?;
        let mut follow =
            Self { active, hangup, said: None, unusable: None, expired: false, source };
        let first = follow.source.first.clone();
        follow.say(first);
        Ok(follow)
    }

    /// Follows until dropped.
    pub(crate) async fn run(mut self) {
        loop {
            let every = self.source.settings.every;
            let wait = if self.said.is_some() { every.min(AGAIN) } else { every };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                _ = self.hangup.recv() => {}
            }
            let came = self.look().await;
            self.say(came);
        }
    }

    /// Looks once, and puts in force what there is.
    async fn look(&mut self) -> Result<Fetch, Fault> {
        let Some(received) = self.source.look().await? else { return Ok(Fetch::Unchanged) };
        if let Some((_, fault)) =
            self.unusable.as_ref().filter(|known| known.0 == received.envelope)
        {
            return Err(fault.clone());
        }
        let (active, store) = (Arc::clone(&self.active), self.source.store.clone());
        let (place, candidate) = (self.source.settings.document.to_string(), received.clone());
        // Tests and the disk take milliseconds that no request should wait for.
        let ready =
            tokio::task::spawn_blocking(move || ready(&active, &store, &candidate, &place)).await;
        let ready = ready
            .unwrap_or_else(|error| Err(Fault { kind: Fetch::Policy, why: error.to_string() }));
        let candidate = ready.inspect_err(|fault| {
            if fault.kind == Fetch::Policy {
                self.unusable = Some((received.envelope.clone(), fault.clone()));
            }
        })?;
        self.active.enforce(candidate, Some(self.source.settings.signed(&received.opened)));
        self.source.last = received;
        Ok(Fetch::Taken)
    }

    /// Counts what came of a look, and says what is new about it.
    fn say(&mut self, came: Result<Fetch, Fault>) {
        let (policy, place) = (self.active.policy(), &self.source.settings.document);
        let statement = &self.source.last.opened.statement;
        let (policy, serial) = (policy.label(), statement.serial);
        self.active.fetched(came.as_ref().map_or_else(|fault| fault.kind, |fetch| *fetch));
        match came {
            Ok(Fetch::Taken) => {
                let key = self.source.last.opened.key;
                let expires = statement.expires.map(|end| end.to_string());
                tracing::info!(%place, policy, serial, expires, %key, "a signed policy is in force");
                self.said = None;
            }
            Ok(_) => {
                if self.said.take().is_some() {
                    tracing::info!(%place, policy, serial, "the policy in force is the newest again");
                }
            }
            Err(fault) => {
                let said = format!("{}: {}", fault.kind.name(), fault.why);
                if self.said.as_ref() != Some(&said) {
                    tracing::error!(%place, policy, serial, reason = fault.kind.name(), "no new policy was taken; the one before stays: {}", fault.why);
                }
                self.said = Some(said);
            }
        }
        let over = self.source.signed().is_over(Timestamp::now());
        if over && !self.expired {
            tracing::error!(
                policy,
                serial,
                "the policy in force has expired: the guard is not ready; sign a newer one"
            );
        }
        self.expired = over;
    }
}

/// What was received as something that can be put in force; it is kept then, so that a restart takes nothing older.
fn ready(
    active: &ActivePolicy,
    store: &Store,
    received: &Received,
    place: &str,
) -> Result<Candidate, Fault> {
    let statement = &received.opened.statement;
    let wrong = |refused| Fault { kind: Fetch::Policy, why: in_words(refused) };
    let candidate = active.examine(&statement.policy, place).map_err(wrong)?;
    store.keep(&received.envelope, statement.serial).map_err(|error| Fault {
        kind: Fetch::NotKept,
        why: format!("it cannot be kept in {}: {error}", store.dir().display()),
    })?;
    Ok(candidate)
}

fn in_words(refused: Refused) -> String {
    match refused {
        Refused::Wrong(diagnostics) => format!("the policy is wrong\n{diagnostics}"),
        Refused::NoStandby(missing) => no_standby(&missing),
        Refused::TestsFail(failed) => {
            let names: Vec<&str> = failed.iter().map(|test| &*test.name).collect();
            format!("the policy fails its own tests: {}", names.join("; "))
        }
    }
}
