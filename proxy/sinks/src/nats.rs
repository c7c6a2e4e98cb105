//! A JetStream subject of NATS.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::Duration;

use async_nats::header::{HeaderMap, HeaderValue, NATS_MESSAGE_ID};
use async_nats::jetstream::context::{
    GetStreamByNameErrorKind, PublishAckFuture, PublishError, PublishErrorKind,
};
use async_nats::jetstream::{self, Context};
use async_nats::{ConnectOptions, Event, ServerAddr};
use bytes::Bytes;
use rustls::ClientConfig;
use tokio::sync::{mpsc, watch};

use crate::counts::Counts;
use crate::error::{NatsMisuse, SinkError};
use crate::feed::{Feed, Outgoing};
use crate::position::Position;
use crate::secret::Secret;
use crate::sink::Wish;

/// How long a server may take to let us in.
const CONNECT_TIME: Duration = Duration::from_secs(5);
/// How long a server may take to say that it has a record; a slower one is as good as gone.
const ACK_TIME: Duration = Duration::from_secs(5);
/// Records that the server has not confirmed, at most: enough that a round trip is not waited for with each.
const WINDOW: usize = 256;
/// Bytes of them, after which no more are sent.
const WINDOW_BYTES: usize = 4 << 20;
/// How often the log is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The guard whose log it is.
const INSTANCE: &str = "Portcullis-Instance";
/// The record's number in it.
const SEQ: &str = "Portcullis-Seq";
/// The length of a record that is longer than the server takes, in place of the record.
const LEFT_OUT: &str = "Portcullis-Left-Out";

/// Where records go, as an operator says it.
#[derive(Debug)]
pub struct NatsSettings {
    /// Addresses of the servers of one cluster, like `tls://nats.example.com:4222`.
    pub servers: Vec<String>,
    /// What a stream must take.
    pub subject: String,
    /// Who we are.
    pub login: Login,
    /// How servers are known and know us, where they are reached by TLS.
    pub tls: ClientConfig,
    /// Whether records may cross the network as they are.
    pub unencrypted: bool,
    /// What the guard is called.
    pub instance: String,
}

/// How we log in. Files and variables are read again for each connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Login {
    /// Not at all, or by our certificate.
    Nobody,
    /// By name and password.
    User(String, Secret),
    /// By a token.
    Token(Secret),
    /// By a `.creds` file.
    Credentials(PathBuf),
}

/// A JetStream subject and how it is reached, checked.
#[derive(Debug)]
pub struct Nats {
    servers: Vec<ServerAddr>,
    subject: String,
    login: Login,
    tls: ClientConfig,
    instance: HeaderValue,
}

/// A record that the server has not confirmed yet.
struct UnderWay {
    at: Position,
    bytes: usize,
    ack: PublishAckFuture,
}

impl Nats {
    /// What `settings` say. Nobody is asked yet.
    ///
    /// # Errors
    /// What makes no sense in them.
    pub fn new(settings: NatsSettings) -> Result<Self, NatsMisuse> {
        let NatsSettings { servers, subject, login, tls, unencrypted, instance } = settings;
        if servers.is_empty() {
            return Err(NatsMisuse::NoServer);
        }
        let servers = servers.iter().map(|text| server(text, unencrypted));
        let word = |word: &str| {
            !word.is_empty() && word.chars().all(|c| c.is_ascii_graphic() && !"*>".contains(c))
        };
        if subject.starts_with(['$', '_']) || !subject.split('.').all(word) {
            return Err(NatsMisuse::Subject);
        }
        let servers = servers.collect::<Result<_, _>>()?;
        let instance = instance.parse().map_err(|_| NatsMisuse::Instance)?;
        Ok(Self { servers, subject, login, tls, instance })
    }

    /// The stream that takes the subject, from a server that lets us in.
    ///
    /// # Errors
    /// When there is no such server or stream, or when it is not said; see [`SinkError::Unknown`].
    pub async fn probe(&self) -> Result<String, SinkError> {
        let (jetstream, _) = self.connect().await?;
        let stream = jetstream.stream_by_subject(self.subject.clone()).await;
        stream.map_err(|error| match error.kind() {
            GetStreamByNameErrorKind::NotFound => self.no_stream(),
            _ => SinkError::Unknown(error),
        })
    }

    /// Sends what `feed` has until it is to finish; never ends well before that.
    pub(crate) async fn session(
        &self,
        feed: &mut Feed,
        counts: &Counts,
        wishes: &watch::Receiver<Wish>,
    ) -> Result<(), SinkError> {
        let (jetstream, mut over) = self.connect().await?;
        feed.rewind()?;
        tokio::select! {
            ended = self.send(&jetstream, feed, counts, wishes) => ended,
            Some(why) = over.recv() => Err(SinkError::Lost { why }),
        }
    }

