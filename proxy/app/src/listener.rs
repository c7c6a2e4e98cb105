//! Sockets and TLS; what is spoken over them is `proxy-http`'s.

use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::time::Duration;

use proxy_envoy::ExternalProcessor;
use proxy_http::Http;
use proxy_stack::{CutOff, Gate};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::failure::Failure;
use crate::tls::Greeting;

/// How long a client may take to greet in TLS.
const TLS_TIME: Duration = Duration::from_secs(10);
/// Pause after `accept` failed, so that running out of file descriptors does not become a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long those who are cut off are given to hear of it.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What is spoken over a connection.
pub(crate) trait Speak: Clone + Send + 'static {
    /// Serves `io` until the peer leaves. Once `stop` is cancelled, what is under way is the last.
    fn speak<I>(
        self,
        io: I,
        peer: IpAddr,
        stop: CancellationToken,
    ) -> impl Future<Output = ()> + Send
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Ends what is left of connections that were dropped.
    fn end(self) -> impl Future<Output = ()> + Send;
}

/// HTTP, as callers speak it.
impl Speak for (Http, Gate) {
    async fn speak<I>(self, io: I, peer: IpAddr, stop: CancellationToken)
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (http, gate) = self;
        http.serve(io, gate, Some(peer), stop).await;
    }

    async fn end(self) {
        self.0.end().await;
    }
}

/// What an Envoy says of its callers.
impl Speak for ExternalProcessor {
    async fn speak<I>(self, io: I, _: IpAddr, stop: CancellationToken)
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        self.serve(io, stop).await;
    }

    async fn end(self) {
        Self::end(&self).await;
    }
}

/// A listening socket and how to speak on it.
pub(crate) struct Listener {
    socket: TcpListener,
    tls: Option<Greeting>,
}

impl Listener {
    /// Listens on `address`, or takes over the socket that a service manager has opened.
    pub(crate) async fn bind(
        address: SocketAddr,
        given: Option<std::net::TcpListener>,
        tls: Option<Greeting>,
    ) -> Result<Self, Failure> {
        let failed = |error| Failure::environment(format!("cannot listen on {address}"), &error);
        let socket = match given {
            Some(socket) => {
                socket.set_nonblocking(true).map_err(failed)?;
                TcpListener::from_std(socket).map_err(failed)?
            }
            None => TcpListener::bind(address).await.map_err(failed)?,
        };
        Ok(Self { socket, tls })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> Result<SocketAddr, Failure> {
        self.socket
            .local_addr()
            .map_err(|error| Failure::environment("the listener has no address", &error))
    }

    /// Serves `spoken` until `stop`, then lets what is under way finish for up to `drain`; what is not over then is told by
    /// `cut_off`.
    pub(crate) async fn serve(
        self,
        spoken: impl Speak,
        stop: impl Future<Output = ()>,
        (drain, cut_off): (Duration, CutOff),
    ) {
        let stopping = CancellationToken::new();
        let mut connections = JoinSet::new();
        let mut stop = pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => break,
                accepted = self.socket.accept() => match accepted {
                    Ok((stream, peer)) => {
                        let tls = self.tls.as_ref().map(Greeting::acceptor);
                        let (spoken, stop) = (spoken.clone(), stopping.clone());
                        let connection = Connection { spoken, peer: peer.ip(), stop };
                        connections.spawn(connection.run(stream, tls));
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
        stopping.cancel();
        let finished = async { while connections.join_next().await.is_some() {} };
        let mut finished = Box::pin(finished);
        if tokio::time::timeout(drain, &mut finished).await.is_err() {
            tracing::warn!(seconds = drain.as_secs(), "answers still under way were cut off");
            cut_off.now();
            // Who does not read what ends its answer is left without.
            let _heard = tokio::time::timeout(LAST_WORDS, &mut finished).await;
        }
        drop(finished);
        // What they leave behind is recorded before the log is closed.
        connections.shutdown().await;
        spoken.end().await;
    }
}

struct Connection<S> {
    spoken: S,
    peer: IpAddr,
    stop: CancellationToken,
}

impl<S: Speak> Connection<S> {
    async fn run(self, stream: TcpStream, tls: Option<TlsAcceptor>) {
        // Answers are small and complete: waiting to fill packets only delays them.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "the connection was gone at once");
            return;
        }
        match tls {
            None => self.speak(stream).await,
            // Boxed: without TLS a connection has no need of room for it.
            Some(tls) => Box::pin(self.greet(stream, tls)).await,
        }
    }

    async fn greet(self, stream: TcpStream, tls: TlsAcceptor) {
        match tokio::time::timeout(TLS_TIME, tls.accept(stream)).await {
            Ok(Ok(stream)) => self.speak(stream).await,
            Ok(Err(error)) => tracing::debug!(%error, "TLS was not established"),
            Err(_) => tracing::debug!("TLS was not established in time"),
        }
    }

    fn speak<I>(self, stream: I) -> impl Future<Output = ()> + Send
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        self.spoken.speak(stream, self.peer, self.stop)
    }
}
