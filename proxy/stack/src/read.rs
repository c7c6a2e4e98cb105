//! From HTTP to a request that was read: the route, the headers, the body, the dialect.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Method, Request, Version, header};
use http_body_util::BodyExt;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use policies::Policy;
use proxy_audit::ReadSummary;
use proxy_dialects::Dialect;
use tower::{Layer, Service, ServiceExt};

use crate::arrival::{Caller, RequestBody};
use crate::denial::Denial;
use crate::headers as names;
use crate::record::{Entry, Exchange};
use crate::reply::Reply;
use crate::respond::mode;
use crate::{KeyNames, Limits};

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

/// The few headers of the caller that the upstream gets. All others stop here.
#[derive(Clone, Debug, Default)]
pub(crate) struct PassedHeaders {
    pub(crate) authorization: Option<HeaderValue>,
    pub(crate) api_key: Option<HeaderValue>,
    pub(crate) anthropic_version: Option<HeaderValue>,
    pub(crate) traceparent: Option<HeaderValue>,
    pub(crate) tracestate: Option<HeaderValue>,
}

impl PassedHeaders {
    fn of(headers: &HeaderMap) -> Self {
        let get = |name| headers.get(name).cloned();
        Self {
            authorization: get(header::AUTHORIZATION),
            api_key: get(names::API_KEY),
            anthropic_version: get(names::ANTHROPIC_VERSION),
            traceparent: get(names::TRACEPARENT),
            tracestate: get(names::TRACESTATE),
        }
    }
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
        caller: &Caller,
        head: &http::request::Parts,
        request: &proxy_dialects::Request,
    ) -> Policy {
        let header = |name: &str| {
            let mut values = head.headers.get_all(name).iter();
            let value = values.next()?.to_str().ok()?.to_owned();
            // What is said twice is not said clearly.
            values.next().is_none().then_some(value)
        };
        let facts = policies::Request {
            key: self.keys.name(caller.key()),
            model: Some(request.model()),
            path: Some(head.uri.path()),
            header: &header,
        };
        let today = Timestamp::now().to_zoned(TimeZone::UTC).date();
        policy.for_request(&facts, Some(today))
    }

    fn note_policy(&self, entry: &Entry, caller: &Caller, policy: &Policy) {
        let named = caller.key().filter(|key| self.keys.name(Some(key)) != Some(key));
        let name =
            named.and_then(|key| self.keys.name(Some(key))).map(|name| name.to_owned().into());
        let other = (policy.profile() != Policy::BASE).then(|| policy.profile().to_owned().into());
        entry.note(|closed| {
            closed.key_name = name;
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
    S: Service<Asked, Response = Reply, Error = Denial> + Clone + Send + 'static,
    S::Future: Send,
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
            let Exchange { request, entry, caller, in_force } = exchange;
            let dialect = check_head(&request)?;
            let (head, body) = request.into_parts();
            let body = read_body(body, layer.limits).await?;
            let request = dialect.read_request(&body).map_err(Denial::Malformed)?;
            note(&entry, &request);
            let policy = layer.policy(&in_force.policy, &caller, &head, &request);
            layer.note_policy(&entry, &caller, &policy);
            let passed = PassedHeaders::of(&head.headers);
            let language = language(&head.headers);
            inner.oneshot(Asked { request, passed, policy, language, entry }).await
        })
    }
}

fn note(entry: &Entry, request: &proxy_dialects::Request) {
    let passages = request.passages();
    let read = ReadSummary {
        passages: u32::try_from(passages.len()).unwrap_or(u32::MAX),
        bytes: passages.iter().map(|passage| passage.text.len() as u64).sum(),
    };
    entry.note(|closed| {
        closed.read = read;
        closed.stream = request.is_stream();
        closed.model = Some(request.model().to_owned().into());
    });
}

/// Refuses what two HTTP implementations could understand differently, and whatever is not listed. Routes are
/// compared with the raw path.
fn check_head(request: &Request<RequestBody>) -> Result<Dialect, Denial> {
    let (uri, headers) = (request.uri(), request.headers());
    let dialect = Dialect::at(uri.path()).ok_or(Denial::UnknownRoute)?;
    if *request.method() != Method::POST {
        return Err(Denial::MethodNotAllowed);
    }
    if uri.query().is_some() {
        return Err(Denial::BadHttp("this route takes no query"));
    }
    if request.version() <= Version::HTTP_11 {
        check_http1(request)?;
    }
    if headers.contains_key(header::AUTHORIZATION) && headers.contains_key(names::API_KEY) {
        // It would be counted by one key and served by the other.
        return Err(Denial::BadHttp("there must be one key, in Authorization or in x-api-key"));
    }
    let json = single(headers, header::CONTENT_TYPE).is_some_and(is_json);
    if !json {
        return Err(Denial::UnsupportedMedia("the content type must be application/json in UTF-8"));
    }
    match single(headers, header::CONTENT_ENCODING) {
        None if !headers.contains_key(header::CONTENT_ENCODING) => Ok(dialect),
        Some("identity") => Ok(dialect),
        _ => Err(Denial::UnsupportedMedia("the body must not be compressed")),
    }
}

fn check_http1(request: &Request<RequestBody>) -> Result<(), Denial> {
    let (uri, headers) = (request.uri(), request.headers());
    if uri.authority().is_some() {
        return Err(Denial::BadHttp("the request target must be a path"));
    }
    if request.version() == Version::HTTP_11 && single(headers, header::HOST).is_none() {
        return Err(Denial::BadHttp("there must be exactly one Host header"));
    }
    if headers.contains_key(header::UPGRADE) {
        return Err(Denial::BadHttp("the connection cannot be upgraded"));
    }
    if headers.contains_key(header::TRANSFER_ENCODING) {
        let chunked =
            single(headers, header::TRANSFER_ENCODING).is_some_and(|value| value == "chunked");
        if !chunked || headers.contains_key(header::CONTENT_LENGTH) {
            return Err(Denial::BadHttp("the length of the body is ambiguous"));
        }
    }
    if headers.get_all(header::CONTENT_LENGTH).iter().count() > 1 {
        return Err(Denial::BadHttp("the length of the body is ambiguous"));
    }
    Ok(())
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

async fn read_body(body: RequestBody, limits: Limits) -> Result<Bytes, Denial> {
    tokio::time::timeout(limits.request_time, collect(body, limits.request_bytes))
        .await
        .map_err(|_| Denial::TooSlow)?
}

async fn collect(mut body: RequestBody, limit: usize) -> Result<Bytes, Denial> {
    let announced = http_body::Body::size_hint(&body).lower();
    if announced > limit as u64 {
        return Err(Denial::TooLarge(limit));
    }
    let mut bytes = BytesMut::with_capacity(usize::try_from(announced).unwrap_or_default());
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Denial::BadHttp("the request body is incomplete"))?;
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.len() > limit {
            return Err(Denial::TooLarge(limit));
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes.freeze())
}

/// The first language of `Accept-Language`, if it looks like a tag.
fn language(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::ACCEPT_LANGUAGE)?.to_str().ok()?;
    let tag = value.split([',', ';']).next()?.trim();
    let plain = tag.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    (plain && (2..=35).contains(&tag.len())).then(|| tag.to_owned())
}
