//! Events as they are written: one canonical form.

/// One event carrying `data`, which holds no line break (as JSON without white space never does).
#[must_use]
pub fn encode(data: &[u8]) -> Vec<u8> {
    [b"data: ", data, b"\n\n"].concat()
}

/// A comment: clients ignore it, and connections that are silent too long are closed by others.
#[must_use]
pub const fn keep_alive() -> &'static [u8] {
    b": still judging\n\n"
}
