//! What goes back to the browser.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use serde::Serialize;

use crate::assets::Asset;

/// What the page may do: run and look like its own files, ask its own server, and nothing else. Whatever would turn text
/// into markup or code is refused by the browser.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; \
    form-action 'self'; frame-ancestors 'none'; base-uri 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

const COMMON: &[(&str, &str)] = &[
    ("content-security-policy", POLICY),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("x-frame-options", "DENY"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("permissions-policy", "camera=(), microphone=(), geolocation=(), payment=(), usb=()"),
];

/// An answer, before it is one of HTTP.
#[derive(Debug)]
pub(crate) struct Reply {
    status: StatusCode,
    media: &'static str,
    body: Bytes,
    headers: Vec<(HeaderName, String)>,
    /// Nothing has happened yet that was asked about, up to the record of this number: ask again.
    pub(crate) nothing_until: Option<u64>,
}

/// Why something is refused: what the page may say about it.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    pub(crate) message: String,
    /// After how many seconds it may be tried again.
    pub(crate) retry_after: Option<u64>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), retry_after: None }
    }

    /// What was asked makes no sense.
    pub(crate) fn wrong(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    pub(crate) fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, format!("There is no such {what}."))
    }

    pub(crate) fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, message)
    }

    /// Something that is ours to mend: said in the server's log, and in general to the page.
    pub(crate) fn ours(what: &str, error: &dyn std::error::Error) -> Self {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            text = format!("{text}: {cause}");
            source = cause.source();
        }
        tracing::error!(error = text, "{what}");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("Sorry: {what}. The server's log says why."),
        )
    }
}

impl From<proxy_index::IndexError> for Problem {
    fn from(error: proxy_index::IndexError) -> Self {
        if matches!(error, proxy_index::IndexError::TooSlow) {
            let message = "This takes too long. Narrow the filter, for example with since:24h.";
            return Self::new(StatusCode::UNPROCESSABLE_ENTITY, message);
        }
        if matches!(error, proxy_index::IndexError::Log(proxy_audit::ReadError::Damaged(_))) {
            return Self::ours("a record of this is not as it was written", &error);
        }
        Self::ours("the index of the log cannot be read", &error)
    }
}

impl From<proxy_index::FilterError> for Problem {
    fn from(error: proxy_index::FilterError) -> Self {
        Self::wrong(error.to_string())
    }
}

impl From<crate::UserError> for Problem {
    fn from(error: crate::UserError) -> Self {
        Self::ours("the users' file cannot be used", &error)
    }
}

impl Reply {
    fn new(status: StatusCode, media: &'static str, body: Bytes) -> Self {
        Self { status, media, body, headers: Vec::new(), nothing_until: None }
    }

    /// `value` as JSON.
    pub(crate) fn json(value: &impl Serialize) -> Self {
        match serde_json::to_vec(value) {
            Ok(body) => Self::new(StatusCode::OK, "application/json", body.into()),
            Err(error) => Problem::ours("an answer could not be written", &error).into(),
        }
    }

    /// A file to be saved, never to be shown.
    pub(crate) fn download(name: &str, body: Vec<u8>) -> Self {
        let mut reply = Self::new(StatusCode::OK, "text/plain; charset=utf-8", body.into());
        reply.header(header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\""));
        reply
    }

    pub(crate) fn asset(asset: &Asset) -> Self {
        let mut reply = Self::new(StatusCode::OK, asset.media, Bytes::from_static(asset.bytes));
        reply.header(header::CACHE_CONTROL, "no-cache".to_owned());
        reply
    }

    /// Sends the browser to another address, which it asks for with `GET`.
    pub(crate) fn redirect(to: String) -> Self {
        let mut reply = Self::new(StatusCode::SEE_OTHER, "text/plain; charset=utf-8", Bytes::new());
        reply.header(header::LOCATION, to);
        reply
    }

    /// Adds a header.
    pub(crate) fn header(&mut self, name: HeaderName, value: String) {
        self.headers.push((name, value));
    }

    /// The answer as HTTP has it.
    pub(crate) fn into_response(self) -> Response<Bytes> {
        let mut response = Response::new(self.body);
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        for (name, value) in COMMON {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.media));
        for (name, value) in self.headers {
            let Ok(value) = HeaderValue::from_str(&value) else { continue };
            if name == header::SET_COOKIE {
                headers.append(name, value);
            } else {
                headers.insert(name, value);
            }
        }
        response
    }
}

impl From<Problem> for Reply {
    fn from(problem: Problem) -> Self {
        let body = serde_json::json!({ "error": problem.message }).to_string();
        let mut reply = Self::new(problem.status, "application/json", body.into());
        if let Some(seconds) = problem.retry_after {
            reply.header(header::RETRY_AFTER, seconds.to_string());
        }
        reply
    }
}
