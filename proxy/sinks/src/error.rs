//! What can go wrong.

use std::io;
use std::path::PathBuf;

use proxy_audit::ReadError;

/// Why records are not sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SinkError {
    /// The log cannot be read.
    #[error("the log cannot be read")]
    Log(#[from] ReadError),
    /// It cannot be remembered up to where records were sent.
    #[error("`{}` cannot be written", path.display())]
    Position {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A thread or its runtime cannot be started.
    #[error("what sends the log on cannot be started")]
    Start(#[source] io::Error),
    /// What logs in is not where it should be.
    #[error("the {what} for NATS cannot be had from {place}")]
    Login {
        /// What is missing.
        what: &'static str,
        /// The file, or the environment variable.
        place: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// No server can be reached, or it lets us not in.
    #[error("NATS cannot be reached")]
    Connect(#[from] async_nats::ConnectError),
    /// The connection broke, or the server has said no.
    #[error("the connection to NATS is over: {why}")]
    Lost {
        /// What was heard last.
        why: String,
    },
    /// No stream takes the subject.
    #[error("no JetStream stream takes the subject `{subject}`: add one, or have one take it")]
    NoStream {
        /// The subject.
        subject: String,
    },
    /// The server has not said that it has a record.
    #[error("NATS has not taken a record")]
    Publish(#[from] async_nats::jetstream::context::PublishError),
    /// The server does not say which streams there are.
    #[error("NATS does not say whether a stream takes the subject")]
    Unknown(#[source] async_nats::jetstream::context::GetStreamByNameError),
}

/// Why settings of NATS make no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NatsMisuse {
    /// There is no server.
    #[error("`urls` names no server")]
    NoServer,
    /// An address is none, or holds a password.
    #[error(
        "a server's address is like tls://nats.example.com:4222, or nats:// without TLS, and holds no user name or \
         password"
    )]
    Address,
    /// Records would cross the network as they are.
    #[error(
        "records would cross the network to `{host}` as they are, and they may hold texts: write tls://, or say \
         `unencrypted: true`"
    )]
    Unencrypted {
        /// The server.
        host: String,
    },
    /// The subject cannot be published to.
    #[error("`subject` is words with dots between them, such as portcullis.audit, without * and >")]
    Subject,
    /// The instance cannot be a header.
    #[error("the name of this instance cannot stand in a header of NATS")]
    Instance,
}
