//! One issuer: whom it may name, and how that is proved.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use jsonwebtoken::{Algorithm, Header, Validation, decode};
use serde_json::{Map, Value};

use crate::claims::Requirement;
use crate::fault::Fault;
use crate::keys::KeySet;

/// What is accepted unless the operator says otherwise: OpenID Connect's own, and one for each other kind of key.
const ALGORITHMS: [Algorithm; 4] =
    [Algorithm::RS256, Algorithm::PS256, Algorithm::ES256, Algorithm::EdDSA];
/// How far clocks may be apart.
const LEEWAY: Duration = Duration::from_secs(30);
/// The most that they may be said to be.
const MOST_LEEWAY: Duration = Duration::from_secs(300);

/// Whom to believe, and what.
#[derive(Clone, Debug)]
pub struct Issuer {
    name: String,
    audiences: Vec<String>,
    algorithms: Vec<Algorithm>,
    leeway: Duration,
    require: Vec<Requirement>,
    names: Vec<(Arc<str>, Vec<Requirement>)>,
    forward: bool,
}

/// A setting of an issuer that makes no sense.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// Without one, any of the issuer's tokens would do, whomever it is meant for.
    #[error("there must be an audience: what the issuer's tokens for this guard say in `aud`")]
    NoAudience,
    /// Not a signature that only the issuer can make.
    #[error(
        "`{0}` is not an algorithm of public keys: RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384 or EdDSA"
    )]
    Algorithm(String),
    /// Clocks so far apart are wrong.
    #[error("clocks may be at most 300 seconds apart")]
    Leeway,
}

/// Whom a token has proved its holder to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Stands for issuer and subject in records: `sub-` and 16 hexadecimal digits.
    pub fingerprint: Arc<str>,
    /// What the operator calls holders of such tokens.
    pub name: Option<Arc<str>>,
    /// Whether the model server gets the token.
    pub forward: bool,
}

impl Issuer {
    /// Believes tokens of the issuer that calls itself `name` in `iss`, meant for one of `audiences`.
    ///
    /// # Errors
    /// When there is no audience.
    pub fn new(name: impl Into<String>, audiences: Vec<String>) -> Result<Self, Unusable> {
        if audiences.is_empty() {
            return Err(Unusable::NoAudience);
        }
        Ok(Self {
            name: name.into(),
            audiences,
            algorithms: ALGORITHMS.to_vec(),
            leeway: LEEWAY,
            require: Vec::new(),
            names: Vec::new(),
            forward: false,
        })
    }

    /// The same, and only if signed by one of these algorithms.
    ///
    /// # Errors
    /// When one of them is not known, or is one of shared secrets.
    pub fn signed_by(self, names: &[String]) -> Result<Self, Unusable> {
        let algorithm = |name: &String| {
            let known = name.parse().ok().filter(|known| !is_shared(*known));
            known.ok_or_else(|| Unusable::Algorithm(name.clone()))
        };
        let algorithms = names.iter().map(algorithm).collect::<Result<_, _>>()?;
        Ok(Self { algorithms, ..self })
    }

    /// The same, with clocks that are so far apart at most.
    ///
    /// # Errors
    /// When that is more than five minutes.
    pub fn leeway(self, leeway: Duration) -> Result<Self, Unusable> {
        if leeway > MOST_LEEWAY { Err(Unusable::Leeway) } else { Ok(Self { leeway, ..self }) }
    }

    /// The same, and only if they say all of this.
    #[must_use]
    pub fn requiring(self, require: Vec<Requirement>) -> Self {
        Self { require, ..self }
    }

    /// The same; who holds a token that says all of what stands beside a name is called by it. The first counts.
    #[must_use]
    pub fn naming(self, names: Vec<(String, Vec<Requirement>)>) -> Self {
        let names = names.into_iter().map(|(name, when)| (name.into(), when)).collect();
        Self { names, ..self }
    }

    /// The same, and tokens are handed on to the model server.
    #[must_use]
    pub fn forwarding(self, forward: bool) -> Self {
        Self { forward, ..self }
    }

    /// What it calls itself.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether a token with this header can be one of its tokens at all.
    pub(crate) fn accepts(&self, header: &Header) -> Result<(), Fault> {
        if header.crit.is_some() || header.enc.is_some() || header.zip.is_some() {
            return Err(Fault::Malformed);
        }
        match self.algorithms.contains(&header.alg) {
            true => Ok(()),
            false => Err(Fault::Algorithm),
        }
    }

    /// What `token` says, if one of `keys` has signed it, and for one of our audiences: with a subject, and in its time.
    pub(crate) fn claims(
        &self,
        token: &str,
        header: &Header,
        keys: &KeySet,
    ) -> Result<Map<String, Value>, Fault> {
        let key = keys.find(header)?;
        let mut validation = Validation::new(header.alg);
        validation.leeway = self.leeway.as_secs();
        validation.validate_nbf = true;
        validation.set_audience(&self.audiences);
        validation.set_issuer(&[&self.name]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        let claims = decode::<Map<String, Value>>(token, key, &validation)?.claims;
        let subject = claims.get("sub").and_then(Value::as_str);
        if subject.is_none_or(str::is_empty) { Err(Fault::Claims) } else { Ok(claims) }
    }

    /// Who holds `token`, if one of `keys` has signed it.
    pub(crate) fn prove(
        &self,
        token: &str,
        header: &Header,
        keys: &KeySet,
    ) -> Result<Identity, Fault> {
        let claims = self.claims(token, header, keys)?;
        if !self.require.iter().all(|required| required.holds(&claims)) {
            return Err(Fault::Claims);
        }
        let subject = claims.get("sub").and_then(Value::as_str);
        let mut names = self.names.iter();
        let named = names.find(|(_, when)| when.iter().all(|said| said.holds(&claims)));
        Ok(Identity {
            fingerprint: fingerprint(&self.name, subject.ok_or(Fault::Claims)?).into(),
            name: named.map(|(name, _)| Arc::clone(name)),
            forward: self.forward,
        })
    }
}

const fn is_shared(algorithm: Algorithm) -> bool {
    matches!(algorithm, Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512)
}

/// What fingerprints are keyed with, so that they are of no use to other programs.
static FINGERPRINT_KEY: LazyLock<[u8; blake3::KEY_LEN]> =
    LazyLock::new(|| blake3::derive_key("portcullis 2026-11 token subject fingerprint", b""));

/// Names a subject of an issuer without saying who it is: `sub-` and 64 bits of a keyed hash.
#[must_use]
pub fn fingerprint(issuer: &str, subject: &str) -> String {
    let mut hasher = blake3::Hasher::new_keyed(&FINGERPRINT_KEY);
    hasher.update(&(issuer.len() as u64).to_le_bytes()).update(issuer.as_bytes());
    let hex = hasher.update(subject.as_bytes()).finalize().to_hex();
    format!("sub-{}", hex.as_str().get(..16).unwrap_or_default())
}
