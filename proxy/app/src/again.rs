//! What is read again on SIGHUP, beside the policy: certificates, and the model server's key.

use std::path::PathBuf;

use proxy_stack::Upstream;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::config::read_key;
use crate::failure::Failure;
use crate::tls::Greeting;

/// What is read again. What cannot be used changes nothing.
pub(crate) struct Again {
    pub(crate) greetings: Vec<Greeting>,
    /// The model server, and the file with the key that is sent there.
    pub(crate) key: Option<(Upstream, PathBuf)>,
}

impl Again {
    /// Reads again whenever it is asked. The handler is in place when this returns.
    pub(crate) fn on_hangup(self) -> Result<impl Future<Output = ()>, Failure> {
        let mut hangup: Signal = signal(SignalKind::hangup())
            .map_err(|error| Failure::environment("signals cannot be handled", &error))?;
        Ok(async move {
            while hangup.recv().await.is_some() {
                self.read();
            }
            std::future::pending().await
        })
    }

    fn read(&self) {
        for result in self.greetings.iter().map(Greeting::reload) {
            match result {
                Ok(()) => {
                    tracing::info!("new connections are greeted with the certificate as it is now")
                }
                Err(failure) => {
                    tracing::error!(%failure, "the new certificate cannot be used; the old one stays");
                }
            }
        }
        let Some((upstream, file)) = &self.key else { return };
        let taken = read_key(file).and_then(|key| {
            upstream.rekey(&key).map_err(|error| Failure::environment(file.display(), &error))
        });
        match taken {
            Ok(()) => tracing::info!("the model server gets the key as it is now"),
            Err(failure) => {
                tracing::error!(%failure, "the new key cannot be used; the old one stays")
            }
        }
    }
}
