//! What a service manager wants to know: systemd's, where there is one, and nothing elsewhere.

use std::net::TcpListener;
use std::time::Duration;

use listenfd::ListenFd;
use sd_notify::NotifyState;

use crate::failure::Failure;

/// Sockets that the manager has opened before us, in its order: connections wait in them while we restart.
pub(crate) struct Given(ListenFd);

impl Given {
    /// Takes over what there is.
    pub(crate) fn take() -> Self {
        Self(ListenFd::from_env())
    }

    /// The socket with this number, if there is one.
    pub(crate) fn listener(&mut self, number: usize) -> Result<Option<TcpListener>, Failure> {
        self.0.take_tcp_listener(number).map_err(|error| {
            Failure::environment(
                "the socket that the service manager gives is not one of TCP",
                &error,
            )
        })
    }
}

/// Says that connections are answered.
pub(crate) fn ready(address: &str) {
    say(&[NotifyState::Ready, NotifyState::Status(&format!("guarding at {address}"))]);
}

/// Says that no new connections are answered.
pub(crate) fn stopping() {
    say(&[NotifyState::Stopping, NotifyState::Status("letting answers under way finish")]);
}

/// Says again and again that the process is alive, if somebody watches for that.
pub(crate) async fn alive() {
    let Some(patience) = sd_notify::watchdog_enabled() else { return std::future::pending().await };
    let mut tick = tokio::time::interval((patience / 3).max(Duration::from_millis(100)));
    loop {
        tick.tick().await;
        say(&[NotifyState::Watchdog]);
    }
}

fn say(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "the service manager cannot be told");
    }
}
