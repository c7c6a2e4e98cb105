//! The routes that are served. Whatever is not listed here is refused.

use http::{Method, Uri};
use proxy_dialects::{Contract, Dialect, Shield};

use crate::denial::Denial;

/// What becomes of a request for a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Posture {
    /// `POST`: read, judged, forwarded, and the answer judged too.
    Guarded(Dialect),
    /// `GET`: nothing of the request goes to the model server, and only what a closed table names comes back.
    Harmless {
        /// The model that is asked about.
        id: Option<String>,
    },
    /// `POST`: texts that somebody asks about are judged, and that is the answer.
    Checked(Contract),
    /// `GET`: what there is to ask.
    Shields(Shield),
}

/// What the record says about why nothing was judged.
pub(crate) const HARMLESS: &str = "harmless_route";

/// The list of models.
const MODELS: &str = "/v1/models";
/// The longest word of a path that is no route, in letters.
const WORD: usize = 24;
/// The longest identifier in a path, in bytes.
const ID_BYTES: usize = 256;

/// What becomes of a request; `checks` says whether questions about texts are answered. Paths are compared with the raw path: one that merely decodes to a path is not it.
///
/// Refused among many others, because they would take text around the guard: vLLM's `/invocations` (the same
/// inference as under `/v1`), `/tokenize`, `/pooling`, `/score`, and every stored object of OpenAI's API.
///
/// # Errors
/// When there is no such route, it takes another method, or there is a query.
pub(crate) fn route(method: &Method, uri: &Uri, checks: bool) -> Result<Posture, Denial> {
    let path = uri.path();
    let guarded = Dialect::at(path).map(Posture::Guarded).or_else(|| harmless(path));
    let posture =
        guarded.or_else(|| checks.then(|| check(path)).flatten()).ok_or(Denial::UnknownRoute)?;
    let takes = match posture {
        Posture::Guarded(_) | Posture::Checked(_) => &Method::POST,
        Posture::Harmless { .. } | Posture::Shields(_) => &Method::GET,
    };
    if method != takes {
        return Err(Denial::MethodNotAllowed(takes));
    }
    match uri.query() {
        None => Ok(posture),
        Some(query) if takes_query(&posture, query) => Ok(posture),
        Some(_) => Err(Denial::BadHttp("this route takes no query")),
    }
}

/// Anthropic's clients call their beta interface by this query and say in a header which betas they mean. Neither goes
/// on: the model server gets a plain request, and a field that only a beta knows is refused like any unknown one.
fn takes_query(posture: &Posture, query: &str) -> bool {
    *posture == Posture::Guarded(Dialect::ANTHROPIC_MESSAGES) && query == "beta=true"
}

fn harmless(path: &str) -> Option<Posture> {
    let rest = path.strip_prefix(MODELS)?;
    if rest.is_empty() {
        return Some(Posture::Harmless { id: None });
    }
    let id = rest.strip_prefix('/').filter(|id| is_id(id))?;
    Some(Posture::Harmless { id: Some(decoded(id)) })
}

fn check(path: &str) -> Option<Posture> {
    let checked = Contract::at(path).map(Posture::Checked);
    checked.or_else(|| Shield::at(path).map(Posture::Shields))
}

/// Whether somebody at this path may ask about texts of many others.
pub(crate) fn is_check(path: &str) -> bool {
    check(path).is_some()
}

/// The format of a path's requests, as metrics have it: one of few words.
pub(crate) fn spoken(path: &str) -> &'static str {
    match Dialect::at(path) {
        Some(dialect) => dialect.name(),
        None if harmless(path).is_some() => "models",
        None if is_check(path) => "check",
        None => "none",
    }
}

/// The route that serves `path`, as spans name it: the same for every identifier in it.
pub(crate) fn template(path: &str) -> Option<String> {
    match harmless(path) {
        Some(Posture::Harmless { id: Some(_) }) => Some(format!("{MODELS}/{{id}}")),
        Some(_) => Some(MODELS.to_owned()),
        None => (Dialect::at(path).is_some() || is_check(path)).then(|| path.to_owned()),
    }
}

/// A path as a record has it. Of one that is no route of ours, only plain words: people put keys into paths too.
pub(crate) fn recorded(path: &str) -> String {
    if Dialect::at(path).is_some() || harmless(path).is_some() || is_check(path) {
        return path.to_owned();
    }
    let letters = |part: &str| {
        part.len() <= WORD && part.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
    };
    let version = |part: &str| {
        part.strip_prefix('v')
            .is_some_and(|n| n.len() <= 2 && n.bytes().all(|b| b.is_ascii_digit()))
    };
    let parts = path.split('/').map(|part| if letters(part) || version(part) { part } else { "*" });
    parts.collect::<Vec<_>>().join("/")
}

/// Every route to the model server, in words.
pub(crate) fn served() -> String {
    let guarded = Dialect::ALL.iter().map(|dialect| format!("POST /v1{}, ", dialect.path()));
    let mut checked: Vec<&str> = Contract::ALL.iter().map(|contract| contract.path()).collect();
    checked.dedup();
    let checked = checked.into_iter().map(|path| format!("POST {path}, "));
    guarded.chain(checked).collect::<String>() + &format!("GET {MODELS}, GET {MODELS}/{{id}}")
}

/// Whether this is an identifier as a path may carry it: letters, digits and `-._:@`, its parts separated by `/` or
/// `%2F`, none of them made of dots alone.
fn is_id(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:@".contains(&byte);
    let is_part = |part: &str| part.bytes().all(plain) && part.bytes().any(|byte| byte != b'.');
    text.len() <= ID_BYTES && decoded(text).split('/').all(is_part)
}

/// An identifier with its slashes as they are.
fn decoded(id: &str) -> String {
    id.replace("%2F", "/").replace("%2f", "/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_is_no_route_is_recorded_without_what_may_be_a_secret() {
        for (path, kept) in [
            ("/v1/chat/completions", "/v1/chat/completions"),
            ("/v1/models/meta-llama/Llama-3", "/v1/models/meta-llama/Llama-3"),
            ("/v1/fine_tuning/jobs", "/v1/fine_tuning/jobs"),
            ("/bot123:AAF/send", "/*/send"),
            ("/v1/files/sk-1/content", "/v1/files/*/content"),
            ("/v123/abcdefghijklmnopqrstuvwxyz", "/*/*"),
            ("//", "//"),
        ] {
            assert_eq!(recorded(path), kept);
        }
    }

    #[test]
    fn identifiers_are_no_paths() {
        for id in ["m", "meta-llama/Llama-3.1-8B", "a%2Fb", "ft:gpt:org::1", "llama3.2:3b", "a@b"] {
            assert!(is_id(id), "{id}");
        }
        for id in [
            "",
            "/",
            "a/",
            "/a",
            "a//b",
            ".",
            "..",
            "a/../b",
            "a%2F..%2Fb",
            "a;b",
            "%61",
            "a%252Fb",
            "a b",
        ] {
            assert!(!is_id(id), "{id}");
        }
    }
}
