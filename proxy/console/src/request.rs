//! What the browser asks for.

use std::net::IpAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, StatusCode, Uri, header};
use http_body::Body;
use http_body_util::BodyExt as _;
use serde::de::DeserializeOwned;

use crate::respond::Problem;

/// Largest body that is read, in bytes. A bulk action says its filter, not its decisions.
const BODY_BYTES: usize = 64 << 10;
/// How long a body may take to arrive.
const BODY_TIME: Duration = Duration::from_secs(10);

/// A request, all of it.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) remote: Option<IpAddr>,
    /// How far was looked for what this waits for.
    pub(crate) seen: Option<u64>,
}

impl Request {
    /// Reads all of `request`.
    pub(crate) async fn read<B>(
        request: http::Request<B>,
        remote: Option<IpAddr>,
    ) -> Result<Self, Problem>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let (head, body) = request.into_parts();
        let body = tokio::time::timeout(BODY_TIME, collect(body)).await.map_err(|_| {
            Problem::new(StatusCode::REQUEST_TIMEOUT, "The request took too long to arrive.")
        })??;
        let http::request::Parts { method, uri, headers, .. } = head;
        Ok(Self { method, uri, headers, body, remote, seen: None })
    }

    /// The parts of the path, percent escapes taken back.
    pub(crate) fn path(&self) -> Vec<String> {
        self.uri.path().split('/').filter(|part| !part.is_empty()).map(unescaped).collect()
    }

    /// A value of the query.
    pub(crate) fn query(&self, name: &str) -> Option<String> {
        let pairs = self.uri.query()?.split('&').filter_map(|pair| pair.split_once('='));
        pairs
            .filter(|(key, _)| *key == name)
            .map(|(_, value)| unescaped(&value.replace('+', " ")))
            .next()
    }

    /// A number of the query.
    pub(crate) fn number(&self, name: &str) -> Result<Option<u64>, Problem> {
        let Some(text) = self.query(name) else { return Ok(None) };
        let number =
            text.parse().map_err(|_| Problem::wrong(format!("`{name}` must be a number.")))?;
        Ok(Some(number))
    }

    /// The body, as JSON. Other media types are refused: a form on another page can send them.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        let media = self.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        if media.is_none_or(|media| media.split(';').next() != Some("application/json")) {
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "Send JSON."));
        }
        serde_json::from_slice(&self.body)
            .map_err(|error| Problem::wrong(format!("The request is not as it must be: {error}.")))
    }

    /// A cookie.
    pub(crate) fn cookie(&self, name: &str) -> Option<&str> {
        let lines =
            self.headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
        let mut pairs =
            lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.split_once('='));
        pairs.find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim())
    }
}

/// All of a body that is not too large.
async fn collect<B: Body<Data = Bytes> + Unpin>(mut body: B) -> Result<Bytes, Problem> {
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Problem::wrong("The request did not arrive."))?;
        bytes.extend_from_slice(&frame.into_data().unwrap_or_default());
        if bytes.len() > BODY_BYTES {
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "The request is too large."));
        }
    }
    Ok(bytes.freeze())
}

/// Text without percent escapes; what is no UTF-8 becomes a replacement character.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes().iter();
    while let Some(&byte) = rest.next() {
        let escape = rest.as_slice().first_chunk::<2>().filter(|_| byte == b'%');
        let value = escape.and_then(|digits| {
            let digits = str::from_utf8(digits).ok()?;
            u8::from_str_radix(digits, 16).ok()
        });
        match value {
            Some(value) => {
                bytes.push(value);
                rest.nth(1);
            }
            None => bytes.push(byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
