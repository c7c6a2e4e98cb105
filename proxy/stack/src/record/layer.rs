//! Opens the record of every request, and lets a reply leave only when it is closed and durable.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{Stream, StreamExt, unfold};
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use jiff::Timestamp;
use opentelemetry::trace::TraceId;
use proxy_audit::{Journal, JournalError, Opened, Outcome};
use proxy_dialects::{ApiError, Dialect};
use proxy_identity::Issuers;
use tokio::sync::OwnedSemaphorePermit;
use tower::{Layer, Service};
use uuid::Uuid;

use super::Entry;
use crate::Metrics;
use crate::active::{ActivePolicy, InForce};
use crate::arrival::{Arrival, Caller, HttpFault, RequestBody, Shown, shown};
use crate::cut_off::CutOff;
use crate::headers as names;
use crate::reply::{Content, Ending, Part, Reply, ReplyBody};
use crate::routes::{recorded, spoken};
use crate::trace::Tracing;

/// A request with its open record.
pub(crate) struct Exchange {
    pub(crate) request: http::Request<RequestBody>,
    pub(crate) fault: Option<HttpFault>,
    pub(crate) caller: Caller,
    /// What its token proves, if it shows one.
    pub(crate) shown: Option<Shown>,
    pub(crate) entry: Entry,
    /// What decides, from here to the end.
    pub(crate) in_force: Arc<InForce>,
}

/// Gives every request an id and a record.
#[derive(Clone)]
pub(crate) struct RecordLayer {
    journal: Arc<Journal>,
    instance: Arc<str>,
    policies: Arc<ActivePolicy>,
    metrics: Arc<Metrics>,
    tracing: Tracing,
    issuers: Option<Issuers>,
    cut_off: CutOff,
}

impl RecordLayer {
    /// Records into `journal`, in the name of `instance`, gives every exchange the policy in force and a trace, and counts
    /// how it ends into `metrics`.
    pub(crate) fn new(
        (journal, instance): (Arc<Journal>, Arc<str>),
        policies: Arc<ActivePolicy>,
        metrics: Arc<Metrics>,
        tracing: Tracing,
    ) -> Self {
        let (issuers, cut_off) = (None, CutOff::default());
        Self { journal, instance, policies, metrics, tracing, issuers, cut_off }
    }

    /// The same; who shows a token of `issuers` is recorded as whom it proves.
    pub(crate) fn believing(self, issuers: Option<Issuers>) -> Self {
        Self { issuers, ..self }
    }

    /// The same; what is not over at `cut_off` ends there, and says so to its caller and in its record.
    pub(crate) fn until(self, cut_off: CutOff) -> Self {
        Self { cut_off, ..self }
    }
}

impl<S> Layer<S> for RecordLayer {
    type Service = Record<S>;

    fn layer(&self, inner: S) -> Record<S> {
        Record { inner, layer: self.clone() }
    }
}

/// The service of [`RecordLayer`]; as ready as the one inside.
#[derive(Clone)]
pub(crate) struct Record<S> {
    inner: S,
    layer: RecordLayer,
}

impl<S> Service<Arrival> for Record<S>
where
    S: Service<Exchange, Response = Reply, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<ReplyBody>;
    type Error = Infallible;
    // Boxed: closing the record is a sequence of waits around the inner call.
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut arrival: Arrival) -> Self::Future {
        let headers = arrival.request.headers();
        let shown = self.layer.issuers.as_ref().and_then(|issuers| shown(headers, issuers));
        let caller = match &shown {
            Some(Ok(identity)) => Caller::Key(Arc::clone(&identity.fingerprint)),
            _ => Caller::of(headers, arrival.remote),
        };
        let (trace, trace_id) = self.layer.tracing.begin(&mut arrival.request);
        let opened = self.layer.opened(&arrival, &caller, trace_id);
        let spoken = spoken(arrival.request.uri().path());
        let counted = (&self.layer.metrics, spoken);
        let entry = Entry::open(&self.layer.journal, &opened, counted, trace);
        let in_force = self.layer.policies.load();
        let Arrival { request, fault, .. } = arrival;
        let exchange = Exchange { request, fault, caller, shown, entry: entry.clone(), in_force };
        let (reply, cut_off) = (self.inner.call(exchange), self.layer.cut_off.clone());
        Box::pin(async move {
            tokio::select! {
                biased;
                Ok(reply) = reply => Ok(settle(entry, reply, cut_off).await),
                () = cut_off.reached() => Ok(cut(&entry).await),
            }
        })
    }
}

impl RecordLayer {
    fn opened(&self, arrival: &Arrival, caller: &Caller, trace_id: Option<TraceId>) -> Opened {
        let head = &arrival.request;
        Opened {
            id: Uuid::now_v7(),
            time: Timestamp::now(),
            instance: self.instance.to_string().into(),
            route: recorded(head.uri().path()).into(),
            key: caller.key().map(|key| key.to_owned().into()),
            remote: arrival.remote,
            method: head.method().as_str().to_owned().into(),
            trace_id: trace_id.map(|id| id.to_string().into()),
        }
    }
}

/// Closes the record of a reply, now or when its answer is complete, and only then gives it a body.
async fn settle(entry: Entry, reply: Reply, cut_off: CutOff) -> Response<ReplyBody> {
    let Reply { status, mut headers, content, permit } = reply;
    if let Some(id) = names::id(entry.id()) {
        headers.insert(names::DECISION_ID, id);
    }
    if let Ok(timing) = HeaderValue::from_str(&server_timing(&entry)) {
        headers.insert(names::SERVER_TIMING, timing);
    }
    match content {
        Content::Whole(bytes, outcome) => {
            let released = bytes.len() as u64;
            match entry.close(outcome, status.as_u16(), released).await {
                Ok(()) => respond(status, headers, ReplyBody::whole(bytes, permit)),
                Err(error) => unavailable(&unrecorded(&error), headers, permit),
            }
        }
        Content::Streamed { parts, keep_alive, dialect } => {
            let settling = Settling { entry, status, parts, dialect, released: 0, cut_off };
            let parts = Box::pin(unfold(Some(settling), Settling::next));
            respond(status, headers, ReplyBody::streamed(parts, keep_alive, permit))
        }
    }
}

