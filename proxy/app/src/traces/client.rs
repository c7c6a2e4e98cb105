//! How the exporter sends: over our own client, with our own TLS.

use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use opentelemetry_http::{HttpClient, HttpError};
use proxy_stack::Network;

use crate::failure::Failure;
use crate::tls::UpstreamTls;

/// A collector says little: what it could not take, in words.
const ANSWER_BYTES: usize = 64 << 10;

/// A client of one collector. Redirects are not followed.
#[derive(Debug)]
pub(super) struct Client {
    http: HyperClient<Network, Full<Bytes>>,
    /// How long one attempt may take, its answer included.
    time: Duration,
}

impl Client {
    pub(super) fn new(tls: &UpstreamTls, url: &str, time: Duration) -> Result<Self, Failure> {
        let mut builder = HyperClient::builder(TokioExecutor::new());
        builder.pool_timer(TokioTimer::new());
        Ok(Self { http: builder.build(tls.connector_to(url)?), time })
    }

    async fn send(&self, mut request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        // Headers for collectors are keys as often as not.
        request.headers_mut().values_mut().for_each(|value| value.set_sensitive(true));
        let response = self.http.request(request.map(Full::new)).await?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, ANSWER_BYTES).collect().await?.to_bytes();
        Ok(Response::from_parts(head, body))
    }
}

impl HttpClient for Client {
    fn send_bytes<'a, 'b>(
        &'a self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(async { tokio::time::timeout(self.time, self.send(request)).await? })
    }
}
