//! Where the spans of exchanges go: to an OpenTelemetry collector, by OTLP over HTTP.
//!
//! What ends a span only puts it into a bounded queue. A task of its own takes batches out of it and sends them; what
//! finds no room, or is not taken by the collector, is counted and gone.

mod client;
mod queue;
mod settings;

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::global::BoxedTracer;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanExporter as _};
use proxy_stack::{Metrics, Tracing};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::failure::Failure;
use client::Client;
use queue::{Exporting, Queue};

pub(crate) use settings::{Export, Traces, TracesFile};

/// What the collector calls us, unless the environment says otherwise.
const SERVICE: &str = "portcullis";
/// How long the last spans may take to be sent when the server stops.
const LAST: Duration = Duration::from_secs(5);

/// Spans on their way out. Dropped, it sends no more.
pub(crate) struct Exports {
    task: JoinSet<()>,
    stop: oneshot::Sender<()>,
}

impl Traces {
    /// Begins to export; the stack makes its spans by what comes first. To be called on the runtime.
    pub(crate) fn start(
        &self,
        instance: &str,
        metrics: &Arc<Metrics>,
    ) -> Result<(Tracing, Option<Exports>), Failure> {
        let Some(export) = &self.export else {
            return Ok((Tracing::off(self.trust_callers), None));
        };
        let resource = resource(instance);
        let mut exporter = export.exporter()?;
        exporter.set_resource(&resource);
        let (queue, spans) = Queue::new(export.queue, Arc::clone(metrics));
        let provider =
            SdkTracerProvider::builder().with_span_processor(queue).with_resource(resource).build();
        let version = env!("CARGO_PKG_VERSION");
        let scope = InstrumentationScope::builder(SERVICE).with_version(version).build();
        let tracer = BoxedTracer::new(Box::new(provider.tracer_with_scope(scope)));
        let exporting = Exporting::new(spans, exporter, export, Arc::clone(metrics));
        let (stop, stopped) = oneshot::channel();
        let mut task = JoinSet::new();
        task.spawn(exporting.run(stopped));
        let tracing = Tracing::new(tracer, export.conventions, self.trust_callers);
        Ok((tracing, Some(Exports { task, stop })))
    }
}

impl Exports {
    /// Sends what is queued, within bounds.
    pub(crate) async fn finish(mut self) {
        // An error means that the task has ended.
        let _ended = self.stop.send(());
        if tokio::time::timeout(LAST, self.task.join_next()).await.is_err() {
            tracing::warn!(
                "the last spans of traces were not sent: the collector does not take them"
            );
        }
    }
}

impl Export {
    /// What sends batches of spans.
    pub(crate) fn exporter(&self) -> Result<SpanExporter, Failure> {
        let client = Client::new(&self.tls, &self.endpoint, self.timeout)?;
        SpanExporter::builder()
            .with_http()
            .with_http_client(client)
            .with_endpoint(&self.endpoint)
            .with_timeout(self.timeout)
            .build()
            .map_err(|error| Failure::environment("traces cannot be exported", &error))
    }

    /// Sends a batch without spans: whether the collector takes anything at all.
    pub(crate) async fn probe(&self) -> Result<(), Failure> {
        let sent = self.exporter()?.export(Vec::new()).await;
        sent.map_err(|error| {
            Failure::environment(format!("{} takes no traces", self.endpoint), &error)
        })
    }
}

/// Who we are: as `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` say, and what they leave open.
fn resource(instance: &str) -> Resource {
    let said = Resource::builder().build();
    let own = [
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("service.instance.id", instance.to_owned()),
    ];
    let open = own.into_iter().filter(|own| said.get_ref(&own.key).is_none());
    let named = said.get(&"service.name".into()).map(|name| name.to_string());
    let builder = Resource::builder().with_attributes(open.collect::<Vec<_>>());
    match named {
        // What the library says for want of a name.
        Some(name) if !name.starts_with("unknown_service") => builder.build(),
        _ => builder.with_service_name(SERVICE).build(),
    }
}
