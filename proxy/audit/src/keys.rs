//! The journal's secrets: what checkpoints are signed with, and what fingerprints of texts are keyed with.
//!
//! Both come from one random number, in a file of the journal's own folder that only its user can read. Whoever can
//! write that folder can read it too: signatures are worth more the sooner they, or the public key, are noted elsewhere.

use std::fmt;
use std::io::{self, Read};
use std::str::FromStr;

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};

use crate::disk::{self, Disk};
use crate::hex;

/// Name of the file that holds the secret: 64 hexadecimal digits and a newline.
pub(crate) const KEY: &str = "journal.key";
/// Name of the file that holds the public key, to be copied elsewhere.
pub(crate) const PUBLIC: &str = "journal.pub";

const SECRET_BYTES: usize = 32;
const FILE_BYTES: u64 = 4096;

/// The secrets of one journal.
pub(crate) struct Keys {
    signing: SigningKey,
    /// Keys the fingerprints of texts.
    pub(crate) text: [u8; SECRET_BYTES],
}

/// An Ed25519 public key, written `ed25519:` and 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

/// An Ed25519 signature: 128 lower-case hexadecimal digits.
pub(crate) type SignatureText = String;

impl Keys {
    fn of(secret: &[u8; SECRET_BYTES]) -> Self {
        let derived = |context| blake3::derive_key(context, secret);
        Self {
            signing: SigningKey::from_bytes(&derived(
                "portcullis 2026-11 audit checkpoint signature",
            )),
            text: derived("portcullis 2026-11 audit text fingerprint"),
        }
    }

    pub(crate) fn public(&self) -> PublicKey {
        PublicKey(self.signing.verifying_key())
    }

    pub(crate) fn sign(&self, message: &[u8]) -> SignatureText {
        hex::encode(&self.signing.sign(message).to_bytes())
    }
}

impl PublicKey {
    /// Whether `signature` is this key's, of `message`.
    pub(crate) fn has_signed(&self, message: &[u8], signature: &str) -> bool {
        let signature = hex::decode::<{ Signature::BYTE_SIZE }>(signature.as_bytes());
        signature.is_some_and(|bytes| {
            self.0.verify_strict(message, &Signature::from_bytes(&bytes)).is_ok()
        })
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ed25519:{}", hex::encode(self.0.as_bytes()))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is no public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a public key is `ed25519:` and 64 lower-case hexadecimal digits")]
pub struct NotAKey;

impl FromStr for PublicKey {
    type Err = NotAKey;

    fn from_str(text: &str) -> Result<Self, NotAKey> {
        let digits = text.trim_end().strip_prefix("ed25519:").ok_or(NotAKey)?;
        let bytes = hex::decode(digits.as_bytes()).ok_or(NotAKey)?;
        VerifyingKey::from_bytes(&bytes).map(Self).map_err(|_| NotAKey)
    }
}

/// The secrets in `disk`; made if there are none.
///
/// A file that ends before its newline was never used, because the newline is on the disk before anything is signed; it
/// is written anew, unless the public key says that there was another.
pub(crate) fn ready(disk: &dyn Disk) -> io::Result<Keys> {
    let public = read(disk, PUBLIC)?;
    let keys = match read(disk, KEY)? {
        Some(text) => {
            let secret = hex::decode(text.trim_end().as_bytes());
            Keys::of(&secret.ok_or_else(|| invalid("`journal.key` is damaged"))?)
        }
        None if public.is_some() => {
            return Err(invalid(
                "`journal.key` is gone or cut, and `journal.pub` is of another key",
            ));
        }
        None => {
            let mut secret = [0; SECRET_BYTES];
            getrandom::fill(&mut secret).map_err(io::Error::other)?;
            write(disk, KEY, &hex::encode(&secret))?;
            Keys::of(&secret)
        }
    };
    let own = keys.public().to_string();
    match public {
        Some(public) if public.trim_end() == own => {}
        Some(_) => return Err(invalid("`journal.pub` is not of the key in `journal.key`")),
        None => write(disk, PUBLIC, &own)?,
    }
    Ok(keys)
}

/// The public key that stands beside the journal, if there is one.
pub(crate) fn public(disk: &dyn Disk) -> io::Result<Option<PublicKey>> {
    let text = read(disk, PUBLIC)?;
    let key = text.map(|text| text.parse().map_err(|error: NotAKey| invalid(&error.to_string())));
    key.transpose()
}

fn invalid(message: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

/// What stands in a file up to its newline; nothing if it is not there or not finished.
fn read(disk: &dyn Disk, name: &str) -> io::Result<Option<String>> {
    if !disk.files()?.iter().any(|file| file == name) {
        return Ok(None);
    }
    let mut text = String::new();
    disk.read(name, 0)?.take(FILE_BYTES).read_to_string(&mut text)?;
    Ok(text.ends_with('\n').then_some(text))
}

/// Writes a line into a file that is not there, or not finished, and makes it durable.
fn write(disk: &dyn Disk, name: &str, line: &str) -> io::Result<()> {
    let file = match disk.create(name) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let file = disk.append(name)?;
            file.truncate(0)?;
            file
        }
        created => created?,
    };
    disk::write_all(&*file, format!("{line}\n").as_bytes())?;
    file.sync()?;
    disk.sync()
}
