//! What a provider says of itself (OpenID Connect Discovery 1.0): where its keys are, and where people log in.

use http::Uri;
use serde::Deserialize;

/// What a provider says of itself. Every address is one that [`is_safe`].
#[derive(Clone, Debug, Deserialize)]
pub struct Discovered {
    issuer: String,
    /// Where its keys are.
    pub jwks_uri: String,
    /// Where people log in.
    pub authorization_endpoint: Option<String>,
    /// Where what they bring back is turned into tokens.
    pub token_endpoint: Option<String>,
    /// Where more is said about who logged in.
    pub userinfo_endpoint: Option<String>,
    /// Where people log out.
    pub end_session_endpoint: Option<String>,
    /// How we may say at the token endpoint who we are; `client_secret_basic` where nothing is said.
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    /// Whether whoever comes back says from where, in `iss` (RFC 9207).
    #[serde(default, rename = "authorization_response_iss_parameter_supported")]
    pub says_issuer: bool,
}

/// A document that is not what the provider should say of itself.
#[derive(Debug, thiserror::Error)]
pub enum NotProvider {
    /// It cannot be read.
    #[error("this is not a provider's metadata (OpenID Connect Discovery): {0}")]
    Unreadable(#[from] serde_json::Error),
    /// It is about another issuer.
    #[error(
        "it is the metadata of another issuer: write `issuer` exactly as the provider does, with or without a slash at the end"
    )]
    Issuer,
    /// An address that others could listen to or change.
    #[error("its `{0}` neither begins with https:// nor is on this machine")]
    Unsafe(&'static str),
}

/// Where `issuer` says of itself what [`Discovered`] holds; nothing where its name is no address that [`is_safe`].
#[must_use]
pub fn well_known(issuer: &str) -> Option<String> {
    let plain = is_safe(issuer) && !issuer.contains(['?', '#']);
    let base = issuer.strip_suffix('/').unwrap_or(issuer);
    plain.then(|| format!("{base}/.well-known/openid-configuration"))
}

/// Whether nobody else can listen to or change what is said there: by https, or on this machine.
#[must_use]
pub fn is_safe(url: &str) -> bool {
    let Ok(uri) = url.parse::<Uri>() else { return false };
    if uri.authority().is_none_or(|authority| authority.as_str().contains('@')) {
        return false;
    }
    match uri.scheme_str() {
        Some("https") => true,
        Some("http") => matches!(uri.host(), Some("127.0.0.1" | "localhost" | "[::1]")),
        _ => false,
    }
}

impl Discovered {
    /// Reads what `issuer` says of itself.
    ///
    /// # Errors
    /// When it is no such document, is about another issuer, or names an address that is not safe.
    pub fn parse(json: &[u8], issuer: &str) -> Result<Self, NotProvider> {
        let said: Self = serde_json::from_slice(json)?;
        if said.issuer != issuer {
            return Err(NotProvider::Issuer);
        }
        let addresses = [
            ("jwks_uri", Some(&said.jwks_uri)),
            ("authorization_endpoint", said.authorization_endpoint.as_ref()),
            ("token_endpoint", said.token_endpoint.as_ref()),
            ("userinfo_endpoint", said.userinfo_endpoint.as_ref()),
            ("end_session_endpoint", said.end_session_endpoint.as_ref()),
        ];
        let odd = |(_, url): &(_, Option<&String>)| url.is_some_and(|url| !is_safe(url));
        let unsafe_one = addresses.into_iter().find(odd).map(|(name, _)| name);
        unsafe_one.map_or(Ok(said), |name| Err(NotProvider::Unsafe(name)))
    }

    /// Whether our secret goes into the body at the token endpoint, because it is not taken as `Authorization`.
    #[must_use]
    pub fn takes_secret_in_body(&self) -> bool {
        let methods = self.token_endpoint_auth_methods_supported.as_deref().unwrap_or_default();
        let has = |name: &str| methods.iter().any(|method| method == name);
        has("client_secret_post") && !has("client_secret_basic")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_provider_is_who_it_says_and_where_nobody_else_listens() {
        for (issuer, url) in [
            ("https://a.example", Some("https://a.example/.well-known/openid-configuration")),
            ("https://a.example/", Some("https://a.example/.well-known/openid-configuration")),
            (
                "https://a.example/r/b",
                Some("https://a.example/r/b/.well-known/openid-configuration"),
            ),
            ("http://127.0.0.1:1", Some("http://127.0.0.1:1/.well-known/openid-configuration")),
            ("http://a.example", None),
            ("http://localhost.example", None),
            ("http://127.0.0.1@a.example", None),
            ("https://a.example/?b", None),
            ("https://a.example/#b", None),
            ("a.example", None),
            ("kubernetes/serviceaccount", None),
        ] {
            assert_eq!(well_known(issuer).as_deref(), url, "{issuer}");
        }
        let base = json!({ "issuer": "https://a.example", "jwks_uri": "https://a.example/keys" });
        let with = |name: &str, value: Value| {
            let mut document = base.clone();
            document[name] = value;
            Discovered::parse(document.to_string().as_bytes(), "https://a.example")
        };
        assert!(with("more", json!(["of", "it"])).is_ok());
        for (name, value) in [
            ("issuer", json!("https://a.example/")),
            ("issuer", json!("https://A.example")),
            ("issuer", Value::Null),
            ("jwks_uri", Value::Null),
            ("jwks_uri", json!("http://a.example/keys")),
            ("token_endpoint", json!("http://a.example/token")),
            ("authorization_endpoint", json!("javascript:alert(1)")),
            ("userinfo_endpoint", json!("//a.example")),
            ("end_session_endpoint", json!("https://a.example/\r\nset-cookie: a=b")),
        ] {
            assert!(with(name, value.clone()).is_err(), "{name}: {value}");
        }
    }

    #[test]
    fn a_secret_is_in_the_body_only_where_that_is_the_way() {
        for (methods, body) in [
            (json!(null), false),
            (json!(["client_secret_basic", "client_secret_post"]), false),
            (json!(["client_secret_post"]), true),
            (json!(["private_key_jwt"]), false),
        ] {
            let document = json!({ "issuer": "https://a.example", "jwks_uri": "https://a.example/",
                "token_endpoint_auth_methods_supported": methods });
            let said = Discovered::parse(document.to_string().as_bytes(), "https://a.example");
            assert_eq!(said.expect("it is one").takes_secret_in_body(), body, "{methods}");
        }
    }
}
