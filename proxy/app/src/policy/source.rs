//! A signed policy at a URL: fetched, judged, and kept for when the URL cannot be reached.

use std::time::Duration;

use http::HeaderValue;
use jiff::Timestamp;
use policies::Policy;
use policies_signed::{Expected, LARGEST, Opened, PublicKey, Refused, open};
use proxy_console::Document as Shown;
use proxy_stack::{Afterwards, Fetch, Signed};

use super::store::{Kept, Store};
use crate::commands::serve::runtime;
use crate::config::tested;
use crate::failure::Failure;
use crate::fetch::{Document, Fetched, Limits, Unfetched};
use crate::server::no_standby;

/// How long a policy may take to arrive, and how large its envelope may be.
pub(crate) const LIMITS: Limits = Limits { time: Duration::from_secs(10), bytes: LARGEST };
/// What is asked for; what comes is looked at, whatever it is called.
pub(crate) const MEDIA: &str = "application/json";

/// What the operator says of a policy at a URL, checked.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) document: Document,
    pub(crate) keys: Vec<PublicKey>,
    pub(crate) audience: Option<String>,
    pub(crate) min_serial: u64,
    pub(crate) afterwards: Afterwards,
    pub(crate) every: Duration,
    /// Where it is kept.
    pub(crate) dir: std::path::PathBuf,
}

/// Where a signed policy comes from, and the one that was accepted last.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) settings: Settings,
    pub(crate) store: Store,
    /// No policy with a lower serial is accepted.
    at_least: u64,
    /// The one in force.
    pub(crate) last: Received,
    /// What came of the first look.
    pub(crate) first: Result<Fetch, Fault>,
}

/// A policy as it came.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) opened: Opened,
    pub(crate) envelope: Vec<u8>,
    etag: Option<HeaderValue>,
}

/// Why a look brought nothing that can be put in force.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub(crate) kind: Fetch,
    pub(crate) why: String,
}

/// What judging needs to know.
struct Judge<'a> {
    settings: &'a Settings,
    at_least: u64,
    last: Option<&'a Received>,
}

impl Settings {
    /// Fetches the policy; takes the one that was kept if none is to be had. It passes its own tests, and only those of
    /// `standbys` judge in others' places.
    ///
    /// # Errors
    /// When neither can be used.
    pub(crate) fn start(self, standbys: &[&str]) -> Result<(Policy, Source), Failure> {
        let store = Store::new(self.dir.clone());
        let Kept { envelope, serial } = store.read()?;
        let at_least = serial.max(self.min_serial);
        let judge = Judge { settings: &self, at_least, last: None };
        let kept = envelope.and_then(|envelope| judge.kept(envelope, &store));
        let judge = Judge { last: kept.as_ref(), ..judge };
        let usable = |received: Received| {
            let policy = self.policy(&received.opened.statement.policy, standbys)?;
            Ok((policy, received))
        };
        let looked = runtime()?.block_on(judge.look());
        let fetched = looked.and_then(|found| found.map(usable).transpose());
        let (first, taken) = match (fetched, kept.clone()) {
            (Ok(Some(taken)), _) => (Ok(Fetch::Taken), taken),
            (Ok(None), Some(kept)) => (Ok(Fetch::Unchanged), self.again(kept, &usable)?),
            (Err(fault), Some(kept)) => (Err(fault), self.again(kept, &usable)?),
            (Err(Fault { why, .. }), None) => return Err(self.nothing(&why, &store)),
            (Ok(None), None) => return Err(self.nothing("it did not say which", &store)),
        };
        let (policy, last) = taken;
        Ok((policy, Source { settings: self, store, at_least, last, first }))
    }

    fn again(
        &self,
        kept: Received,
        usable: &dyn Fn(Received) -> Result<(Policy, Received), Fault>,
    ) -> Result<(Policy, Received), Failure> {
        let failed = |fault: Fault| {
            Failure::Environment(format!("the policy that was kept cannot be used: {}", fault.why))
        };
        usable(kept).map_err(failed)
    }

    fn nothing(&self, why: &str, store: &Store) -> Failure {
        Failure::Environment(format!(
            "there is no policy: {}: {why}; and none is kept in {}",
            self.document,
            store.dir().display()
        ))
    }

    /// The policy in a document, if it can be used.
    fn policy(&self, source: &str, standbys: &[&str]) -> Result<Policy, Fault> {
        let wrong = |why: String| Fault { kind: Fetch::Policy, why };
        let policy = tested(source, &self.document.to_string());
        let policy = policy.map_err(|failure| wrong(failure.to_string()))?;
        let missing = policy.standbys().find(|name| !standbys.contains(&&***name)).cloned();
        missing.map_or(Ok(policy), |missing| Err(wrong(no_standby(&missing))))
    }
}

