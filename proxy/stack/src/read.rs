//! From HTTP to a request that was read: the route, the headers, the body, the dialect.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use classifiers_core::Passage;
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Request, Version, header};
use http_body::Body;
use http_body_util::BodyExt;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use policies::Policy;
use proxy_audit::{Outcome, ReadSummary};
use proxy_dialects::{Inquiry, shields};
use tower::{Layer, Service, ServiceExt};

use crate::arrival::{Caller, RequestBody, Shown};
use crate::denial::Denial;
use crate::headers as names;
use crate::record::{Entry, Exchange};
use crate::reply::Reply;
use crate::respond::mode;
use crate::routes::{HARMLESS, Posture, route};
use crate::{HttpFault, KeyNames, Limits, OwnUpstream};

/// A request that was read, with what else goes on with it.
pub(crate) struct Asked {
    pub(crate) request: proxy_dialects::Request,
    pub(crate) passed: PassedHeaders,
    /// The policy as it applies to this request.
    pub(crate) policy: Policy,
    /// The language that the caller prefers, as a tag.
    pub(crate) language: Option<String>,
    pub(crate) entry: Entry,
}

/// A question about the model server's models.
pub(crate) struct Lookup {
    /// About one of them; otherwise about all.
    pub(crate) id: Option<String>,
    pub(crate) passed: PassedHeaders,
    pub(crate) entry: Entry,
}

/// A question about texts.
pub(crate) struct Inquired {
    pub(crate) inquiry: Inquiry,
    /// The policy as it applies to this request.
    pub(crate) policy: Policy,
    /// The language that the caller prefers, as a tag.
    pub(crate) language: Option<String>,
    pub(crate) entry: Entry,
}

/// The few headers of the caller that the upstream gets, and which upstream. All others stop here.
#[derive(Clone, Debug, Default)]
pub(crate) struct PassedHeaders {
    /// In place of the one that is configured.
    pub(crate) own_upstream: Option<OwnUpstream>,
    pub(crate) authorization: Option<HeaderValue>,
    pub(crate) api_key: Option<HeaderValue>,
    pub(crate) anthropic_version: Option<HeaderValue>,
    pub(crate) traceparent: Option<HeaderValue>,
    pub(crate) tracestate: Option<HeaderValue>,
}

impl PassedHeaders {
    fn of(request: &Request<RequestBody>) -> Self {
        let get = |name| request.headers().get(name).cloned();
        Self {
            own_upstream: request.extensions().get().cloned(),
            authorization: get(header::AUTHORIZATION),
            api_key: get(names::API_KEY),
            anthropic_version: get(names::ANTHROPIC_VERSION),
            traceparent: get(names::TRACEPARENT),
            tracestate: get(names::TRACESTATE),
        }
    }
}

/// Who asks.
#[derive(Clone, Copy)]
struct Who<'a> {
    /// The fingerprint of a key, or of whom a token proves.
    key: Option<&'a str>,
    /// What the operator calls them.
    name: Option<&'a str>,
}

/// Reads requests; whatever cannot be read completely goes no further.
#[derive(Clone, Debug)]
pub(crate) struct ReadLayer {
    limits: Limits,
    keys: KeyNames,
}

impl ReadLayer {
    /// Reads within `limits`; keys that have a name are called by it.
    pub(crate) const fn new(limits: Limits, keys: KeyNames) -> Self {
        Self { limits, keys }
    }
}

impl ReadLayer {
    /// What applies to this request today.
    fn policy(
        &self,
        policy: &Policy,
        who: Who<'_>,
        head: &http::request::Parts,
        model: Option<&str>,
    ) -> Policy {
        let header = |name: &str| {
            let mut values = head.headers.get_all(name).iter();
            let value = values.next()?.to_str().ok()?.to_owned();
            // What is said twice is not said clearly.
            values.next().is_none().then_some(value)
        };
        let facts = policies::Request {
            key: who.name.or(who.key),
            model,
            path: Some(head.uri.path()),
            header: &header,
        };
        let today = Timestamp::now().to_zoned(TimeZone::UTC).date();
        policy.for_request(&facts, Some(today))
    }

