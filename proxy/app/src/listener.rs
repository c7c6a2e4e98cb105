//! Sockets and TLS; what is spoken over them is `proxy-http`'s.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::server::graceful::GracefulShutdown;
use proxy_http::Http;
use proxy_stack::Gate;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::config::Tls;
use crate::failure::Failure;

/// How long a client may take to greet in TLS.
const TLS_TIME: Duration = Duration::from_secs(10);
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
        let http = Http::default();
        loop {
            tokio::select! {
                () = &mut stop => break,
                accepted = self.socket.accept() => match accepted {
                    Ok((stream, peer)) => {
                        let (tls, http, gate) = (self.tls.clone(), http.clone(), gate.clone());
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

struct Connection {
    http: Http,
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
            Some(tls) => match tokio::time::timeout(TLS_TIME, tls.accept(stream)).await {
                Ok(Ok(stream)) => self.speak(stream).await,
                Ok(Err(error)) => tracing::debug!(%error, "TLS was not established"),
                Err(_) => tracing::debug!("TLS was not established in time"),
            },
        }
    }

    async fn speak<I: AsyncRead + AsyncWrite + Unpin + Send + 'static>(self, stream: I) {
        let Self { http, gate, peer, watcher } = self;
        http.serve(stream, gate, Some(peer), Some(watcher)).await;
    }
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
