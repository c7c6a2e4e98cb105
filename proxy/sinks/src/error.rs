//! What can go wrong.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use proxy_audit::ReadError;

/// Of what a server says, so many characters are repeated.
const SAID_CHARS: usize = 600;

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
    #[error("the {what} cannot be had from {place}")]
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
    /// The object store says no, or cannot be reached.
    #[error("the object store has not done what it was asked: {}", chain(.0))]
    Store(object_store::Error),
    /// The object store says nothing.
    #[error("the object store has not answered for {} s", .0.as_secs())]
    Silent(Duration),
    /// The object store has something else where a file of the log belongs. Nothing is overwritten.
    #[error("the object `{key}` is not what `{}` holds; it is left as it is: {what}", file.display())]
    Different {
        /// The object.
        key: String,
        /// The file.
        file: PathBuf,
        /// How they differ.
        what: String,
    },
    /// A file cannot be read or written.
    #[error("`{}` cannot be used", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The object store may not be used so.
    #[error(transparent)]
    Misuse(#[from] BucketMisuse),
    /// There is not the one log that was asked for.
    #[error("{0}")]
    NotOne(String),
    /// The folder is not one to fetch into.
    #[error("`{}` is the audit directory of a guard: fetch into another", dir.display())]
    Taken {
        /// The folder.
        dir: PathBuf,
    },
    /// The server does not say which streams there are.
    #[error("NATS does not say whether a stream takes the subject")]
    Unknown(#[source] async_nats::jetstream::context::GetStreamByNameError),
}

/// An error and everything that led to it, in one line of bounded length: servers may say much.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let said = cause.to_string();
        // Libraries repeat what their cause says.
        if !text.contains(&said) {
            text.push_str(&format!(": {said}"));
        }
        source = cause.source();
    }
    match text.char_indices().nth(SAID_CHARS) {
        Some((end, _)) => text.split_at(end).0.to_owned() + " ...",
        None => text,
    }
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

/// Why settings of an object store make no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BucketMisuse {
    /// The address is none.
    #[error(
        "`url` is like s3://bucket or s3://bucket/folder, without names, keys or options in it"
    )]
    Url,
    /// The server's address is none.
    #[error(
        "`endpoint` is like https://s3.example.com:9000, without a path, and holds no user name or password"
    )]
    Endpoint,
    /// Records would cross the network as they are.
    #[error(
        "records would cross the network to `{host}` as they are, and they may hold texts: write https://, or say \
         `unencrypted: true` (a command: --unencrypted)"
    )]
    Unencrypted {
        /// The server.
        host: String,
    },
    /// The library does not take the settings together.
    #[error("the object store cannot be used so: {0}")]
    Unusable(String),
}
