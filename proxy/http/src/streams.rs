//! The streams of HTTP/2 connections, which run beside their connection and each other.

use hyper::rt::Executor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Runs streams, and knows when none is left: what an exchange leaves behind is recorded when it is dropped, which must
/// be before the log is closed.
#[derive(Clone, Debug, Default)]
pub struct Streams {
    tasks: TaskTracker,
    end: CancellationToken,
}

impl Streams {
    /// Drops the streams that still run, and waits until they are gone.
    pub async fn end(&self) {
        self.end.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl<F: Future<Output: Send> + Send + 'static> Executor<F> for Streams {
    fn execute(&self, stream: F) {
        let end = self.end.clone();
        self.tasks.spawn(async move {
            end.run_until_cancelled(stream).await;
        });
    }
}
