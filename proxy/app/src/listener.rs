//! From sockets to the gate: connections, TLS, HTTP/1.1 and HTTP/2.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use proxy_stack::{Arrival, Gate, ReplyBody};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tower::Service;

use crate::config::Tls;
use crate::failure::Failure;

/// How long a client may take to send a request's head, or to greet in TLS.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// The largest head of an HTTP/1.1 request, in bytes.
const HEAD_BYTES: usize = 64 * 1024;
/// Streams at a time on one HTTP/2 connection.
const H2_STREAMS: u32 = 200;
/// Resets that a client may have outstanding before its connection is closed (rapid reset, CVE-2023-44487).
const H2_RESETS: usize = 20;
/// Pause after `accept` failed, so that running out of file descriptors does not become a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A listening socket and how to speak on it.
pub(crate) struct Listener {
    socket: TcpListener,
    tls: Option<TlsAcceptor>,
}

impl Listener {
    /// Listens on `address`.
    pub(crate) async fn bind(address: SocketAddr, tls: Option<&Tls>) -> Result<Self, Failure> {
        let tls = tls.map(acceptor).transpose()?;
        let socket = TcpListener::bind(address)
            .await
            .map_err(|error| Failure::environment(format!("cannot listen on {address}"), &error))?;
        Ok(Self { socket, tls })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> Result<SocketAddr, Failure> {
        self.socket
            .local_addr()
            .map_err(|error| Failure::environment("the listener has no address", &error))
    }

    /// Serves `gate` until `stop`, then lets what is under way finish for up to `drain`.
    pub(crate) async fn serve(self, gate: Gate, stop: impl Future<Output = ()>, drain: Duration) {
        let graceful = GracefulShutdown::new();
        let mut connections = JoinSet::new();
        let mut stop = std::pin::pin!(stop);
        let http = Arc::new(http());
        loop {
            tokio::select! {
                () = &mut stop => break,
                accepted = self.socket.accept() => match accepted {
                    Ok((stream, peer)) => {
                        let (tls, http, gate) = (self.tls.clone(), Arc::clone(&http), gate.clone());
                        let watcher = graceful.watcher();
                        connections.spawn(async move {
                            let connection = Connection { http, gate, peer: peer.ip(), watcher };
                            connection.run(stream, tls).await;
                        });
                    }
                    Err(error) => {
                        tracing::warn!(%error, "a connection could not be accepted");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
                Some(_) = connections.join_next(), if !connections.is_empty() => {}
            }
        }
        drop(self.socket);
        if tokio::time::timeout(drain, graceful.shutdown()).await.is_err() {
            tracing::warn!(seconds = drain.as_secs(), "answers still under way were cut off");
        }
        connections.shutdown().await;
    }
}

fn http() -> auto::Builder<TokioExecutor> {
    let mut http = auto::Builder::new(TokioExecutor::new());
    http.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIME).max_buf_size(HEAD_BYTES);
    http.http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(H2_STREAMS)
        .max_pending_accept_reset_streams(H2_RESETS)
        .max_local_error_reset_streams(H2_RESETS)
        .keep_alive_interval(Duration::from_secs(30));
    http
}

struct Connection {
    http: Arc<auto::Builder<TokioExecutor>>,
    gate: Gate,
    peer: IpAddr,
    watcher: hyper_util::server::graceful::Watcher,
}

impl Connection {
    async fn run(self, stream: TcpStream, tls: Option<TlsAcceptor>) {
        // Answers are small and complete: waiting to fill packets only delays them.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "the connection was gone at once");
            return;
        }
        match tls {
            None => self.speak(stream).await,
            Some(tls) => match tokio::time::timeout(HEAD_TIME, tls.accept(stream)).await {
                Ok(Ok(stream)) => self.speak(stream).await,
                Ok(Err(error)) => tracing::debug!(%error, "TLS was not established"),
                Err(_) => tracing::debug!("TLS was not established in time"),
            },
        }
    }

    async fn speak<I: AsyncRead + AsyncWrite + Unpin + Send + 'static>(self, stream: I) {
        let Self { http, gate, peer, watcher } = self;
        let service = hyper::service::service_fn(move |request: Request<Incoming>| {
            let mut gate = gate.clone();
            async move { pass(&mut gate, request, peer).await }
        });
        let connection = http.serve_connection(TokioIo::new(stream), service).into_owned();
        if let Err(error) = watcher.watch(connection).await {
            tracing::debug!(error = %error, "a connection ended early");
        }
    }
}

async fn pass(
    gate: &mut Gate,
    request: Request<Incoming>,
    peer: IpAddr,
) -> Result<Response<ReplyBody>, Infallible> {
    let request = request.map(|body| body.map_err(Into::into).boxed_unsync());
    std::future::poll_fn(|context| gate.poll_ready(context)).await?;
    gate.call(Arrival { request, remote: Some(peer) }).await
}

fn acceptor(tls: &Tls) -> Result<TlsAcceptor, Failure> {
    let unusable = |path: &Path, error: &(dyn std::error::Error + 'static)| {
        Failure::environment(format!("{} cannot be used for TLS", path.display()), error)
    };
    let certificates = CertificateDer::pem_file_iter(&tls.cert_file)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unusable(&tls.cert_file, &error))?;
    let key = PrivateKeyDer::from_pem_file(&tls.key_file)
        .map_err(|error| unusable(&tls.key_file, &error))?;
    let mut config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .map_err(|error| unusable(&tls.cert_file, &error))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
