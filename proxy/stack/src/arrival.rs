//! A request as it comes from the listener, and who sent it.

use std::net::IpAddr;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use http::{HeaderMap, header};
use http_body_util::combinators::UnsyncBoxBody;
use proxy_identity::{Fault, Identity, Issuers};

use crate::headers as names;

/// A request's body; what can go wrong with it is the connection's business. Boxed, so that the same stack
/// serves sockets and tests.
pub type RequestBody = UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

/// A request and the address it came from.
#[derive(Debug)]
pub struct Arrival {
    /// The request, as the HTTP library read it.
    pub request: http::Request<RequestBody>,
    /// The peer's address, if it has one.
    pub remote: Option<IpAddr>,
    /// Why the request must not be answered: the listener recognised it, and could not rely on the rest.
    pub fault: Option<HttpFault>,
}

/// What is wrong with a request's bytes, before anybody asks what it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HttpFault {
    /// Two HTTP implementations could understand it differently, or none; says what is wrong.
    #[error("{0}")]
    Malformed(&'static str),
    /// The head is larger, or has more headers, than any client's.
    #[error("the request's head is too large")]
    HeadTooLarge,
    /// The head did not come in time.
    #[error("the request's head took too long to arrive")]
    TooSlow,
}

/// Who a request is counted against. Not an authentication: whoever sends a key is its holder.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Caller {
    /// The holder of an API key, by the key's fingerprint.
    Key(Arc<str>),
    /// Somebody without a key, by address.
    Address(Option<IpAddr>),
}

/// The token that a request shows: of nobody who can be believed, or of somebody.
pub(crate) type Shown = Result<Identity, Fault>;

/// What the token of a request proves; nothing if it shows none. A key is no token.
pub(crate) fn shown(headers: &HeaderMap, issuers: &Issuers) -> Option<Shown> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (scheme, credential) = values.next()?.to_str().ok()?.split_once(' ')?;
    let token = Some(credential.trim()).filter(|credential| {
        scheme.eq_ignore_ascii_case("bearer") && Issuers::is_token(credential)
    })?;
    // What is said twice is not said clearly; and a key beside it would be the one that the model server goes by.
    let twice = values.next().is_some() || headers.contains_key(names::API_KEY);
    Some(if twice { Err(Fault::Malformed) } else { issuers.judge(token) })
}

impl Caller {
    pub(crate) fn of(headers: &HeaderMap, remote: Option<IpAddr>) -> Self {
        match (headers.get(header::AUTHORIZATION), headers.get(names::API_KEY)) {
            (Some(bearer), _) => Self::Key(fingerprint(bearer.as_bytes()).into()),
            // A key has one fingerprint, whichever header a client sends it in.
            (None, Some(key)) => {
                Self::Key(fingerprint(&[b"Bearer ", key.as_bytes()].concat()).into())
            }
            (None, None) => Self::Address(remote),
        }
    }

    /// The key's fingerprint, if there is a key.
    pub(crate) fn key(&self) -> Option<&str> {
        match self {
            Self::Key(fingerprint) => Some(fingerprint),
            Self::Address(_) => None,
        }
    }

    /// What names the caller where others can see it: never a key or an address.
    pub(crate) fn fingerprint(&self) -> Arc<str> {
        match self {
            Self::Key(fingerprint) => Arc::clone(fingerprint),
            Self::Address(None) => "nobody".into(),
            Self::Address(Some(address)) => {
                let named = fingerprint(address.to_string().as_bytes());
                named.replacen("key-", "address-", 1).into()
            }
        }
    }
}

/// What fingerprints are keyed with, so that they are of no use to other programs.
static FINGERPRINT_KEY: LazyLock<[u8; blake3::KEY_LEN]> =
    LazyLock::new(|| blake3::derive_key("portcullis 2026-11 api key fingerprint", b""));

/// Names a key without revealing it: 64 bits of a keyed hash.
pub(crate) fn fingerprint(key: &[u8]) -> String {
    let hex = blake3::keyed_hash(&FINGERPRINT_KEY, key).to_hex();
    format!("key-{}", hex.as_str().get(..16).unwrap_or_default())
}
