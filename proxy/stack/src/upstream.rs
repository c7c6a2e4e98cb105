//! The model server. It takes only what was cleared.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, Uri, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::{Connect, HttpConnector};
use hyper_util::client::legacy::{Client, Error as ClientError};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::OwnedSemaphorePermit;
use tower::util::BoxCloneSyncService;
use tower::{Service, ServiceExt};

use proxy_dialects::Dialect;

use crate::circuit::Circuit;
use crate::denial::Denial;
use crate::headers as names;
use crate::read::{Asked, Lookup, PassedHeaders};
use crate::record::Entry;
use crate::trace::Called;
use crate::{Cleared, Limits};

/// How long a connection to the upstream may take to come about.
const CONNECT_TIME: Duration = Duration::from_secs(5);
/// How long an unused connection is kept: shorter than the usual idle timeout of servers (uvicorn's is 5 s, but it
/// closes cleanly; load balancers' is 60 s).
const POOL_IDLE: Duration = Duration::from_secs(50);
/// What every request to the upstream is signed with.
const USER_AGENT: &str = concat!("portcullis/", env!("CARGO_PKG_VERSION"));

/// Where the model server is.
#[derive(Clone, Debug)]
pub struct Target {
    /// Where the requests of each format go.
    routes: Vec<(Dialect, Uri)>,
    models: Uri,
    https: bool,
    authorization: Option<HeaderValue>,
}

/// The upstream's address or key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// Not an absolute `http` or `https` URL.
    #[error("`{0}` is not a URL like http://127.0.0.1:8000 or https://api.example.com/v1")]
    Url(String),
    /// Something that must not be part of the URL.
    #[error("the upstream's URL must not hold a user name, a query or a fragment")]
    Extra,
    /// The key holds characters that a header cannot.
    #[error("the upstream's key holds characters that an HTTP header cannot carry")]
    Key,
    /// The system's certificates cannot be read.
    #[error("the system's certificate authorities cannot be read")]
    Roots(#[source] std::io::Error),
}

impl Target {
    /// The server at `url`: its origin, or its OpenAI base URL ending in `/v1`.
    ///
    /// With a `key`, the upstream gets that one; without, each caller's own `Authorization` is passed on.
    ///
    /// # Errors
    /// When the URL or the key cannot be used.
    pub fn parse(url: &str, key: Option<&str>) -> Result<Self, TargetError> {
        let not_a_url = || TargetError::Url(url.to_owned());
        let uri: Uri = url.trim_end_matches('/').parse().map_err(|_| not_a_url())?;
        let authority = uri.authority().ok_or_else(not_a_url)?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) {
            return Err(not_a_url());
        }
        if authority.as_str().contains('@') || uri.query().is_some() || url.contains('#') {
            return Err(TargetError::Extra);
        }
        let base = match uri.path().trim_end_matches('/') {
            "" => "/v1",
            path => path,
        };
        let https = uri.scheme_str() == Some("https");
        let below = |path: &str| {
            Uri::builder()
                .scheme(if https { "https" } else { "http" })
                .authority(authority.as_str())
                .path_and_query(format!("{base}{path}"))
                .build()
                .map_err(|_| not_a_url())
        };
        let route = |dialect: Dialect| Ok((dialect, below(dialect.path())?));
        let routes = Dialect::ALL.into_iter().map(route).collect::<Result<_, TargetError>>()?;
        let authorization = key.map(bearer).transpose()?;
        Ok(Self { routes, models: below("/models")?, https, authorization })
    }

    fn uri(&self, dialect: Dialect) -> Uri {
        let route = self.routes.iter().find(|(known, _)| *known == dialect);
        route.map(|(_, uri)| uri.clone()).unwrap_or_default()
    }
}

fn bearer(key: &str) -> Result<HeaderValue, TargetError> {
    let mut value =
        HeaderValue::from_str(&format!("Bearer {key}")).map_err(|_| TargetError::Key)?;
    value.set_sensitive(true);
    Ok(value)
}

/// What a model server answers with: over a connection of ours, or brought by whoever called us.
pub type UpstreamBody = Either<Counted, UnsyncBoxBody<Bytes, BoxError>>;

