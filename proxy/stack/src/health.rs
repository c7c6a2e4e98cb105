//! Whether requests should come here.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use classifiers_core::{ClassifyError, Direction, Passage, Role};
use jiff::Timestamp;
use proxy_audit::Journal;
use proxy_identity::Issuers;
use tower::ServiceExt as _;

use crate::{ActivePolicy, Panel};

/// What every check is asked at the start: harmless, and never the same as what a caller says.
const QUESTION: &str = "Is anybody there? This is the guard asking itself.";

/// Whether requests should come here: texts are judged, the log can be written, and nobody has asked
/// the server to stop.
#[derive(Debug)]
pub struct Health {
    journal: Arc<Journal>,
    issuers: Option<Issuers>,
    policies: Option<Arc<ActivePolicy>>,
    tested: AtomicBool,
    stopping: AtomicBool,
}

impl Health {
    /// Not ready yet.
    #[must_use]
    pub const fn new(journal: Arc<Journal>) -> Self {
        let (tested, stopping) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { journal, issuers: None, policies: None, tested, stopping }
    }

    /// The same, and not ready before the keys of all `issuers` are known.
    #[must_use]
    pub fn believing(self, issuers: Option<Issuers>) -> Self {
        Self { issuers, ..self }
    }

    /// The same, and not ready while the policy in force has expired.
    #[must_use]
    pub fn under(self, policies: Arc<ActivePolicy>) -> Self {
        Self { policies: Some(policies), ..self }
    }

    /// Where decisions are recorded.
    pub(crate) fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Texts are judged: every check has given a verdict, or somebody in its place.
    pub fn passed(&self) {
        self.tested.store(true, Ordering::Relaxed);
    }

    /// From now on no new requests should come.
    pub fn stops(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// What speaks against requests, in words; nothing if they are welcome.
    #[must_use]
    pub fn problem(&self) -> Option<&'static str> {
        if self.stopping.load(Ordering::Relaxed) {
            return Some("the guard is stopping");
        }
        if self.journal.health().is_err() {
            return Some("the audit log cannot be written");
        }
        if self.issuers.as_ref().is_some_and(|issuers| !issuers.is_ready()) {
            return Some("the keys of an issuer of tokens are not known yet");
        }
        let signed = self.policies.as_ref().and_then(|policies| policies.signed());
        if signed.is_some_and(|signed| signed.is_over(Timestamp::now())) {
            return Some("the policy has expired, and there is no newer one");
        }
        (!self.tested.load(Ordering::Relaxed)).then_some("a classifier has given no verdict yet")
    }
}

impl Panel {
    /// Has every check judge a harmless text, those that stand by too; the names of those that give no verdict within
    /// `time`, and why.
    pub async fn self_test(&self, time: Duration) -> Vec<(Arc<str>, ClassifyError)> {
        let all = self.checks().iter().chain(self.standbys());
        let asked = all.map(|check| async move {
            let question = Passage::new(QUESTION, Role::User, Direction::Input, "/self-test");
            let answer = tokio::time::timeout(time, check.service().oneshot(question)).await;
            let answer = answer.unwrap_or(Err(ClassifyError::Timeout(time)));
            answer.err().map(|error| (Arc::clone(&check.id().name), error))
        });
        futures_util::future::join_all(asked).await.into_iter().flatten().collect()
    }
}
