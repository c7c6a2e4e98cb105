//! Who a caller is, by a token that an issuer has signed (JWT, RFC 7519; as bearer, RFC 6750).
//!
//! [`Issuers`] holds whom to believe and their keys of the moment, and judges tokens; nothing here fetches anything.
//! Whoever does fetches an issuer's keys when [`Issuers::wants`] says so, and hands them over.
//!
//! Algorithms are those of public keys, from a list; a shared secret is none of them, so nobody can sign with what
//! everybody knows. Whatever cannot be proved is a [`Fault`], and a token with a fault is nobody.

mod claims;
mod fault;
mod issuer;
mod issuers;
mod keys;

pub use claims::Requirement;
pub use fault::Fault;
pub use issuer::{Identity, Issuer, Unusable, fingerprint};
pub use issuers::Issuers;
pub use keys::{KeySet, NotKeys};
