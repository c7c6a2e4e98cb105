//! Where servers are and how they are asked.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// Where servers are and how they are asked.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Base URLs of servers that run the same model.
    pub urls: Vec<String>,
    /// The name under which the servers know the model.
    pub model: String,
    /// Sent to every server as a bearer token.
    pub key: Option<Key>,
    /// Certificate authorities (PEM) that servers are trusted by, in place of the system's.
    pub ca_file: Option<PathBuf>,
    /// Certificate and key (PEM) that the servers know us by.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// How long a text waits for its verdict, all tries together.
    pub deadline: Duration,
    /// Questions to one server at a time; more are refused.
    pub concurrent: usize,
    /// Second tries and second servers at most, as a share of all questions; beside a few each second.
    pub extra: f32,
}

impl Settings {
    /// The servers at `urls`, asked for `model`, otherwise as usual.
    #[must_use]
    pub fn new(urls: Vec<String>, model: impl Into<String>) -> Self {
        Self {
            urls,
            model: model.into(),
            key: None,
            ca_file: None,
            identity: None,
            deadline: Duration::from_secs(10),
            concurrent: 256,
            extra: 0.1,
        }
    }
}

/// A secret. It is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(String);

impl Key {
    /// The key in `text`, without white space around.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.trim().to_owned())
    }

    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

/// The servers cannot be asked at all; the text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// Not an absolute `http` or `https` URL.
    #[error("`{0}` is not a URL like http://10.0.0.7:8000 or https://guard.example.com/v1")]
    Url(String),
    /// The URL holds a user name, a query or a fragment.
    #[error("a server's URL must not hold a user name, a query or a fragment")]
    Extra,
    /// There is no URL.
    #[error("no URL is given")]
    NoUrl,
    /// The key holds characters that a header cannot.
    #[error("the key holds characters that an HTTP header cannot carry")]
    Key,
    /// A file for TLS cannot be used.
    #[error("{} cannot be used for TLS: {reason}", path.display())]
    Tls {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The system's certificates cannot be read.
    #[error("the system's certificate authorities cannot be read")]
    Roots(#[source] std::io::Error),
    /// Something about the model.
    #[error("{0}")]
    Model(String),
}
