//! The queue between what ends spans and what sends them.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanExporter as _, SpanProcessor};
use proxy_stack::Metrics;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::Export;

/// Between two looks at the queue. With room for 2048 spans, 40,000 a second find some.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Takes spans that have ended, and never waits: what finds no room is counted and gone.
#[derive(Debug)]
pub(super) struct Queue {
    spans: mpsc::Sender<SpanData>,
    metrics: Arc<Metrics>,
}

impl Queue {
    /// Room for so many spans, and where they come out.
    pub(super) fn new(room: usize, metrics: Arc<Metrics>) -> (Self, mpsc::Receiver<SpanData>) {
        let (spans, out) = mpsc::channel(room);
        (Self { spans, metrics }, out)
    }
}

impl SpanProcessor for Queue {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        if span.span_context.is_sampled() && self.spans.try_send(span).is_err() {
            self.metrics.spans().dropped(1);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    /// Whoever sends the spans is told by other means.
    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// Sends batches of spans, one at a time.
pub(super) struct Exporting {
    spans: mpsc::Receiver<SpanData>,
    exporter: SpanExporter,
    metrics: Arc<Metrics>,
    /// Spans at a time.
    batch: usize,
    /// How long a span waits for others.
    every: Duration,
    /// How long a batch may take, attempts and pauses included.
    patience: Duration,
    /// Whether the last batch was taken.
    well: bool,
}

impl Exporting {
    pub(super) fn new(
        spans: mpsc::Receiver<SpanData>,
        exporter: SpanExporter,
        export: &Export,
        metrics: Arc<Metrics>,
    ) -> Self {
        let Export { batch, every, patience, .. } = *export;
        Self { spans, exporter, metrics, batch, every, patience, well: true }
    }

    /// Sends until `stopped`, and then what is left. Looks at the queue now and then instead of waiting for it: so whoever
    /// ends a span wakes nobody.
    pub(super) async fn run(mut self, mut stopped: oneshot::Receiver<()>) {
        let mut look = interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut sent = Instant::now();
        loop {
            let last = tokio::select! {
                _ = look.tick() => false,
                _ = &mut stopped => true,
            };
            if last {
                self.spans.close();
            }
            let mut due = last || sent.elapsed() >= self.every;
            if due {
                sent = Instant::now();
            }
            while self.spans.len() >= self.batch || (due && !self.spans.is_empty()) {
                let batch = self.take();
                self.send(batch).await;
                due = last;
            }
            if last {
                return;
            }
        }
    }

    fn take(&mut self) -> Vec<SpanData> {
        let room = self.batch.min(self.spans.len());
        let mut batch = Vec::with_capacity(room);
        batch.extend(std::iter::from_fn(|| self.spans.try_recv().ok()).take(room));
        batch
    }

    async fn send(&mut self, batch: Vec<SpanData>) {
        let spans = batch.len();
        let sent = timeout(self.patience, self.exporter.export(batch)).await;
        let failed = match sent {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some("the collector did not answer in time".to_owned()),
        };
        match &failed {
            None => self.metrics.spans().exported(spans),
            Some(_) => self.metrics.spans().failed(spans),
        }
        // Said once, not for each batch.
        match &failed {
            Some(why) if self.well => tracing::warn!(%why, "spans of traces are not taken"),
            None if !self.well => tracing::info!("spans of traces are taken again"),
            _ => {}
        }
        self.well = failed.is_none();
    }
}