impl Source {
    /// Looks for a newer policy; nothing if the one in force is the newest.
    pub(crate) async fn look(&self) -> Result<Option<Received>, Fault> {
        let Self { settings, at_least, last, .. } = self;
        Judge { settings, at_least: *at_least, last: Some(last) }.look().await
    }

    /// What is known of the policy in force.
    pub(crate) const fn signed(&self) -> Signed {
        self.settings.signed(&self.last.opened)
    }

    /// Whether it is the newest and in date, and the next one can be kept, in words.
    pub(crate) fn health(&self) -> Result<String, String> {
        let (place, dir) = (&self.settings.document, self.store.dir());
        let statement = &self.last.opened.statement;
        let serial = statement.serial;
        if let Err(fault) = &self.first {
            return Err(format!(
                "{place}: {}; the guard would serve with serial {serial}, which was kept in {}",
                fault.why,
                dir.display()
            ));
        }
        let written =
            std::fs::create_dir_all(dir).and_then(|()| tempfile::tempfile_in(dir).map(drop));
        written.map_err(|error| {
            format!("{} cannot be written ({error}): choose another `state_dir`", dir.display())
        })?;
        let end = statement.expires.map_or(String::new(), |end| format!(", good until {end}"));
        Ok(format!("{place}: serial {serial}, signed by {}{end}", self.last.opened.key))
    }

    /// The document that was kept, read anew each time.
    pub(crate) fn shown(&self) -> impl Fn() -> Result<Shown, String> + Send + Sync + 'static {
        let (store, keys) = (self.store.clone(), self.settings.keys.clone());
        move || {
            let kept = store.read().map_err(|failure| failure.to_string())?;
            let opened = open(&kept.envelope.unwrap_or_default(), &keys);
            let text = opened.map_err(|error| error.to_string())?.statement.policy;
            Ok(Shown { file: "policy.yaml".to_owned(), text })
        }
    }
}

impl Settings {
    /// What is known of a policy by its signature.
    pub(crate) const fn signed(&self, opened: &Opened) -> Signed {
        let (serial, expires) = (opened.statement.serial, opened.statement.expires);
        Signed { serial, expires, afterwards: self.afterwards }
    }
}

impl Judge<'_> {
    async fn look(&self) -> Result<Option<Received>, Fault> {
        let known = self.last.and_then(|last| last.etag.as_ref());
        let (envelope, etag) = match self.settings.document.fetch(MEDIA, known).await {
            Ok(Fetched::Document(envelope, etag)) => (envelope, etag),
            Ok(Fetched::Same) => return self.still(),
            Err(error) => return Err(error.into()),
        };
        if self.last.is_some_and(|last| last.envelope == envelope) {
            return self.still();
        }
        let opened = self.opened(&envelope)?;
        opened.statement.in_date(Timestamp::now())?;
        Ok(Some(Received { opened, envelope, etag }))
    }

    /// The place has what is in force: that is news only if it is over.
    fn still(&self) -> Result<Option<Received>, Fault> {
        if let Some(last) = self.last {
            last.opened.statement.in_date(Timestamp::now())?;
        }
        Ok(None)
    }

    /// What was kept, if it can still be believed. Whether it is over is not asked: it was in force.
    fn kept(&self, envelope: Vec<u8>, store: &Store) -> Option<Received> {
        let opened = self.opened(&envelope);
        let refused = |fault: &Fault| {
            tracing::error!(dir = %store.dir().display(), why = fault.why, "the policy that was kept is not used");
        };
        let opened = opened.inspect_err(refused).ok()?;
        Some(Received { opened, envelope, etag: None })
    }

    fn opened(&self, envelope: &[u8]) -> Result<Opened, Fault> {
        let opened = open(envelope, &self.settings.keys)?;
        opened.statement.meets(&Expected {
            audience: self.settings.audience.as_deref(),
            at_least: self.at_least,
            last: self.last.map(|last| &last.opened.statement),
        })?;
        Ok(opened)
    }
}

impl From<Refused> for Fault {
    fn from(refused: Refused) -> Self {
        let kind = match refused {
            Refused::Malformed(_) => Fetch::Malformed,
            Refused::UnknownKey => Fetch::UnknownKey,
            Refused::Forged => Fetch::Forged,
            Refused::OtherAudience { .. } => Fetch::Audience,
            Refused::RolledBack { .. } | Refused::Reused(_) => Fetch::Rollback,
            Refused::Expired(_) => Fetch::Expired,
        };
        Self { kind, why: refused.to_string() }
    }
}

impl From<Unfetched> for Fault {
    fn from(unfetched: Unfetched) -> Self {
        let kind = match unfetched {
            Unfetched::Unreachable(_) => Fetch::Unreachable,
            Unfetched::Slow(_) => Fetch::Slow,
            Unfetched::Status(_) => Fetch::Status,
            Unfetched::TooLarge(_) => Fetch::TooLarge,
        };
        Self { kind, why: unfetched.to_string() }
    }
}