/// An answer that counts as under way until it is over.
#[derive(Debug)]
pub struct Counted {
    body: Incoming,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Body for Counted {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A model server for one exchange, in place of the one that is configured: a gateway that calls the guard passes the
/// cleared request on itself and brings the answer. It travels in the extensions of an [`Arrival`]'s request.
///
/// It gets the credentials that the caller sent, never those that are configured: they are for one origin.
///
/// [`Arrival`]: crate::Arrival
#[derive(Clone, Debug)]
pub struct OwnUpstream(
    pub  BoxCloneSyncService<
        Request<Full<Bytes>>,
        Response<UnsyncBoxBody<Bytes, BoxError>>,
        BoxError,
    >,
);

/// TCP, with TLS where the URL asks for it.
pub type Network = HttpsConnector<HttpConnector>;

/// A pooled client of one model server, reached through connections of `C`. Redirects are not followed and nothing is
/// decompressed: what was judged is what is sent, and what is read is what came.
#[derive(Debug)]
pub struct Upstream<C = Network> {
    /// Shared as a whole: a copy is made for every request.
    shared: Arc<Shared<C>>,
}

impl<C> Clone for Upstream<C> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

#[derive(Debug)]
struct Shared<C> {
    client: Client<C, Full<Bytes>>,
    target: Target,
    /// Sent in place of each caller's own.
    authorization: ArcSwapOption<HeaderValue>,
    circuit: Circuit,
    time: Duration,
}

impl Upstream {
    /// A client of `target` that waits for an answer to begin, and asks as often at a time, as `limits` say.
    ///
    /// # Errors
    /// When the target is `https` and the system's certificate authorities cannot be read.
    pub fn new(target: Target, limits: &Limits) -> Result<Self, TargetError> {
        let mut http = HttpConnector::new();
        http.set_nodelay(true);
        http.set_connect_timeout(Some(CONNECT_TIME));
        http.enforce_http(false);
        let tls = rustls::ClientConfig::builder();
        // Reading the certificates takes milliseconds that a plain upstream need not wait for.
        let tls = if target.https {
            tls.with_native_roots().map_err(TargetError::Roots)?
        } else {
            tls.with_root_certificates(rustls::RootCertStore::empty())
        };
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls.with_no_client_auth())
            .https_or_http()
            .enable_all_versions()
            .wrap_connector(http);
        Ok(Self::over(connector, target, limits))
    }
}

impl<C: Connect + Clone> Upstream<C> {
    /// The same over connections of `connector`: a model server in this process, or behind something of one's own.
    pub fn over(connector: C, target: Target, limits: &Limits) -> Self {
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(POOL_IDLE)
            .build(connector);
        let authorization = ArcSwapOption::from(target.authorization.clone().map(Arc::new));
        let (circuit, time) = (Circuit::new(limits), limits.upstream_time);
        Self { shared: Arc::new(Shared { client, target, authorization, circuit, time }) }
    }

    /// What is known of the server.
    #[must_use]
    pub fn circuit(&self) -> Circuit {
        self.shared.circuit.clone()
    }

    /// From now on the upstream gets `key`, if it got one of ours before.
    ///
    /// # Errors
    /// When the key holds characters that a header cannot; then the old one stays.
    pub fn rekey(&self, key: &str) -> Result<(), TargetError> {
        let value = bearer(key)?;
        if self.shared.target.authorization.is_some() {
            self.shared.authorization.store(Some(Arc::new(value)));
        }
        Ok(())
    }
}

impl<C> Shared<C> {
    fn request(&self, asked: &Asked) -> Request<Full<Bytes>> {
        let accept =
            if asked.request.is_stream() { "text/event-stream" } else { "application/json" };
        let mut request = Request::new(Full::new(Bytes::from(asked.request.to_bytes())));
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = self.target.uri(asked.request.dialect());
        let json = HeaderValue::from_static("application/json");
        request.headers_mut().insert(header::CONTENT_TYPE, json);
        self.fill(request.headers_mut(), accept, &asked.passed, &asked.entry);
        let model = (asked.request.dialect(), asked.request.model());
        traced(request, Some(model), &asked.entry)
    }

