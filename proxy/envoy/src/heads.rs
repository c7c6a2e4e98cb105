//! Heads of requests and answers, between Envoy's messages and the `http` crate's types.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, Version,
};

use crate::messages::{self, AppendAction, HeaderMutation, HeaderValueOption};

/// Why a head cannot be read.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Unreadable(pub(crate) &'static str);

/// A head as Envoy tells it: pseudo-headers begin with a colon.
pub(crate) struct Told {
    pseudo: Vec<(String, Bytes)>,
    headers: HeaderMap,
}

impl Told {
    pub(crate) fn read(told: Option<messages::HeaderMap>) -> Result<Self, Unreadable> {
        let (mut pseudo, mut headers) = (Vec::new(), HeaderMap::new());
        for messages::HeaderValue { key, value, raw_value } in told.unwrap_or_default().headers {
            let value = if raw_value.is_empty() { value.into() } else { raw_value };
            if key.starts_with(':') {
                pseudo.push((key, value));
                continue;
            }
            let name = HeaderName::from_bytes(key.as_bytes());
            let name = name.map_err(|_| Unreadable("a header has an impossible name"))?;
            let value = HeaderValue::from_maybe_shared(value)
                .map_err(|_| Unreadable("a header has an impossible value"))?;
            headers.append(name, value);
        }
        Ok(Self { pseudo, headers })
    }

    /// The names of the headers.
    pub(crate) fn names(&self) -> Vec<HeaderName> {
        self.headers.keys().cloned().collect()
    }

    fn pseudo(&self, name: &str) -> Result<&[u8], Unreadable> {
        let mut values = self.pseudo.iter().filter(|(key, _)| key == name);
        match (values.next(), values.next()) {
            (Some((_, value)), None) => Ok(value),
            _ => Err(Unreadable("a pseudo-header is missing, or there twice")),
        }
    }

    /// The request that it is the head of.
    pub(crate) fn request<B>(self, body: B) -> Result<Request<B>, Unreadable> {
        let uri = Uri::builder()
            .scheme("http")
            .authority(self.pseudo(":authority")?)
            .path_and_query(self.pseudo(":path")?)
            .build()
            .map_err(|_| Unreadable("the request target is no path"))?;
        let method = Method::from_bytes(self.pseudo(":method")?)
            .map_err(|_| Unreadable("the method is none"))?;
        let mut request = Request::new(body);
        // Envoy has made one form of all versions.
        *request.version_mut() = Version::HTTP_2;
        *request.uri_mut() = uri;
        *request.method_mut() = method;
        *request.headers_mut() = self.headers;
        Ok(request)
    }

    /// The answer that it is the head of.
    pub(crate) fn response<B>(self, body: B) -> Result<Response<B>, Unreadable> {
        let status = StatusCode::from_bytes(self.pseudo(":status")?);
        let mut response = Response::new(body);
        *response.status_mut() = status.map_err(|_| Unreadable("the status is none"))?;
        *response.headers_mut() = self.headers;
        Ok(response)
    }
}

/// Headers that Envoy keeps to itself: it sets them anew, and lets nobody else change them.
fn is_envoys(name: &HeaderName) -> bool {
    name == http::header::HOST || name.as_str().starts_with("x-envoy-")
}

/// Makes a head that has the headers `before` one that has those of `after`, and `pseudo`.
pub(crate) fn changed(
    before: &[HeaderName],
    after: &HeaderMap,
    pseudo: Option<(&str, String)>,
) -> HeaderMutation {
    let gone = before.iter().filter(|name| !after.contains_key(*name) && !is_envoys(name));
    let mut set_headers = set(after);
    if let Some((name, value)) = pseudo {
        set_headers.push(option(name, value.into(), AppendAction::OverwriteIfExistsOrAdd));
    }
    HeaderMutation { set_headers, remove_headers: gone.map(ToString::to_string).collect() }
}

/// Each name's first value takes the place of what there was; the others are added.
pub(crate) fn set(headers: &HeaderMap) -> Vec<HeaderValueOption> {
    let mut options = Vec::with_capacity(headers.len());
    for name in headers.keys() {
        let mut action = AppendAction::OverwriteIfExistsOrAdd;
        for value in headers.get_all(name) {
            options.push(option(name.as_str(), Bytes::copy_from_slice(value.as_bytes()), action));
            action = AppendAction::AppendIfExistsOrAdd;
        }
    }
    options
}

fn option(name: &str, value: Bytes, action: AppendAction) -> HeaderValueOption {
    let header =
        messages::HeaderValue { key: name.to_owned(), value: String::new(), raw_value: value };
    HeaderValueOption { header: Some(header), append_action: action.into() }
}
