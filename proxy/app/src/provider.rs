//! An identity provider: what it says of itself, its keys, and what it answers to a login.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, Uri, header};
use http_body_util::Full;
use proxy_identity::{Discovered, KeySet, well_known};

use crate::failure::Failure;
use crate::fetch::{Client, Limits};

/// How long a provider may take to answer; nothing that it says is larger.
const LIMITS: Limits = Limits { time: Duration::from_secs(5), bytes: 256 << 10 };

/// A client of one provider.
#[derive(Debug)]
pub(crate) struct Fetcher(Client);

impl Fetcher {
    /// For the provider at `url`, as the settings of `what` say it: trusted by the authorities in `ca_file`, or else by
    /// the system's.
    pub(crate) fn new(what: &str, ca_file: Option<&Path>, url: &str) -> Result<Self, Failure> {
        Ok(Self(Client::new(what, url, ca_file, LIMITS)?))
    }

    /// What `issuer` says of itself.
    pub(crate) async fn discover(&self, issuer: &str) -> Result<Discovered, Failure> {
        let url = well_known(issuer).ok_or_else(|| {
            let why = "it is neither an https address nor one on this machine, so nothing can be asked of it";
            Failure::Usage(format!("{issuer}: {why}"))
        })?;
        let document = self.get(&url).await?;
        Discovered::parse(&document, issuer).map_err(|error| Failure::environment(url, &error))
    }

    /// The keys at `url`.
    pub(crate) async fn keys(&self, url: &str) -> Result<KeySet, Failure> {
        let document = self.get(url).await?;
        KeySet::parse(&document).map_err(|error| Failure::environment(url, &error))
    }

    /// What `url` holds.
    pub(crate) async fn get(&self, url: &str) -> Result<Vec<u8>, Failure> {
        let (status, body) = self.send(url, Request::new(Full::default())).await?;
        match status {
            StatusCode::OK => Ok(body),
            other => Err(Failure::Environment(format!("{url}: status {}", other.as_u16()))),
        }
    }

    /// What `url` answers to `request`.
    pub(crate) async fn send(
        &self,
        url: &str,
        mut request: Request<Full<Bytes>>,
    ) -> Result<(StatusCode, Vec<u8>), Failure> {
        let failed = |why: String| Failure::Environment(format!("{url}: {why}"));
        *request.uri_mut() = url.parse::<Uri>().map_err(|error| failed(error.to_string()))?;
        let json = http::HeaderValue::from_static("application/json");
        request.headers_mut().insert(header::ACCEPT, json);
        let answer = self.0.send(request).await.map_err(|error| failed(error.to_string()))?;
        Ok((answer.status(), answer.into_body()))
    }
}