    fn who<'a>(&'a self, caller: &'a Caller, shown: Option<&'a Shown>) -> Who<'a> {
        Who { key: caller.key(), name: self.keys.name(caller, shown) }
    }

    fn note_policy(&self, entry: &Entry, policy: &Policy) {
        let other = (policy.profile() != Policy::BASE).then(|| policy.profile().to_owned().into());
        entry.note(|closed| {
            closed.profile = other;
            closed.mode = mode(policy.mode());
        });
    }
}

impl<S> Layer<S> for ReadLayer {
    type Service = Read<S>;

    fn layer(&self, inner: S) -> Read<S> {
        Read { inner, layer: self.clone() }
    }
}

/// The service of [`ReadLayer`]. Always ready: the service inside is called only once the request was read.
#[derive(Clone, Debug)]
pub(crate) struct Read<S> {
    inner: S,
    layer: ReadLayer,
}

impl<S> Service<Exchange> for Read<S>
where
    S: Service<Asked, Response = Reply, Error = Denial>
        + Service<Lookup, Response = Reply, Error = Denial>
        + Service<Inquired, Response = Reply, Error = Denial>
        + Clone
        + Send
        + 'static,
    <S as Service<Asked>>::Future: Send,
    <S as Service<Lookup>>::Future: Send,
    <S as Service<Inquired>>::Future: Send,
{
    type Response = Reply;
    type Error = Denial;
    // Boxed: reading a body and then calling on is a sequence of waits.
    type Future = Pin<Box<dyn Future<Output = Result<Reply, Denial>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Denial>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, exchange: Exchange) -> Self::Future {
        let (inner, layer) = (self.inner.clone(), self.layer.clone());
        Box::pin(async move {
            let Exchange { request, fault, entry, caller, shown, in_force } = exchange;
            if let Some(fault) = fault {
                return Err(fault.into());
            }
            let who = layer.who(&caller, shown.as_ref());
            let posture = route(request.method(), request.uri(), layer.limits.checks)?;
            check_head(&request)?;
            let passed = PassedHeaders::of(&request);
            match posture {
                Posture::Harmless { id } => {
                    check_empty(request.body())?;
                    inner.oneshot(Lookup { id, passed, entry }).await
                }
                Posture::Guarded(dialect) => {
                    check_media(request.headers())?;
                    let (head, body) = request.into_parts();
                    let body = read_body(body, layer.limits).await?;
                    let request = dialect.read_request(&body).map_err(Denial::Malformed)?;
                    note(&entry, request.passages(), Some(request.model()));
                    entry.note(|closed| closed.stream = request.is_stream());
                    let model = Some(request.model());
                    let policy = layer.policy(&in_force.policy, who, &head, model);
                    layer.note_policy(&entry, &policy);
                    let language = language(&head.headers);
                    inner.oneshot(Asked { request, passed, policy, language, entry }).await
                }
                Posture::Checked(contract) => {
                    check_media(request.headers())?;
                    let (head, body) = request.into_parts();
                    let body = read_body(body, layer.limits).await?;
                    let inquiry = contract.read(&body).map_err(Denial::Malformed)?;
                    note(&entry, inquiry.passages(), inquiry.model());
                    let policy = layer.policy(&in_force.policy, who, &head, inquiry.model());
                    layer.note_policy(&entry, &policy);
                    let language = language(&head.headers);
                    inner.oneshot(Inquired { inquiry, policy, language, entry }).await
                }
                Posture::Shields(which) => {
                    check_empty(request.body())?;
                    entry.note(|closed| closed.reason = Some(HARMLESS.into()));
                    let list = shields(which, in_force.policy.label());
                    Ok(Reply::json(list, Outcome::Allowed))
                }
            }
        })
    }
}

fn note(entry: &Entry, passages: &[Passage], model: Option<&str>) {
    let read = ReadSummary {
        passages: u32::try_from(passages.len()).unwrap_or(u32::MAX),
        bytes: passages.iter().map(|passage| passage.text.len() as u64).sum(),
    };
    entry.note(|closed| {
        closed.read = read;
        closed.model = model.map(|model| model.to_owned().into());
    });
}

