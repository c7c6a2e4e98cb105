//! A thread that sends the log on until it is told to stop.

use std::path::Path;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use proxy_audit::Journal;
use tokio::runtime;
use tokio::sync::{oneshot, watch};

use crate::counts::Counts;
use crate::error::SinkError;
use crate::feed::Feed;
use crate::nats::Nats;

/// Between two attempts after one that failed: at first, and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));

/// The sink's name in metrics and beside the log.
const NAME: &str = "nats";

/// What a sink is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Send what comes.
    GoOn,
    /// Send what there is, and end.
    Finish,
}

/// A sink at work. It stops with this.
#[derive(Debug)]
pub struct Sink {
    counts: Arc<Counts>,
    journal: Arc<Journal>,
    wish: Option<watch::Sender<Wish>>,
    ended: oneshot::Receiver<()>,
    thread: Option<JoinHandle<()>>,
}

impl Sink {
    /// Sends the log in `dir` on to `nats`, as `journal` makes it durable. What goes wrong from then on is logged.
    ///
    /// # Errors
    /// [`SinkError::Position`] if it cannot be remembered beside the log what was sent, [`SinkError::Start`] if the
    /// system gives no thread.
    pub fn start(dir: &Path, journal: Arc<Journal>, nats: Nats) -> Result<Self, SinkError> {
        let counts = Arc::<Counts>::default();
        let feed = Feed::open(dir, NAME, Arc::clone(&journal), Arc::clone(&counts))?;
        let (wish, wishes) = watch::channel(Wish::GoOn);
        let (end, ended) = oneshot::channel();
        let worker = Worker { nats, feed, counts: Arc::clone(&counts), wishes };
        let run = move || {
            worker.run();
            drop(end);
        };
        let thread = Builder::new().name("audit-sink".into()).spawn(run);
        let thread = Some(thread.map_err(SinkError::Start)?);
        Ok(Self { counts, journal, wish: Some(wish), ended, thread })
    }

    /// What operators are told, in the text format of Prometheus: a function, because it is asked for after this has
    /// moved.
    pub fn metrics(&self) -> impl Fn(&mut String) + Send + Sync + 'static {
        let (counts, journal) = (Arc::clone(&self.counts), Arc::clone(&self.journal));
        move |text| counts.write(text, NAME, journal.stats().last_durable)
    }

    /// Sends what there is, for `patience` at most; whether all of it was sent. The rest goes out after the next start.
    pub async fn finish(mut self, patience: Duration) -> bool {
        if let Some(wish) = &self.wish {
            wish.send_replace(Wish::Finish);
        }
        // It ends by being dropped.
        drop(tokio::time::timeout(patience, &mut self.ended).await);
        self.counts.has_reached(self.journal.stats().last_durable)
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.wish = None;
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

struct Worker {
    nats: Nats,
    feed: Feed,
    counts: Arc<Counts>,
    wishes: watch::Receiver<Wish>,
}

impl Worker {
    fn run(mut self) {
        let mut pause = PAUSE.0;
        let mut well = true;
        loop {
            let before = self.feed.reached();
            let ended = self.session();
            let Err(error) = ended.and(self.feed.keep()) else { return };
            self.counts.failed();
            if self.feed.reached() > before {
                (pause, well) = (PAUSE.0, true);
            }
            // Said once, not for each attempt.
            if std::mem::replace(&mut well, false) {
                tracing::warn!(error = %chain(&error), "the audit log is not sent on; it is tried again");
            }
            if self.rest(pause) {
                return;
            }
            pause = (pause * 2).min(PAUSE.1);
        }
    }

    /// Sends until something goes wrong, or until it is to stop. Each session has a runtime of its own, with which all
    /// ends that a client may have left behind.
    fn session(&mut self) -> Result<(), SinkError> {
        let runtime = runtime().map_err(SinkError::Start)?;
        let (nats, feed, counts) = (&self.nats, &mut self.feed, &self.counts);
        let (wishes, mut stop) = (self.wishes.clone(), self.wishes.clone());
        let ended = runtime.block_on(async {
            tokio::select! {
                ended = nats.session(feed, counts, &wishes) => ended,
                () = stopped(&mut stop) => Ok(()),
            }
        });
        runtime.shutdown_background();
        ended
    }

    /// Waits; whether it is to end. Without a server there is nothing to finish.
    fn rest(&mut self, pause: Duration) -> bool {
        let Ok(runtime) = runtime() else { return true };
        let wishes = &mut self.wishes;
        let changed =
            runtime.block_on(async { tokio::time::timeout(pause, wishes.changed()).await });
        changed.is_ok() || *wishes.borrow() == Wish::Finish
    }
}

/// Also where it has panicked.
impl Drop for Worker {
    fn drop(&mut self) {
        self.counts.down();
    }
}

fn runtime() -> std::io::Result<runtime::Runtime> {
    runtime::Builder::new_current_thread().enable_all().build()
}

/// When nobody wishes anything any more.
async fn stopped(wishes: &mut watch::Receiver<Wish>) {
    while wishes.changed().await.is_ok() {}
}

/// An error and everything that led to it, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}
