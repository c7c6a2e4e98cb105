//! Ed25519 keys: as this program writes them, and as OpenSSL does.

use std::fmt;
use std::io;
use std::str::FromStr;

use data_encoding::{BASE64, HEXLOWER};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};

/// What stands before the 32 bytes of a public key in its only DER form (RFC 8410).
const PUBLIC_DER: [u8; 12] = [48, 42, 48, 5, 6, 3, 43, 101, 112, 3, 33, 0];
/// What stands before the 32 bytes of a secret key in PKCS #8, version 1.
const SECRET_DER: [u8; 16] = [48, 46, 2, 1, 0, 48, 5, 6, 3, 43, 101, 112, 4, 34, 4, 32];

/// A key whose signatures are believed, written `ed25519:` and 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

/// A key that signs.
pub struct SecretKey(SigningKey);

/// A text that is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAKey {
    /// Where a public key was expected.
    #[error(
        "a public key is `ed25519:` and 64 lower-case hexadecimal digits, or PEM of an Ed25519 key"
    )]
    Public,
    /// Where a secret key was expected.
    #[error("a secret key is PEM (PKCS #8, not encrypted) of an Ed25519 key")]
    Secret,
}

impl PublicKey {
    /// Whether `signature` is this key's, of `message`.
    pub(crate) fn has_signed(&self, message: &[u8], signature: &Signature) -> bool {
        self.0.verify_strict(message, signature).is_ok()
    }
}

impl FromStr for PublicKey {
    type Err = NotAKey;

    fn from_str(text: &str) -> Result<Self, NotAKey> {
        let bytes = match text.trim().strip_prefix("ed25519:") {
            Some(digits) => HEXLOWER.decode(digits.as_bytes()).ok(),
            None => pem(text, "PUBLIC KEY", &PUBLIC_DER),
        };
        let bytes = bytes.and_then(|bytes| bytes.try_into().ok()).ok_or(NotAKey::Public)?;
        let key = VerifyingKey::from_bytes(&bytes).map_err(|_| NotAKey::Public)?;
        // A weak key has signed everything.
        if key.is_weak() { Err(NotAKey::Public) } else { Ok(Self(key)) }
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ed25519:{}", HEXLOWER.encode(self.0.as_bytes()))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl SecretKey {
    /// A new one.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub fn generate() -> io::Result<Self> {
        let mut secret = [0; ed25519_dalek::SECRET_KEY_LENGTH];
        getrandom::fill(&mut secret).map_err(io::Error::other)?;
        Ok(Self(SigningKey::from_bytes(&secret)))
    }

    /// The key that others know it by.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    /// As PEM (PKCS #8), which OpenSSL reads too. It is the secret itself.
    #[must_use]
    pub fn to_pem(&self) -> String {
        let der = [&SECRET_DER[..], self.0.as_bytes()].concat();
        format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", BASE64.encode(&der))
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Signature {
        self.0.sign(message)
    }
}

impl FromStr for SecretKey {
    type Err = NotAKey;

    fn from_str(text: &str) -> Result<Self, NotAKey> {
        let bytes = pem(text, "PRIVATE KEY", &SECRET_DER);
        let bytes = bytes.and_then(|bytes| bytes.try_into().ok()).ok_or(NotAKey::Secret)?;
        Ok(Self(SigningKey::from_bytes(&bytes)))
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey(of {})", self.public())
    }
}

/// What follows `prefix` in the DER of a PEM document with this label.
fn pem(text: &str, label: &str, prefix: &[u8]) -> Option<Vec<u8>> {
    let body = text.trim().strip_prefix(&format!("-----BEGIN {label}-----"))?;
    let body = body.strip_suffix(&format!("-----END {label}-----"))?;
    let digits: String = body.split_whitespace().collect();
    let der = BASE64.decode(digits.as_bytes()).ok()?;
    der.strip_prefix(prefix).map(<[u8]>::to_vec)
}
