//! A connection in HTTP/1.1 while somebody asks.
//!
//! The library keeps 8 KiB for what it reads and 8 KiB for what it writes, for as long as it has a connection. Most
//! connections are idle most of the time, so it gets them for as long as they are used, and a moment longer.

use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::body::{Body, Incoming};
use hyper::rt::{Read, Write};
use hyper::server::conn::http1::{Connection, Parts};
use hyper::service::HttpService;
use tokio::time::{Sleep, sleep};
use tokio_util::sync::CancellationToken;

use crate::Early;
use crate::progress::Progress;

/// How long nobody has asked when the library is done without. Short, because of those who come all at once; who asks more
/// often pays for a timer.
const REST_TIME: Duration = Duration::from_millis(100);

/// What is left when the library has no more to do.
pub(crate) struct Asked<I, S> {
    pub(crate) io: I,
    pub(crate) service: S,
    /// Whether the connection is idle, rather than over.
    pub(crate) idle: bool,
}

/// Serves a connection until it is idle or over; at a stop, until what is under way is answered.
pub(crate) async fn until_idle<I, S, B>(
    mut connection: Connection<I, S>,
    progress: &Progress,
    stop: &CancellationToken,
) -> Result<Asked<I, S>, hyper::Error>
where
    I: Read + Write + Unpin,
    S: HttpService<Incoming, ResBody = B> + Unpin,
    S::Future: Unpin,
    S::Error: Into<Early>,
    B: Body + 'static,
    B::Error: Into<Early>,
{
    let (mut stopped, mut stopping, mut idle) = (pin!(stop.cancelled()), false, false);
    let mut quiet = Quiet { progress, since: None };
    std::future::poll_fn(|context| {
        loop {
            // Before anything is asked of it: a head that it has not seen would be lost.
            if let Poll::Ready(ended) = Pin::new(&mut connection).poll(context) {
                return Poll::Ready(ended);
            }
            if !stopping && stopped.as_mut().poll(context).is_ready() {
                stopping = true;
            } else {
                ready!(quiet.poll(context));
            }
            Pin::new(&mut connection).graceful_shutdown();
            // Whoever is idle is done at once. All that was written has left, so that nothing of it is thrown away.
            if progress.idle().is_some()
                && let ended @ Poll::Ready(_) = connection.poll_without_shutdown(context)
            {
                idle = true;
                return ended;
            }
        }
    })
    .await?;
    let Parts { io, read_buf, service, .. } = connection.into_parts();
    Ok(Asked { io, service, idle: idle && read_buf.is_empty() })
}

/// Waits until nobody has asked for [`REST_TIME`].
struct Quiet<'a> {
    progress: &'a Progress,
    /// How many requests there were, and when it is looked whether there were any since.
    since: Option<(u64, Pin<Box<Sleep>>)>,
}

impl Quiet<'_> {
    /// To be polled after the connection, which alone wakes while somebody asks.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            if self.since.is_none() {
                let requests = self.progress.idle();
                self.since = requests.map(|requests| (requests, Box::pin(sleep(REST_TIME))));
            }
            let Some((requests, time)) = &mut self.since else { return Poll::Pending };
            ready!(time.as_mut().poll(context));
            let is_quiet = self.progress.idle() == Some(*requests);
            self.since = None;
            if is_quiet {
                return Poll::Ready(());
            }
        }
    }
}
