//! One server: sending a question, reading an answer within bounds.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{ConfigBuilderExt as _, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::{Client as HyperClient, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;

use crate::fault::Fault;
use crate::settings::{Settings, SetupError};

/// No verdict is longer.
const ANSWER_BYTES: usize = 4 << 20;
/// How long a connection may take to come about.
const CONNECT_TIME: Duration = Duration::from_secs(2);
/// How long an unused connection is kept: shorter than the usual idle timeout of load balancers.
const POOL_IDLE: Duration = Duration::from_secs(50);
const USER_AGENT: &str = concat!("portcullis/", env!("CARGO_PKG_VERSION"));

type Http = HyperClient<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// A server that can be asked. Redirects are not followed: the text goes where it was meant to go, or nowhere.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    http: Http,
    base: Base,
    authorization: Option<HeaderValue>,
}

/// A checked URL.
#[derive(Clone, Debug)]
struct Base {
    uri: Uri,
    /// Without a slash at its end.
    path: String,
}

impl Client {
    /// A client of each of the servers; they share one pool of connections.
    pub(crate) fn all(settings: &Settings) -> Result<Vec<Self>, SetupError> {
        if settings.urls.is_empty() {
            return Err(SetupError::NoUrl);
        }
        let bases =
            settings.urls.iter().map(|url| Base::parse(url)).collect::<Result<Vec<_>, _>>()?;
        let tls = bases.iter().any(|base| base.uri.scheme_str() == Some("https"));
        let http = http(tls.then_some(settings))?;
        let authorization = settings.key.as_ref().map(|key| bearer(key.reveal())).transpose()?;
        let client = |base| Self { http: http.clone(), base, authorization: authorization.clone() };
        Ok(bases.into_iter().map(client).collect())
    }

    /// Where it is.
    pub(crate) fn url(&self) -> String {
        let authority = self.base.uri.authority().map_or("", http::uri::Authority::as_str);
        format!("{}://{authority}{}", self.base.uri.scheme_str().unwrap_or("http"), self.base.path)
    }

    /// The JSON that the server answers to `body` at `path`, or to a question for `path` without one.
    pub(crate) async fn ask(&self, path: &str, body: Option<Bytes>) -> Result<Value, Fault> {
        let answer = self.http.request(self.request(path, body)?).await;
        let answer = answer.map_err(|error| Fault::Connection(why(&error).to_owned()))?;
        match answer.status() {
            StatusCode::OK => {}
            StatusCode::TOO_MANY_REQUESTS => return Err(Fault::Busy),
            status => return Err(Fault::Status(status.as_u16())),
        }
        let body = Limited::new(answer.into_body(), ANSWER_BYTES).collect().await;
        let body = body.map_err(|error| match error.is::<http_body_util::LengthLimitError>() {
            true => Fault::odd("it is longer than any verdict"),
            false => {
                Fault::Connection("the connection broke in the middle of the answer".to_owned())
            }
        })?;
        serde_json::from_slice(&body.to_bytes()).map_err(|_| Fault::odd("it is not JSON"))
    }

    fn request(&self, path: &str, body: Option<Bytes>) -> Result<Request<Full<Bytes>>, Fault> {
        let base = &self.base;
        let uri = Uri::builder()
            .scheme(base.uri.scheme_str().unwrap_or("http"))
            .authority(base.uri.authority().map_or("", http::uri::Authority::as_str))
            .path_and_query(base.at(path))
            .build()
            .map_err(|_| Fault::odd("the model's name cannot be part of a URL"))?;
        let method = if body.is_some() { Method::POST } else { Method::GET };
        let mut request = Request::new(Full::new(body.unwrap_or_default()));
        (*request.method_mut(), *request.uri_mut()) = (method, uri);
        let headers = request.headers_mut();
        let json = HeaderValue::from_static("application/json");
        headers.insert(header::CONTENT_TYPE, json.clone());
        headers.insert(header::ACCEPT, json);
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
        if let Some(value) = &self.authorization {
            headers.insert(header::AUTHORIZATION, value.clone());
        }
        Ok(request)
    }
}

