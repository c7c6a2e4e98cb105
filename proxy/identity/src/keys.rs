//! The public keys of an issuer (JWKS, RFC 7517).

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Header};
use serde::Deserialize;
use serde_json::Value;

use crate::fault::Fault;

/// No issuer has more keys at a time.
const MOST: usize = 64;
/// The shortest modulus of an RSA key, in bytes: 2048 bits.
const MODULUS: usize = 256;

/// The keys of an issuer at one time.
#[derive(Debug, Default)]
pub struct KeySet {
    keys: Vec<Key>,
}

#[derive(Debug)]
struct Key {
    id: Option<String>,
    /// What it may be used for.
    algorithms: Vec<Algorithm>,
    key: DecodingKey,
}

/// A document that is no set of keys.
#[derive(Debug, thiserror::Error)]
pub enum NotKeys {
    /// It cannot be read.
    #[error("this is not a set of keys (JWKS): {0}")]
    Unreadable(#[from] serde_json::Error),
    /// There are more keys than an issuer has.
    #[error("a set of {0} keys is larger than any issuer's")]
    TooMany(usize),
    /// Nothing in it can check a signature.
    #[error(
        "none of the keys is a public key for signatures (RSA of 2048 bits, P-256, P-384 or Ed25519)"
    )]
    None,
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<Value>,
}

impl KeySet {
    /// Reads a JWKS. Keys that are for something else, or of a kind that is not known, are passed over: issuers publish
    /// them beside the others. Shared secrets are among those.
    ///
    /// # Errors
    /// When it is no such document, or no key is left.
    pub fn parse(json: &[u8]) -> Result<Self, NotKeys> {
        let Document { keys } = serde_json::from_slice(json)?;
        if keys.len() > MOST {
            return Err(NotKeys::TooMany(keys.len()));
        }
        let read = keys.into_iter().filter_map(|key| serde_json::from_value(key).ok());
        let keys: Vec<Key> = read.filter_map(|key: Jwk| Key::of(&key)).collect();
        if keys.is_empty() { Err(NotKeys::None) } else { Ok(Self { keys }) }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The key that must have signed a token with this header. A token that names none can only be signed with the only
    /// key that there is.
    pub(crate) fn find(&self, header: &Header) -> Result<&DecodingKey, Fault> {
        let named = |key: &&Key| header.kid.is_none() || key.id == header.kid;
        let mut fit = self.keys.iter().filter(named).peekable();
        if fit.peek().is_none() || header.kid.is_none() && self.keys.len() > 1 {
            return Err(Fault::UnknownKey);
        }
        let key = fit.find(|key| key.algorithms.contains(&header.alg));
        key.map(|key| &key.key).ok_or(Fault::Algorithm)
    }
}

impl Key {
    fn of(jwk: &Jwk) -> Option<Self> {
        let common = &jwk.common;
        if !matches!(common.public_key_use, None | Some(PublicKeyUse::Signature)) {
            return None;
        }
        let key = DecodingKey::from_jwk(jwk).ok()?;
        let mut algorithms = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) if is_long(&key) => {
                use Algorithm::{PS256, PS384, PS512, RS256, RS384, RS512};
                vec![RS256, RS384, RS512, PS256, PS384, PS512]
            }
            AlgorithmParameters::EllipticCurve(curve) => match curve.curve {
                EllipticCurve::P256 => vec![Algorithm::ES256],
                EllipticCurve::P384 => vec![Algorithm::ES384],
                _ => return None,
            },
            AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => {
                vec![Algorithm::EdDSA]
            }
            _ => return None,
        };
        if let Some(only) = common.key_algorithm {
            let only = Algorithm::try_from(only).ok()?;
            algorithms.retain(|algorithm| *algorithm == only);
        }
        (!algorithms.is_empty()).then(|| Self { id: common.key_id.clone(), algorithms, key })
    }
}

fn is_long(key: &DecodingKey) -> bool {
    use jsonwebtoken::DecodingKeyKind::{RsaModulusExponent, SecretOrDer};
    match key.kind() {
        RsaModulusExponent { n, .. } => n.iter().skip_while(|byte| **byte == 0).count() >= MODULUS,
        SecretOrDer(_) => false,
    }
}