    /// A request for the list of models, whichever the caller wants to know about: nothing that the caller wrote
    /// goes into the path.
    fn list(&self, lookup: &Lookup) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::default());
        *request.uri_mut() = self.target.models.clone();
        self.fill(request.headers_mut(), "application/json", &lookup.passed, &lookup.entry);
        traced(request, None, &lookup.entry)
    }

    /// The headers of every request. None of the caller's but those of [`PassedHeaders`]; Anthropic's clients send their
    /// key in a header of its own, and with a key of ours it stays here.
    fn fill(
        &self,
        headers: &mut HeaderMap,
        accept: &'static str,
        passed: &PassedHeaders,
        entry: &Entry,
    ) {
        headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
        let configured = self.authorization.load();
        let configured = configured.as_deref().filter(|_| passed.own_upstream.is_none());
        let authorization = configured.or(passed.authorization.as_ref());
        let passed = [
            (header::AUTHORIZATION, authorization),
            (names::API_KEY, passed.api_key.as_ref().filter(|_| configured.is_none())),
            (names::ANTHROPIC_VERSION, passed.anthropic_version.as_ref()),
            (names::TRACEPARENT, passed.traceparent.as_ref()),
            (names::TRACESTATE, passed.tracestate.as_ref()),
        ];
        for (name, value) in passed {
            if let Some(value) = value {
                headers.insert(name, value.clone());
            }
        }
        if let Some(id) = names::id(entry.id()) {
            headers.insert(names::REQUEST_ID, id);
        }
    }
}

/// The same request, as part of the exchange's trace.
fn traced(
    mut request: Request<Full<Bytes>>,
    model: Option<(Dialect, &str)>,
    entry: &Entry,
) -> Request<Full<Bytes>> {
    if let Some(span) = entry.trace().call(&Called { model, uri: request.uri() }) {
        request.headers_mut().insert(names::TRACEPARENT, span);
    }
    request
}

impl<C: Connect + Clone + Send + Sync + 'static> Upstream<C> {
    fn send(&self, request: Request<Full<Bytes>>, own: Option<OwnUpstream>) -> Sent {
        let time = self.shared.time;
        let Some(OwnUpstream(own)) = own else {
            let shared = Arc::clone(&self.shared);
            return Box::pin(async move {
                let attempt = shared.circuit.admit(Instant::now())?;
                let response = answered(time, shared.client.request(request)).await;
                let permit = attempt.came_to(&response);
                Ok(response?.map(|body| Either::Left(Counted { body, _permit: permit })))
            });
        };
        let response = own.oneshot(request);
        Box::pin(async move { Ok(answered(time, response).await?.map(Either::Right)) })
    }
}

/// What comes within `time`.
async fn answered<B, E: Into<BoxError>>(
    time: Duration,
    response: impl Future<Output = Result<Response<B>, E>>,
) -> Result<Response<B>, Denial> {
    let error = match tokio::time::timeout(time, response).await {
        Err(_) => return Err(Denial::UpstreamTimeout),
        Ok(Ok(response)) => return Ok(response),
        Ok(Err(error)) => error.into(),
    };
    if error.downcast_ref::<ClientError>().is_some_and(ClientError::is_connect) {
        tracing::warn!(%error, "the upstream cannot be reached");
        return Err(Denial::UpstreamUnreachable);
    }
    Err(Denial::UpstreamInvalid(format!("it broke off: {error}")))
}

/// An answer to come. Boxed: the client's own future is boxed already, this one adds the deadline.
type Sent = Pin<Box<dyn Future<Output = Result<Response<UpstreamBody>, Denial>> + Send>>;

impl<C: Connect + Clone + Send + Sync + 'static> Service<Cleared<Asked>> for Upstream<C> {
    type Response = Response<UpstreamBody>;
    type Error = Denial;
    type Future = Sent;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Denial>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, cleared: Cleared<Asked>) -> Self::Future {
        let asked = cleared.into_inner();
        self.send(self.shared.request(&asked), asked.passed.own_upstream)
    }
}

impl<C: Connect + Clone + Send + Sync + 'static> Service<Cleared<Lookup>> for Upstream<C> {
    type Response = Response<UpstreamBody>;
    type Error = Denial;
    type Future = Sent;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Denial>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, cleared: Cleared<Lookup>) -> Self::Future {
        let lookup = cleared.into_inner();
        self.send(self.shared.list(&lookup), lookup.passed.own_upstream)
    }
}