impl Base {
    fn parse(url: &str) -> Result<Self, SetupError> {
        // A URL with a password in it must not be repeated.
        if url.contains(['@', '?', '#']) {
            return Err(SetupError::Extra);
        }
        let wrong = || SetupError::Url(url.to_owned());
        let uri: Uri = url.trim_end_matches('/').parse().map_err(|_| wrong())?;
        if uri.authority().is_none() || !matches!(uri.scheme_str(), Some("http" | "https")) {
            return Err(wrong());
        }
        let path = uri.path().trim_end_matches('/').to_owned();
        Ok(Self { uri, path })
    }

    /// `path` below the URL, which may end in `/v1` already.
    fn at(&self, path: &str) -> String {
        match path.strip_prefix("/v1") {
            Some(rest) if self.path.ends_with("/v1") => format!("{}{rest}", self.path),
            _ => format!("{}{path}", self.path),
        }
    }
}

/// What went wrong, in words that hold nothing of what was sent.
fn why(error: &hyper_util::client::legacy::Error) -> &'static str {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(known) = cause {
        if is_tls(known) {
            return "TLS was not established: its certificate or ours is not accepted";
        }
        cause = known.source();
    }
    match error.is_connect() {
        true => "no connection came about",
        false => "the connection broke before the answer",
    }
}

/// An error of the system may be one of TLS in its clothes, several of them over each other.
fn is_tls(error: &(dyn std::error::Error + 'static)) -> bool {
    let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    error.is::<rustls::Error>() || inner.is_some_and(|inner| is_tls(inner))
}

fn bearer(key: &str) -> Result<HeaderValue, SetupError> {
    let mut value = HeaderValue::from_str(&format!("Bearer {key}")).map_err(|_| SetupError::Key)?;
    value.set_sensitive(true);
    Ok(value)
}

fn http(tls: Option<&Settings>) -> Result<Http, SetupError> {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(CONNECT_TIME));
    connector.enforce_http(false);
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(client_config(tls)?)
        .https_or_http()
        .enable_all_versions()
        .wrap_connector(connector);
    let mut builder = HyperClient::builder(TokioExecutor::new());
    builder.pool_timer(TokioTimer::new()).pool_idle_timeout(POOL_IDLE);
    Ok(builder.build(connector))
}

fn client_config(settings: Option<&Settings>) -> Result<ClientConfig, SetupError> {
    match settings {
        Some(Settings { ca_file, identity, .. }) => {
            client_tls(ca_file.as_deref(), identity.as_ref())
        }
        None => {
            let builder = ClientConfig::builder().with_root_certificates(RootCertStore::empty());
            Ok(builder.with_no_client_auth())
        }
    }
}

/// TLS towards a server that is trusted by the authorities in `ca_file` (PEM), or else by the system's, and that knows
/// us by the certificate and key of `identity`.
///
/// # Errors
/// When a file cannot be used; the text says which.
pub fn client_tls(
    ca_file: Option<&Path>,
    identity: Option<&(PathBuf, PathBuf)>,
) -> Result<ClientConfig, SetupError> {
    let builder = ClientConfig::builder();
    let builder = match ca_file {
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(path)? {
                roots.add(certificate).map_err(|error| unusable(path, &error))?;
            }
            builder.with_root_certificates(roots)
        }
        None => builder.with_native_roots().map_err(SetupError::Roots)?,
    };
    let Some((certificate, key)) = identity else { return Ok(builder.with_no_client_auth()) };
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| unusable(key, &error))?;
    let config = builder.with_client_auth_cert(certificates(certificate)?, private);
    config.map_err(|error| unusable(certificate, &error))
}

/// The certificates in a PEM file, of which there must be one at least.
///
/// # Errors
/// When it cannot be read, or holds none.
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, SetupError> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match read {
        Ok(found) if found.is_empty() => Err(SetupError::Tls {
            path: path.to_owned(),
            reason: "there is no certificate in it".to_owned(),
        }),
        Ok(found) => Ok(found),
        Err(error) => Err(unusable(path, &error)),
    }
}

fn unusable(path: &Path, error: &dyn std::error::Error) -> SetupError {
    SetupError::Tls { path: path.to_owned(), reason: error.to_string() }
}
