//! Why a token proves nothing.

use jsonwebtoken::errors::{Error, ErrorKind};

/// Why a token proves nothing. Repeats nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It is not a token in its signed, compact form, or says that it must be understood in some other way.
    #[error("the token cannot be read")]
    Malformed,
    /// It is signed in a way that is not on the list, or not at all.
    #[error("the token is not signed by an algorithm that is accepted here")]
    Algorithm,
    /// Nobody who is believed here has issued it.
    #[error("the token's issuer is not accepted here")]
    Issuer,
    /// The issuer has no such key.
    #[error("the token is signed with a key that its issuer does not have")]
    UnknownKey,
    /// The issuer's keys are not known, or were fetched too long ago. Not the token's fault.
    #[error("the keys of the token's issuer are not known at the moment")]
    NoKeys,
    /// The key has not made this signature.
    #[error("the token's signature is wrong")]
    Signature,
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
    /// Its time has not come.
    #[error("the token is not valid yet")]
    NotYet,
    /// It is meant for somebody else.
    #[error("the token is meant for another audience")]
    Audience,
    /// It does not say what is required.
    #[error("the token does not say what is required here")]
    Claims,
    /// It is not the answer to this login.
    #[error("the token answers another login")]
    Nonce,
    /// It came with an access token that is not its own.
    #[error("the access token is not the one that the token was issued with")]
    AccessToken,
}

impl Fault {
    /// A stable code for records and clients.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Malformed => "token_malformed",
            Self::Algorithm => "token_algorithm",
            Self::Issuer => "token_issuer",
            Self::UnknownKey => "token_unknown_key",
            Self::NoKeys => "token_keys_unavailable",
            Self::Signature => "token_signature",
            Self::Expired => "token_expired",
            Self::NotYet => "token_not_yet_valid",
            Self::Audience => "token_audience",
            Self::Claims => "token_claims",
            Self::Nonce => "token_nonce",
            Self::AccessToken => "token_at_hash",
        }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        match error.kind() {
            ErrorKind::InvalidSignature => Self::Signature,
            ErrorKind::ExpiredSignature => Self::Expired,
            ErrorKind::ImmatureSignature => Self::NotYet,
            ErrorKind::InvalidIssuer => Self::Issuer,
            ErrorKind::InvalidAudience => Self::Audience,
            ErrorKind::MissingRequiredClaim(_) | ErrorKind::InvalidClaimFormat(_) => Self::Claims,
            ErrorKind::InvalidAlgorithm
            | ErrorKind::InvalidAlgorithmName
            | ErrorKind::MissingAlgorithm
            | ErrorKind::UnsupportedAlgorithm
            | ErrorKind::InvalidKeyFormat => Self::Algorithm,
            _ => Self::Malformed,
        }
    }
}
