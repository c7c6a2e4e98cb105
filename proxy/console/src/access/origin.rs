//! Whether a request is meant for this page and comes from it.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, Uri, header};

/// The names this page may be called by. Another name means that a browser was led here by somebody else's domain
/// (DNS rebinding).
#[derive(Clone, Debug)]
pub(crate) struct Hosts(Vec<String>);

impl Hosts {
    /// The names of the machine itself at the port of `address`, and `more`: names with a port, or without one where
    /// that is the usual one.
    pub(crate) fn new(address: SocketAddr, more: &[String]) -> Self {
        let port = address.port();
        let own =
            [format!("localhost:{port}"), format!("127.0.0.1:{port}"), format!("[::1]:{port}")];
        let address = (!address.ip().is_unspecified()).then(|| address.to_string());
        let more = more.iter().map(|name| name.to_ascii_lowercase());
        Self(own.into_iter().chain(address).chain(more).collect())
    }

    /// Whether the request names one of them: its `Host`, or the authority of its target, and no other beside.
    pub(crate) fn is_known(&self, uri: &Uri, headers: &HeaderMap) -> bool {
        let hosts = headers.get_all(header::HOST).iter().map(|value| value.to_str().ok());
        let authority = uri.authority().map(|authority| Some(authority.as_str()));
        let mut named = hosts.chain(authority).peekable();
        named.peek().is_some() && named.all(|name| name.is_some_and(|name| self.has(name)))
    }

    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|known| known.eq_ignore_ascii_case(name))
    }

    /// Whether a page of `origin` is one of these.
    fn is_origin(&self, origin: &str) -> bool {
        ["http://", "https://"]
            .iter()
            .filter_map(|scheme| origin.strip_prefix(scheme))
            .any(|name| self.has(name))
    }
}

/// Whether a request that changes something comes from our own page, by what browsers say about it and pages cannot
/// change.
pub(crate) fn is_own_page(hosts: &Hosts, headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let same_site = text("sec-fetch-site").is_none_or(|site| site == "same-origin");
    let same_origin = text("origin").is_none_or(|origin| hosts.is_origin(origin));
    same_site && same_origin
}

/// The address that a server in front saw: it adds the one who spoke to it at the end, behind whatever they claimed.
pub(crate) fn forwarded_for(headers: &HeaderMap) -> Option<IpAddr> {
    let last = headers.get_all("x-forwarded-for").iter().next_back()?.to_str().ok()?;
    let last = last.rsplit(',').next()?.trim();
    last.parse().ok().or_else(|| last.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = pairs.iter().map(|(name, value)| (http::HeaderName::from_static(name), *value));
        pairs.map(|(name, value)| (name, http::HeaderValue::from_static(value))).collect()
    }

    fn hosts() -> Hosts {
        let address = "127.0.0.1:9000".parse().expect("an address");
        Hosts::new(address, &["review.example.com".to_owned()])
    }

    #[test]
    fn only_names_of_our_own_are_known() {
        let uri = Uri::from_static("/");
        for (name, known) in [
            ("127.0.0.1:9000", true),
            ("LOCALHOST:9000", true),
            ("[::1]:9000", true),
            ("review.example.com", true),
            ("127.0.0.1", false),
            ("127.0.0.1:9001", false),
            ("evil.example.com", false),
            ("review.example.com.evil.example", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, name.parse().expect("a value"));
            assert_eq!(hosts().is_known(&uri, &headers), known, "{name}");
        }
        assert!(!hosts().is_known(&uri, &HeaderMap::new()), "no name at all");
        let own = headers(&[("host", "localhost:9000")]);
        assert!(!hosts().is_known(&Uri::from_static("http://evil.example/"), &own));
    }

    #[test]
    fn another_page_is_not_our_own() {
        let hosts = hosts();
        for (pairs, own) in [
            (&[][..], true),
            (&[("origin", "http://127.0.0.1:9000")], true),
            (&[("origin", "https://review.example.com"), ("sec-fetch-site", "same-origin")], true),
            (&[("origin", "http://evil.example")], false),
            (&[("origin", "null")], false),
            (&[("sec-fetch-site", "same-site")], false),
            (&[("sec-fetch-site", "cross-site")], false),
        ] {
            assert_eq!(is_own_page(&hosts, &headers(pairs)), own, "{pairs:?}");
        }
    }

    #[test]
    fn an_address_is_the_one_that_the_server_in_front_saw() {
        for (values, expected) in [
            (&["192.0.2.1"][..], Some("192.0.2.1")),
            (&["10.9.9.9, 192.0.2.1"], Some("192.0.2.1")),
            (&["192.0.2.9", "10.9.9.9,192.0.2.1:4711"], Some("192.0.2.1")),
            (&["[2001:db8::1]:443"], Some("2001:db8::1")),
            (&["192.0.2.1, unknown"], None),
            (&[], None),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append("x-forwarded-for", value.parse().expect("a value"));
            }
            let expected = expected.map(|address| address.parse().expect("an address"));
            assert_eq!(forwarded_for(&headers), expected, "{values:?}");
        }
    }
}
