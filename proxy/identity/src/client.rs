//! Ourselves as a client of a provider: what must be true of the ID token that a login brings back (OpenID Connect Core
//! 1.0, section 3.1.3.7).

use aws_lc_rs::digest::{Algorithm as Digest, SHA256, SHA384, SHA512, digest};
use data_encoding::BASE64URL_NOPAD;
use jsonwebtoken::Algorithm;
use serde_json::{Map, Value};

use crate::claims::Claims;
use crate::fault::Fault;
use crate::issuer::{Issuer, Unusable};
use crate::issuers::header;
use crate::keys::KeySet;

/// Ourselves, as a provider knows us.
#[derive(Clone, Debug)]
pub struct Client {
    id: String,
    issuer: Issuer,
}

impl Client {
    /// `id` is what the provider that calls itself `issuer` calls us.
    ///
    /// # Errors
    /// When `id` is empty.
    pub fn new(id: impl Into<String>, issuer: &str) -> Result<Self, Unusable> {
        let id = id.into();
        let audiences = Some(id.clone()).filter(|id| !id.is_empty()).into_iter().collect();
        Ok(Self { issuer: Issuer::new(issuer, audiences)?, id })
    }

    /// What the provider calls us.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What the provider calls itself.
    #[must_use]
    pub fn issuer(&self) -> &str {
        self.issuer.name()
    }

    /// What `token` says of who logged in: if one of `keys` has signed it, for us and nobody else, as the answer to the
    /// login with this `nonce`, and together with `access_token`, where it names one.
    ///
    /// # Errors
    /// When any of that is not so.
    pub fn believe(
        &self,
        (token, access_token): (&str, Option<&str>),
        keys: &KeySet,
        nonce: &str,
    ) -> Result<Claims, Fault> {
        let header = header(token)?;
        self.issuer.accepts(&header)?;
        let claims = self.issuer.claims(token, &header, keys)?;
        self.is_for_us(&claims)?;
        if nonce.is_empty() || claims.get("nonce").and_then(Value::as_str) != Some(nonce) {
            return Err(Fault::Nonce);
        }
        match (claims.get("at_hash"), access_token) {
            (Some(hash), Some(access)) if *hash != half_digest(header.alg, access) => {
                Err(Fault::AccessToken)
            }
            _ => Ok(Claims::new(claims)),
        }
    }

    /// Where others are named beside us, we must be the one that it was issued to.
    fn is_for_us(&self, claims: &Map<String, Value>) -> Result<(), Fault> {
        let others = claims.get("aud").and_then(Value::as_array).is_some_and(|all| all.len() > 1);
        match claims.get("azp").and_then(Value::as_str) {
            Some(party) if party == self.id => Ok(()),
            None if !others && !claims.contains_key("azp") => Ok(()),
            _ => Err(Fault::Audience),
        }
    }
}

/// The challenge to a secret by which whoever began a login proves it (PKCE, RFC 7636, `S256`).
#[must_use]
pub fn challenge(verifier: &str) -> String {
    BASE64URL_NOPAD.encode(digest(&SHA256, verifier.as_bytes()).as_ref())
}

/// What a token that is signed by `algorithm` says of the access token beside it.
fn half_digest(algorithm: Algorithm, access_token: &str) -> String {
    let kind: &Digest = match algorithm {
        Algorithm::RS384 | Algorithm::PS384 | Algorithm::ES384 => &SHA384,
        Algorithm::RS512 | Algorithm::PS512 | Algorithm::EdDSA => &SHA512,
        _ => &SHA256,
    };
    let digest = digest(kind, access_token.as_bytes());
    let half = digest.as_ref().get(..digest.as_ref().len() / 2).unwrap_or_default();
    BASE64URL_NOPAD.encode(half)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_those_of_the_standards() {
        // RFC 7636, appendix B.
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        assert_eq!(challenge(verifier), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
        // OpenID Connect Core 1.0, appendix A.4.
        let access = "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y";
        assert_eq!(half_digest(Algorithm::RS256, access), "77QmUPtjPfzWtF2AnpK9RQ");
    }
}
