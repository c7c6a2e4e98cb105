//! Keeping the index up with a log that grows.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use crate::index::Index;

/// How often the log is looked at: a decision is in lists within that time.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// After a failure the log is looked at less often.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// A thread that takes in new records until this is dropped.
#[derive(Debug)]
pub struct Following {
    thread: Option<JoinHandle<()>>,
    stop: Option<Sender<()>>,
}

impl Following {
    /// Keeps `index` up with its log. What goes wrong is shown to `failed`, once for each time it begins; lines that are
    /// no sound records too.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub fn start(
        index: Arc<Index>,
        failed: impl Fn(&crate::IndexError) + Send + 'static,
    ) -> std::io::Result<Self> {
        let (stop, stopped) = channel();
        let run = move || run(&index, &stopped, &failed);
        let thread = Builder::new().name("audit-index".into()).spawn(run)?;
        Ok(Self { thread: Some(thread), stop: Some(stop) })
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn run(index: &Index, stopped: &Receiver<()>, failed: &dyn Fn(&crate::IndexError)) {
    let mut well = true;
    let mut known = None;
    loop {
        let read = index.catch_up(|_| {}).and_then(|_| index.unsound());
        let wait = match read {
            Ok(unsound) => {
                if let Some(news) = unsound.as_ref().filter(|_| unsound != known) {
                    failed(&news.clone().into());
                }
                (well, known) = (true, unsound);
                LOOK_EVERY
            }
            Err(error) => {
                if std::mem::replace(&mut well, false) {
                    failed(&error);
                }
                LOOK_AGAIN
            }
        };
        match stopped.recv_timeout(wait) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}