/// Where the time went, in milliseconds, as browsers' tools show it (W3C Server Timing).
fn server_timing(entry: &Entry) -> String {
    let timing = entry.timing();
    let guard = micros(timing.guard_input) + micros(timing.guard_output);
    let upstream = micros(timing.upstream);
    let (whole, part) = (|us: u64| us / 1_000, |us: u64| us % 1_000);
    format!(
        "guard;dur={}.{:03}, upstream;dur={}.{:03}",
        whole(guard),
        part(guard),
        whole(upstream),
        part(upstream)
    )
}

/// Milliseconds of a record in microseconds.
fn micros(milliseconds: f32) -> u64 {
    (milliseconds * 1_000.0).round() as u64
}

/// A streamed answer whose parts are recorded, each before it leaves.
struct Settling {
    entry: Entry,
    status: StatusCode,
    parts: Pin<Box<dyn Stream<Item = Part> + Send>>,
    dialect: Dialect,
    /// Bytes that have left.
    released: u64,
    cut_off: CutOff,
}

impl Settling {
    /// The next bytes to send, and what comes after them.
    async fn next(settling: Option<Self>) -> Option<(Bytes, Option<Self>)> {
        let mut settling = settling?;
        let (bytes, recorded, last) = match settling.part().await? {
            Part::Some(events, let_go) => {
                let bytes = settling.encode(&events);
                let recorded = match let_go {
                    Some(let_go) => settling.entry.release(let_go).await,
                    None => Ok(()),
                };
                (bytes, recorded, false)
            }
            Part::Last(Ending { events, outcome, reason }) => {
                let bytes = settling.encode(&events);
                if let Some(reason) = reason {
                    settling.entry.note(|closed| closed.reason = Some(reason.into()));
                }
                let status = settling.status.as_u16();
                let closed = settling.entry.close(outcome, status, settling.released).await;
                (bytes, closed, true)
            }
        };
        match recorded {
            Ok(()) => {
                let released = settling.released;
                settling.entry.note(|closed| closed.released_bytes = released);
                Some((bytes, (!last).then_some(settling)))
            }
            Err(error) => {
                let error = settling.dialect.error(&unrecorded(&error));
                Some((settling.dialect.encode_event(&error).into(), None))
            }
        }
    }

    /// What was decided about next, or the end of patience.
    async fn part(&mut self) -> Option<Part> {
        tokio::select! {
            biased;
            part = self.parts.next() => part,
            () = self.cut_off.reached() => {
                let events = vec![self.dialect.error(&stopping())];
                let reason = Some(CutOff::REASON);
                Some(Part::Last(Ending { events, outcome: Outcome::Failed, reason }))
            }
        }
    }

    fn encode(&mut self, events: &[Vec<u8>]) -> Bytes {
        let encoded = events.iter().flat_map(|event| self.dialect.encode_event(event));
        let bytes: Vec<u8> = encoded.collect();
        self.released += bytes.len() as u64;
        bytes.into()
    }
}

fn respond(status: StatusCode, headers: HeaderMap, body: ReplyBody) -> Response<ReplyBody> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// Ends an exchange that has no answer yet.
async fn cut(entry: &Entry) -> Response<ReplyBody> {
    entry.note(|closed| closed.reason = Some(CutOff::REASON.into()));
    let status = StatusCode::SERVICE_UNAVAILABLE;
    let closed = entry.close(Outcome::Failed, status.as_u16(), 0).await;
    let error = closed.map_or_else(|error| unrecorded(&error), |()| stopping());
    let id = names::id(entry.id()).map(|id| (names::DECISION_ID, id));
    unavailable(&error, id.into_iter().collect(), None)
}

/// What callers are told who are not waited for any longer.
fn stopping() -> ApiError {
    let message = "the guard is stopping, and this took longer than it waits";
    ApiError::new("server_error", CutOff::REASON, message)
}

/// An error in the place of an answer with these `headers`.
fn unavailable(
    error: &ApiError,
    headers: HeaderMap,
    permit: Option<OwnedSemaphorePermit>,
) -> Response<ReplyBody> {
    let body = ReplyBody::whole(error.to_bytes().into(), permit);
    respond(StatusCode::SERVICE_UNAVAILABLE, unanswered(headers), body)
}

/// What the client is told when the decision could not be recorded: nothing of the answer.
fn unrecorded(error: &JournalError) -> ApiError {
    tracing::error!(%error, "a decision could not be recorded; its answer is withheld");
    ApiError::new(
        "server_error",
        "audit_unavailable",
        "the decision could not be recorded, so the answer is withheld",
    )
}

/// The head of that error: what names the decision and the policy stays, what described the answer goes.
fn unanswered(reply: HeaderMap) -> HeaderMap {
    let named = [names::DECISION_ID, names::POLICY];
    let kept = reply.into_iter().filter_map(|(name, value)| Some((name?, value)));
    let mut headers: HeaderMap = kept.filter(|(name, _)| named.contains(name)).collect();
    headers.insert(names::DECISION, HeaderValue::from_static("none"));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::RETRY_AFTER, HeaderValue::from(AUDIT_RETRY.as_secs()));
    headers
}

/// A full disk is not mended within a second.
const AUDIT_RETRY: Duration = Duration::from_secs(10);
