//! Secrets that nobody can guess.

use data_encoding::BASE64URL_NOPAD;

/// Random bytes of a token: nobody tries 2^256 of them.
const BYTES: usize = 32;

/// A new token, of letters, digits, `-` and `_`.
///
/// # Errors
/// The system has no random numbers.
pub(crate) fn new() -> Result<String, getrandom::Error> {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes)?;
    Ok(BASE64URL_NOPAD.encode(&bytes))
}

/// Whether two tokens are the same, in a time that does not say how far they agree.
pub(crate) fn same(one: &str, other: &str) -> bool {
    blake3::hash(one.as_bytes()) == blake3::hash(other.as_bytes())
}
