//! A thread that sends the log on until it is told to stop.

use std::path::Path;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use proxy_audit::Journal;
use tokio::runtime;
use tokio::sync::{oneshot, watch};

use crate::bucket::{Bucket, Copier};
use crate::counts::{self, Counts};
use crate::error::{SinkError, chain};
use crate::feed::Feed;
use crate::nats::Nats;

/// Between two attempts after one that failed: at first, and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));

/// Where a log is sent on to.
#[derive(Debug)]
pub enum Target {
    /// A JetStream subject of NATS gets each record.
    Nats(Nats),
    /// An object store gets the files.
    Bucket(Bucket),
}

impl Target {
    /// What it is called in metrics and beside the log.
    fn name(&self) -> &'static str {
        match self {
            Self::Nats(_) => "nats",
            Self::Bucket(_) => "object_store",
        }
    }
}

impl From<Nats> for Target {
    fn from(nats: Nats) -> Self {
        Self::Nats(nats)
    }
}

impl From<Bucket> for Target {
    fn from(bucket: Bucket) -> Self {
        Self::Bucket(bucket)
    }
}

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
    /// Sends the log in `dir` on to `target`, as `journal` makes it durable. What goes wrong from then on is logged.
    ///
    /// # Errors
    /// [`SinkError::Position`] if it cannot be remembered beside the log what was sent, [`SinkError::Start`] if the
    /// system gives no thread.
    pub fn start(
        dir: &Path,
        journal: Arc<Journal>,
        target: impl Into<Target>,
    ) -> Result<Self, SinkError> {
        let target = target.into();
        let counts = Arc::new(Counts::of(target.name()));
        let work = Work::open(target, dir, Arc::clone(&journal), Arc::clone(&counts))?;
        let (wish, wishes) = watch::channel(Wish::GoOn);
        let (end, ended) = oneshot::channel();
        let worker = Worker { work, counts: Arc::clone(&counts), wishes };
        let run = move || {
            worker.run();
            drop(end);
        };
        let thread = Builder::new().name("audit-sink".into()).spawn(run);
        let thread = Some(thread.map_err(SinkError::Start)?);
        Ok(Self { counts, journal, wish: Some(wish), ended, thread })
    }

    /// What operators are told of these, in the text format of Prometheus: a function, because it is asked for after
    /// they have moved.
    pub fn metrics(sinks: &[Self]) -> impl Fn(&mut String) + Send + Sync + use<> + 'static {
        let of = |sink: &Self| (Arc::clone(&sink.counts), Arc::clone(&sink.journal));
        let sinks: Vec<_> = sinks.iter().map(of).collect();
        move |text| {
            let last = |journal: &Journal| journal.stats().last_durable;
            let sinks = sinks.iter().map(|(counts, journal)| (&**counts, last(journal)));
            counts::write(text, &sinks.collect::<Vec<_>>());
        }
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

/// What a session works on. It outlives the session.
enum Work {
    Nats(Box<Nats>, Box<Feed>),
    Bucket(Box<Copier>),
}

impl Work {
    fn open(
        target: Target,
        dir: &Path,
        journal: Arc<Journal>,
        counts: Arc<Counts>,
    ) -> Result<Self, SinkError> {
        Ok(match target {
            Target::Nats(nats) => Self::Nats(nats.into(), Feed::open(dir, journal, counts)?.into()),
            Target::Bucket(bucket) => {
                Self::Bucket(Copier::open(bucket, dir, journal, counts)?.into())
            }
        })
    }

    async fn session(
        &mut self,
        counts: &Counts,
        wishes: &mut watch::Receiver<Wish>,
    ) -> Result<(), SinkError> {
        match self {
            Self::Nats(nats, feed) => nats.session(feed, counts, wishes).await,
            Self::Bucket(copier) => copier.session(wishes).await,
        }
    }

    /// The number of the last record that was taken.
    fn reached(&self) -> u64 {
        match self {
            Self::Nats(_, feed) => feed.reached(),
            Self::Bucket(copier) => copier.reached(),
        }
    }

    /// Remembers up to where.
    fn keep(&mut self) -> Result<(), SinkError> {
        match self {
            Self::Nats(_, feed) => feed.keep(),
            // It does so behind each segment.
            Self::Bucket(_) => Ok(()),
        }
    }
}

struct Worker {
    work: Work,
    counts: Arc<Counts>,
    wishes: watch::Receiver<Wish>,
}

impl Worker {
    fn run(mut self) {
        let mut pause = PAUSE.0;
        let mut well = true;
        loop {
            let before = self.work.reached();
            let ended = self.session();
            let Err(error) = ended.and(self.work.keep()) else { return };
            self.counts.failed();
            if self.work.reached() > before {
                (pause, well) = (PAUSE.0, true);
            }
            // Said once, not for each attempt.
            if std::mem::replace(&mut well, false) {
                let (sink, error) = (self.counts.sink, chain(&error));
                tracing::warn!(sink, error, "the audit log is not sent on; it is tried again");
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
        let (work, counts) = (&mut self.work, &self.counts);
        let (mut wishes, mut stop) = (self.wishes.clone(), self.wishes.clone());
        let ended = runtime.block_on(async {
            tokio::select! {
                ended = work.session(counts, &mut wishes) => ended,
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
