//! The end of patience when the server stops.

use std::sync::Arc;

use tokio::sync::watch;

/// Tells everything that is still under way that it ends now, answered or not. Never, unless somebody says so.
#[derive(Clone, Debug)]
pub struct CutOff(Arc<watch::Sender<bool>>);

impl CutOff {
    /// The code that callers and records are given.
    pub(crate) const REASON: &str = "shut_down";

    /// It is now, for all that is under way and all that still comes.
    pub fn now(&self) {
        self.0.send_replace(true);
    }

    /// Waits until then.
    pub(crate) async fn reached(&self) {
        let waited = self.0.subscribe().wait_for(|now| *now).await.is_ok();
        debug_assert!(waited, "who waits holds the sender");
    }
}

impl Default for CutOff {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }
}
