//! Noting checkpoints elsewhere: each is appended, once its record is durable, as a line to a file that somebody else keeps.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Builder, JoinHandle, Thread};

use crate::checkpoint::Anchor;
use crate::queue::Shared;
use crate::receipt::Receipt;

/// Checkpoints on their way, each with the receipt of its record.
pub(crate) type Anchors = Sender<(Anchor, Receipt)>;

/// Starts the thread that appends to `file`. It ends when the sender is dropped.
pub(crate) fn start(file: PathBuf, shared: &Arc<Shared>) -> io::Result<(Anchors, JoinHandle<()>)> {
    // A file that cannot be written is a mistake that is better known at the start.
    drop(open(&file)?);
    let (sender, receiver) = channel();
    let shared = Arc::clone(shared);
    let run = move || run(&file, &receiver, &shared);
    Ok((sender, Builder::new().name("audit-anchor".into()).spawn(run)?))
}

fn run(file: &Path, anchors: &Receiver<(Anchor, Receipt)>, shared: &Shared) {
    while let Ok((anchor, mut receipt)) = anchors.recv() {
        // What a power cut may take back must not be noted.
        if wait(receipt.durable()).is_ok() {
            shared.counters.anchored(append(file, &anchor).is_ok());
        }
    }
}

fn open(file: &Path) -> io::Result<std::fs::File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(file)
}

/// Opened each time: the file may be moved away by whoever keeps it.
fn append(file: &Path, anchor: &Anchor) -> io::Result<()> {
    let mut file = open(file)?;
    file.write_all(format!("{anchor}\n").as_bytes())?;
    file.sync_data()
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for one future on this thread.
fn wait<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}
