//! Signed policies: a policy document with who it is for, which comes after which, and until when it is good, in one
//! envelope that is signed as a whole.
//!
//! The envelope is a DSSE envelope (Dead Simple Signing Envelope, the one of in-toto and Sigstore): Ed25519 over the exact
//! bytes of the payload and its type, so nothing is read before its signature is checked, and a signature made for another
//! purpose is none here. No input, output or clock: whoever has fetched an envelope says what it expects of it.

mod envelope;
mod key;
mod statement;

pub use envelope::{LARGEST, Opened, open, sign};
pub use key::{NotAKey, PublicKey, SecretKey};
pub use statement::{Expected, Refused, Statement};
