//! Fetches small documents: the keys of issuers, signed policies, what identity providers say.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper_util::rt::TokioExecutor;
use proxy_identity::is_safe;
use proxy_stack::Network;

use crate::failure::{Failure, chain};
use crate::tls::UpstreamTls;

/// A client of one server that says small things. It follows no redirects: what is believed comes from the place that was
/// named.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    client: hyper_util::client::legacy::Client<Network, Full<Bytes>>,
    limits: Limits,
}

/// Where a document is. Redirects are not followed: what is believed comes from the place that was named.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    uri: Uri,
    client: Client,
}

/// How long a document may take in all, and how large it may be in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) time: Duration,
    pub(crate) bytes: usize,
}

/// What came back.
#[derive(Debug)]
pub(crate) enum Fetched {
    /// The document, and what it is to be called when it is asked for again.
    Document(Vec<u8>, Option<HeaderValue>),
    /// It is what was known already.
    Same,
}

/// Why nothing came back.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unfetched {
    #[error("{0}")]
    Unreachable(String),
    #[error("no answer within {} s", .0.as_secs())]
    Slow(Duration),
    #[error("status {}", .0.as_u16())]
    Status(StatusCode),
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
}

impl Client {
    /// Of the server at `url`, trusted by the authorities in `ca_file`, or else by the system's; `what` is the name of the
    /// setting.
    pub(crate) fn new(
        what: &str,
        url: &str,
        ca_file: Option<&Path>,
        limits: Limits,
    ) -> Result<Self, Failure> {
        let tls = UpstreamTls::new(what, ca_file.map(Path::to_owned), (None, None))?;
        // Asked for now and then: no connection is worth keeping, and none outlives the runtime it was made on.
        let mut builder = hyper_util::client::legacy::Client::builder(TokioExecutor::new());
        let client = builder.pool_max_idle_per_host(0).build(tls.connector_to(url)?);
        Ok(Self { client, limits })
    }

    /// What is answered to `request`, whatever its status, within the limits.
    pub(crate) async fn send(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Vec<u8>>, Unfetched> {
        let Limits { time, bytes } = self.limits;
        let answered = async {
            let answer = self.client.request(request).await;
            let answer = answer.map_err(|error| Unfetched::Unreachable(chain(&error)))?;
            let (head, body) = answer.into_parts();
            let body = Limited::new(body, bytes).collect().await.map_err(|error| {
                if error.is::<LengthLimitError>() {
                    return Unfetched::TooLarge(bytes);
                }
                Unfetched::Unreachable(error.to_string())
            })?;
            Ok(Response::from_parts(head, body.to_bytes().to_vec()))
        };
        let answered = tokio::time::timeout(time, answered).await;
        answered.unwrap_or(Err(Unfetched::Slow(time)))
    }
}

impl Document {
    /// At `url`, which must be encrypted or on this machine; `what` is the name of the setting.
    pub(crate) fn at(
        what: &str,
        url: &str,
        ca_file: Option<PathBuf>,
        limits: Limits,
    ) -> Result<Self, Failure> {
        let uri: Option<Uri> = url.parse().ok().filter(|_| is_safe(url));
        let Some(uri) = uri else {
            return Err(Failure::Usage(format!(
                "{what} must begin with https://, or be on this machine"
            )));
        };
        Ok(Self { uri, client: Client::new(what, url, ca_file.as_deref(), limits)? })
    }

    /// The document, unless it is the one that was called `known`.
    pub(crate) async fn fetch(
        &self,
        accept: &'static str,
        known: Option<&HeaderValue>,
    ) -> Result<Fetched, Unfetched> {
        let mut request = Request::new(Full::default());
        *request.uri_mut() = self.uri.clone();
        request.headers_mut().insert(header::ACCEPT, HeaderValue::from_static(accept));
        if let Some(known) = known {
            request.headers_mut().insert(header::IF_NONE_MATCH, known.clone());
        }
        let answer = self.client.send(request).await?;
        match answer.status() {
            StatusCode::OK => {
                let name = answer.headers().get(header::ETAG).cloned();
                Ok(Fetched::Document(answer.into_body(), name))
            }
            StatusCode::NOT_MODIFIED if known.is_some() => Ok(Fetched::Same),
            status => Err(Unfetched::Status(status)),
        }
    }
}

/// Where it is, without what may be a secret in it.
impl std::fmt::Display for Document {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (scheme, host) = (self.uri.scheme_str(), self.uri.host());
        write!(f, "{}://{}", scheme.unwrap_or_default(), host.unwrap_or_default())?;
        if let Some(port) = self.uri.port() {
            write!(f, ":{port}")?;
        }
        f.write_str(self.uri.path())
    }
}
