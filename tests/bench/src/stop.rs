//! Ctrl-C and SIGTERM: noticed between two steps, so that children are ended on the ordinary way out.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::failure::Failure;

/// Whether somebody wants the benchmark to end.
#[derive(Clone, Debug)]
pub(crate) struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Takes over SIGINT and SIGTERM of this process.
    pub(crate) fn on_signals() -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()
            .map_err(Failure::io("cannot start the runtime for signals"))?;
        let (mut interrupt, mut terminate) = {
            let _inside = runtime.enter();
            (handler(SignalKind::interrupt())?, handler(SignalKind::terminate())?)
        };
        let stop = Self(Arc::default());
        let asked = stop.clone();
        // Ends with the process: it owns nothing.
        std::thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
            });
            asked.0.store(true, Ordering::Relaxed);
        });
        Ok(stop)
    }

    /// # Errors
    /// When somebody wants the benchmark to end.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        if self.0.load(Ordering::Relaxed) { Err(Failure::Stopped) } else { Ok(()) }
    }

    /// Waits for `time`, in steps.
    pub(crate) fn sleep(&self, time: Duration) -> Result<(), Failure> {
        const STEP: Duration = Duration::from_millis(50);
        let mut left = time;
        while !left.is_zero() {
            self.check()?;
            let step = left.min(STEP);
            std::thread::sleep(step);
            left = left.saturating_sub(step);
        }
        self.check()
    }
}

fn handler(kind: SignalKind) -> Result<Signal, Failure> {
    signal(kind).map_err(Failure::io("cannot handle signals"))
}
