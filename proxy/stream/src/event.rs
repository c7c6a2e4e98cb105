//! What is sent while there is nothing to send.

/// A comment: clients ignore it, and connections that are silent too long are closed by others.
#[must_use]
pub const fn keep_alive() -> &'static [u8] {
    b": still judging\n\n"
}