    /// One connection, and what says why it is over. It must not come back by itself: what was on its way then could
    /// arrive behind what comes after it.
    async fn connect(&self) -> Result<(Context, mpsc::Receiver<String>), SinkError> {
        let (end, over) = mpsc::channel(1);
        let options = ConnectOptions::new()
            .name("portcullis")
            .connection_timeout(CONNECT_TIME)
            .ignore_discovered_servers()
            .tls_client_config(self.tls.clone())
            .event_callback(move |event| {
                if matches!(event, Event::Disconnected | Event::Closed | Event::ServerError(_)) {
                    // The first counts.
                    drop(end.try_send(event.to_string()));
                }
                std::future::ready(())
            });
        let client = self.login.apply(options)?.connect(self.servers.as_slice()).await?;
        Ok((jetstream::context::ContextBuilder::new().timeout(ACK_TIME).build(client), over))
    }

    async fn send(
        &self,
        jetstream: &Context,
        feed: &mut Feed,
        counts: &Counts,
        wishes: &watch::Receiver<Wish>,
    ) -> Result<(), SinkError> {
        let mut window = VecDeque::<UnderWay>::new();
        let mut bytes = 0;
        loop {
            while window.len() < WINDOW && bytes < WINDOW_BYTES {
                // Looked at before the log: what was written before the wish is sent.
                let finish = *wishes.borrow() == Wish::Finish;
                match feed.next()? {
                    Some(record) => {
                        let sent = self.publish(jetstream, record, counts).await?;
                        bytes += sent.bytes;
                        window.push_back(sent);
                    }
                    None if window.is_empty() && finish => return Ok(()),
                    None => break,
                }
            }
            if let Some(UnderWay { at, bytes: length, ack }) = window.pop_front() {
                let ack = ack.await.map_err(|error| self.refused(error))?;
                bytes -= length;
                feed.taken(at);
                counts.taken(1, ack.duplicate);
            } else {
                tokio::time::sleep(LOOK_EVERY).await;
            }
            feed.keep_sometimes()?;
        }
    }

    /// Hands a record to the connection. Of one that is longer than the server takes, only its place goes out: else
    /// whoever can have long records written could keep all others back.
    async fn publish(
        &self,
        jetstream: &Context,
        record: Outgoing,
        counts: &Counts,
    ) -> Result<UnderWay, SinkError> {
        let Outgoing { at, line } = record;
        let bytes = line.len();
        let mut headers = HeaderMap::new();
        headers.insert(NATS_MESSAGE_ID, at.hash.to_string());
        headers.insert(INSTANCE, self.instance.clone());
        headers.insert(SEQ, at.seq.to_string());
        let subject = self.subject.clone();
        let sent = jetstream.publish_with_headers(subject, headers.clone(), line.into()).await;
        let ack = match sent {
            Err(error) if error.kind() == PublishErrorKind::MaxPayloadExceeded => {
                tracing::error!(seq = at.seq, bytes, "NATS takes no record of this length");
                counts.left_out();
                headers.insert(LEFT_OUT, bytes.to_string());
                let subject = self.subject.clone();
                jetstream.publish_with_headers(subject, headers, Bytes::new()).await
            }
            sent => sent,
        };
        Ok(UnderWay { at, bytes, ack: ack? })
    }

    fn refused(&self, error: PublishError) -> SinkError {
        match error.kind() {
            PublishErrorKind::StreamNotFound => self.no_stream(),
            _ => error.into(),
        }
    }

    fn no_stream(&self) -> SinkError {
        SinkError::NoStream { subject: self.subject.clone() }
    }
}

impl Login {
    fn apply(&self, options: ConnectOptions) -> Result<ConnectOptions, SinkError> {
        Ok(match self {
            Self::Nobody => options,
            Self::User(name, password) => {
                options.user_and_password(name.clone(), password.read("password for NATS")?)
            }
            Self::Token(token) => options.token(token.read("token for NATS")?),
            Self::Credentials(path) => {
                let what = "credentials for NATS";
                // The library wants a last line with an end.
                let text = Secret::File(path.clone()).read(what)? + "\n";
                options.credentials(&text).map_err(|source| SinkError::Login {
                    what,
                    place: path.display().to_string(),
                    source,
                })?
            }
        })
    }

    /// Whether what logs in can be read now.
    ///
    /// # Errors
    /// What cannot be read, and from where.
    pub fn check(&self) -> Result<(), SinkError> {
        self.apply(ConnectOptions::new()).map(drop)
    }
}

/// An address without anything secret in it, to which records go encrypted or not at all.
fn server(text: &str, unencrypted: bool) -> Result<ServerAddr, NatsMisuse> {
    let server: ServerAddr = text.parse().map_err(|_| NatsMisuse::Address)?;
    let scheme = server.scheme();
    if !matches!(scheme, "nats" | "tls")
        || server.username().is_some()
        || server.password().is_some()
    {
        return Err(NatsMisuse::Address);
    }
    let host = server.host().trim_matches(['[', ']']);
    let here =
        host == "localhost" || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
    if host.is_empty() {
        return Err(NatsMisuse::Address);
    }
    if scheme != "tls" && !here && !unencrypted {
        return Err(NatsMisuse::Unencrypted { host: host.to_owned() });
    }
    Ok(server)
}
