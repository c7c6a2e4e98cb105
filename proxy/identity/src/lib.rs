//! Who somebody is, by a token that an issuer has signed (JWT, RFC 7519).
//!
//! [`Issuers`] holds whom to believe and their keys of the moment, and judges callers' tokens (RFC 6750); nothing here
//! fetches anything. Whoever does fetches an issuer's keys when [`Issuers::wants`] says so, and hands them over.
//! [`Discovered`] is what a provider says of itself, where to find its keys among it, and [`Client`] judges what comes
//! back from a login there (OpenID Connect).
//!
//! Algorithms are those of public keys, from a list; a shared secret is none of them, so nobody can sign with what
//! everybody knows. Whatever cannot be proved is a [`Fault`], and a token with a fault is nobody.

mod claims;
mod client;
mod discovery;
mod fault;
mod issuer;
mod issuers;
mod keys;

pub use claims::{Claims, Requirement};
pub use client::{Client, challenge};
pub use discovery::{Discovered, NotProvider, is_safe, well_known};
pub use fault::Fault;
pub use issuer::{Identity, Issuer, Unusable, fingerprint};
pub use issuers::Issuers;
pub use keys::{KeySet, NotKeys};