/// Refuses what two HTTP implementations could understand differently. How an HTTP/1.1 message is delimited was
/// checked before: the library hides it.
fn check_head(request: &Request<RequestBody>) -> Result<(), Denial> {
    let (uri, headers) = (request.uri(), request.headers());
    let host = single(headers, header::HOST);
    if request.version() <= Version::HTTP_11 {
        if uri.authority().is_some() {
            return Err(Denial::BadHttp("the request target must be a path"));
        }
        if request.version() == Version::HTTP_11 && host.is_none() {
            return Err(Denial::BadHttp("there must be exactly one Host header"));
        }
    } else if headers.contains_key(header::HOST) && host != uri.authority().map(Authority::as_str) {
        return Err(Denial::BadHttp("the Host header contradicts the authority"));
    }
    if headers.contains_key(header::UPGRADE) {
        return Err(Denial::BadHttp("the connection cannot be upgraded"));
    }
    if headers.contains_key(header::AUTHORIZATION) && headers.contains_key(names::API_KEY) {
        // It would be counted by one key and served by the other.
        return Err(Denial::BadHttp("there must be one key, in Authorization or in x-api-key"));
    }
    Ok(())
}

/// Refuses bodies that are not JSON as it stands.
fn check_media(headers: &HeaderMap) -> Result<(), Denial> {
    let json = single(headers, header::CONTENT_TYPE).is_some_and(is_json);
    if !json {
        return Err(Denial::UnsupportedMedia("the content type must be application/json in UTF-8"));
    }
    match single(headers, header::CONTENT_ENCODING) {
        None if !headers.contains_key(header::CONTENT_ENCODING) => Ok(()),
        Some("identity") => Ok(()),
        _ => Err(Denial::UnsupportedMedia("the body must not be compressed")),
    }
}

/// The value of a header that is there exactly once, if it is text.
fn single(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

fn is_json(content_type: &str) -> bool {
    let mut parts = content_type.split(';').map(str::trim);
    parts.next().is_some_and(|media| media.eq_ignore_ascii_case("application/json"))
        && parts.all(|parameter| {
            parameter.eq_ignore_ascii_case("charset=utf-8")
                || parameter.eq_ignore_ascii_case("charset=\"utf-8\"")
        })
}

fn check_empty(body: &RequestBody) -> Result<(), Denial> {
    if body.is_end_stream() {
        return Ok(());
    }
    Err(Denial::BadHttp("this route takes no body"))
}

async fn read_body(body: RequestBody, limits: Limits) -> Result<Bytes, Denial> {
    tokio::time::timeout(limits.request_time, collect(body, limits.request_bytes))
        .await
        .map_err(|_| Denial::TooSlow)?
}

async fn collect(mut body: RequestBody, limit: usize) -> Result<Bytes, Denial> {
    let announced = body.size_hint().lower();
    if announced > limit as u64 {
        return Err(Denial::TooLarge(limit));
    }
    let mut bytes = BytesMut::with_capacity(usize::try_from(announced).unwrap_or_default());
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| broken(&*error))?;
        let Ok(data) = frame.into_data() else {
            return Err(Denial::BadHttp("the body must not have trailers"));
        };
        if bytes.len() + data.len() > limit {
            return Err(Denial::TooLarge(limit));
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes.freeze())
}

/// Why a body ended early: the listener knows, or the client did not send all of it.
fn broken(error: &(dyn std::error::Error + 'static)) -> Denial {
    let mut causes = std::iter::successors(Some(error), |error| error.source());
    let fault = causes.find_map(|cause| {
        let inner = cause.downcast_ref::<std::io::Error>()?.get_ref()?;
        inner.downcast_ref::<HttpFault>().copied()
    });
    fault.map_or(Denial::BadHttp("the request body is incomplete"), Denial::from)
}

/// The first language of `Accept-Language`, if it looks like a tag.
fn language(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::ACCEPT_LANGUAGE)?.to_str().ok()?;
    let tag = value.split([',', ';']).next()?.trim();
    let plain = tag.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    (plain && (2..=35).contains(&tag.len())).then(|| tag.to_owned())
}
