//! Keeping in touch with the server.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, stream};
use hyper_util::rt::TokioIo;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, RedisConnectionInfo};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tower::ServiceExt as _;

use super::link::{Asked, Connection, Fault};
use super::{Due, Password, Shared, SharedLimits, Without, script};
use crate::ActivePolicy;

/// How long a connection may take to come about.
const CONNECT_TIME: Duration = Duration::from_secs(1);
/// Between two attempts to connect: so long after its return the server is in use again.
const PAUSE: Duration = Duration::from_millis(250);
/// How often a guard says that it is here.
const BEAT: Duration = Duration::from_secs(2);
/// After how long a guard that says nothing is gone, in milliseconds.
const GONE_MS: u64 = 10_000;
/// How long reports are gathered: what one caller uses meanwhile is one report.
const GATHER: Duration = Duration::from_millis(20);
/// Reports under way at a time.
const REPORTS: usize = 64;
/// Commands that wait for the connection to take them; more wait before it.
const QUEUED: usize = 1024;

impl SharedLimits {
    /// Connects, again and again when need be, says that this guard is here, and reports what is owed; `policies` has
    /// what was counted before the server forgot. Runs until it is dropped.
    pub async fn keep_in_touch(&self, policies: &ActivePolicy) -> Infallible {
        let (shared, mut away_since) = (&self.0, None);
        loop {
            let fault = shared.while_connected(policies, &mut away_since).await;
            shared.link.close();
            if away_since.is_none() {
                away_since = Some(Instant::now());
                shared.alarm(&fault);
            }
            sleep(PAUSE).await;
        }
    }

    /// Connects once, to see whether that is possible.
    ///
    /// # Errors
    /// Why not, in words.
    pub async fn try_once(&self) -> Result<(), String> {
        let shared = &self.0;
        let call = script::guards(&format!("{}:try", shared.settings.prefix), shared.guard, 1);
        let tried = shared.connected(async |connection| {
            shared.link.invoke::<(u64, u32)>(&call, &connection).await.map(drop)
        });
        tried.await.map_err(|fault| fault.to_string())
    }
}

impl Shared {
    fn alarm(&self, fault: &Fault) {
        let guards = self.guards();
        match self.settings.without {
            Without::Share => tracing::error!(
                %fault, %guards,
                "limits are not shared: their server does not answer; each guard gives every caller its part of the limits"
            ),
            Without::Refuse => tracing::error!(
                %fault,
                "limits are not shared: their server does not answer; requests are refused"
            ),
        }
    }

    /// Connects, and serves while that lasts; why it does not.
    async fn while_connected(
        &self,
        policies: &ActivePolicy,
        away_since: &mut Option<Instant>,
    ) -> Fault {
        let served = self.connected(async |connection| {
            let since = Instant::now();
            self.say_here(&connection, policies, since).await?;
            self.link.open(Arc::clone(&connection));
            // What was owed meanwhile.
            self.reports.notify_one();
            self.say_shared(away_since.take());
            tokio::select! {
                fault = self.link.broken() => Err::<Infallible, _>(fault),
                fault = self.serve(&connection, policies, since) => Err(fault),
            }
        });
        let Err(fault) = served.await;
        fault
    }

    fn say_shared(&self, away_since: Option<Instant>) {
        let guards = self.guards();
        match away_since.map(|since| since.elapsed()) {
            Some(away) => tracing::info!(?away, %guards, "limits are shared again"),
            None => tracing::info!(%guards, "limits are shared"),
        }
    }

    /// Does something with a connection, which ends with it.
    async fn connected<R>(
        &self,
        act: impl AsyncFnOnce(Connection) -> Result<R, Fault>,
    ) -> Result<R, Fault> {
        let who = self.who();
        let connecting = async {
            let stream = self.network.clone().oneshot(self.settings.server.clone()).await;
            let stream = stream.map_err(|error| Fault::Unreachable(error.to_string()))?;
            let config = AsyncConnectionConfig::new().set_pipeline_buffer_size(QUEUED);
            let stream = TokioIo::new(stream);
            let connecting = MultiplexedConnection::new_with_config(&who, stream, config);
            connecting.await.map_err(Fault::Error)
        };
        let connected = timeout(CONNECT_TIME, connecting).await;
        let (connection, carried) = connected.map_err(|_| Fault::Timeout(CONNECT_TIME))??;
        tokio::select! {
            () = carried => Err(Fault::Closed),
            result = act(Arc::new(connection)) => result,
        }
    }

    fn who(&self) -> RedisConnectionInfo {
        let settings = &self.settings;
        let mut who = RedisConnectionInfo::default()
            .set_db(i64::from(settings.database))
            .set_skip_set_lib_name();
        if let Some(username) = &settings.username {
            who = who.set_username(username);
        }
        if let Some(Password(password)) = &settings.password {
            who = who.set_password(password);
        }
        who
    }

    async fn serve(
        &self,
        connection: &Connection,
        policies: &ActivePolicy,
        since: Instant,
    ) -> Fault {
        let mut beat = interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = beat.tick() => {
                    if let Err(fault) = self.say_here(connection, policies, since).await {
                        self.link.counts.failed(&fault);
                        return fault;
                    }
                }
                () = self.reports.notified() => {
                    sleep(GATHER).await;
                    self.report().await;
                }
            }
        }
    }

    /// Says that this guard is here, and hears how many are; connected `since` then.
    async fn say_here(
        &self,
        connection: &Connection,
        policies: &ActivePolicy,
        since: Instant,
    ) -> Result<(), Fault> {
        let call = script::guards(&self.settings.prefix, self.guard, GONE_MS);
        let (new, guards): (u64, u32) = self.link.invoke(&call, connection).await?;
        // A server that has just come back has not heard of everybody yet, and parts must not be too large.
        let all = since.elapsed() > Duration::from_millis(GONE_MS);
        if all || guards > self.guards.load(Ordering::Relaxed) {
            self.guards.store(guards.max(1), Ordering::Relaxed);
        }
        if new == 1 {
            // It has not heard of us for long, or has forgotten us, and with us perhaps what it was told.
            let accounts = Arc::clone(&policies.load().accounts);
            let callers = accounts.all_due().into_iter();
            self.due(callers.map(|caller| Due {
                accounts: Arc::clone(&accounts),
                caller,
                anyway: true,
            }));
        }
        Ok(())
    }

    /// Reports what is owed.
    async fn report(&self) {
        let due = stream::iter(self.take_due());
        due.for_each_concurrent(REPORTS, |due| async move {
            let Due { accounts, caller, anyway } = due;
            if !accounts.is_due(&caller, anyway) {
                return;
            }
            match self.tell(&accounts, &caller, false).await {
                Ok(Asked::Admitted) => {}
                Ok(Asked::Refused(refusal, wait)) => {
                    accounts.refused(&caller, refusal, wait);
                }
                Err(_) if accounts.is_still_due(&caller) => {
                    self.due([Due { accounts, caller, anyway }]);
                }
                Err(_) => {}
            }
        })
        .await;
    }
}
