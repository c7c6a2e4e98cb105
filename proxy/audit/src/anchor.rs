//! Noting checkpoints elsewhere: each is appended, once its record is durable, as a line to a file that somebody else keeps.

use std::io;
use std::mem;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Builder, JoinHandle, Thread};
use std::time::{Duration, Instant};

use crate::checkpoint::Anchor;
use crate::disk::{self, Disk};
use crate::queue::Shared;
use crate::receipt::Receipt;

/// Checkpoints on their way, each with the receipt of its record.
pub(crate) type Anchors = Sender<(Anchor, Receipt)>;

/// How long the end of the process waits for the last note: what is elsewhere may not answer any more.
const LAST_NOTE: Duration = Duration::from_secs(5);
/// How often it is looked whether it is written.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// Starts the thread that appends to `file`. It ends when the sender is dropped.
pub(crate) fn start(
    file: PathBuf,
    disk: &Arc<dyn Disk>,
    shared: &Arc<Shared>,
) -> io::Result<(Anchors, JoinHandle<()>)> {
    // A file that cannot be written is a mistake that is better known at the start.
    drop(disk.elsewhere(&file)?);
    let (sender, receiver) = channel();
    let (disk, shared) = (Arc::clone(disk), Arc::clone(shared));
    let run = move || run((&file, &*disk), &receiver, &shared);
    Ok((sender, Builder::new().name("audit-anchor".into()).spawn(run)?))
}

/// Waits until the thread has ended, for some time.
pub(crate) fn finish(thread: JoinHandle<()>) {
    let until = Instant::now() + LAST_NOTE;
    while !thread.is_finished() {
        if Instant::now() >= until {
            tracing::error!(
                "the last checkpoint may not be noted elsewhere: its file does not answer"
            );
            return;
        }
        thread::sleep(LOOK_EVERY);
    }
    drop(thread.join());
}

fn run((file, disk): (&Path, &dyn Disk), anchors: &Receiver<(Anchor, Receipt)>, shared: &Shared) {
    let mut well = true;
    while let Ok((anchor, mut receipt)) = anchors.recv() {
        // What a power cut may take back must not be noted.
        if wait(receipt.durable()).is_err() {
            continue;
        }
        let noted = append((file, disk), &anchor);
        shared.counters.anchored(noted.is_ok());
        let was_well = mem::replace(&mut well, noted.is_ok());
        match noted {
            Err(error) if was_well => {
                let file = file.display();
                tracing::error!(%error, %file, "checkpoints cannot be noted elsewhere: a log that is cut or put back from here on does not show");
            }
            Ok(()) if !was_well => tracing::info!("checkpoints are noted elsewhere again"),
            _ => {}
        }
    }
}

/// Opened each time: the file may be moved away by whoever keeps it.
fn append((file, disk): (&Path, &dyn Disk), anchor: &Anchor) -> io::Result<()> {
    let (file, is_finished) = disk.elsewhere(file)?;
    // A full disk may have cut the note before this one. Both on one line would be neither.
    let end = if is_finished { "" } else { "\n" };
    disk::write_all(&*file, format!("{end}{anchor}\n").as_bytes())?;
    file.sync()
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
