//! The proof that a decision was made.

/// Something the guard has let through: with a verdict, or before it where the policy says `forward: race`.
///
/// The field is private and only the guard makes one, so calling the upstream without a verdict does not compile:
///
/// ```compile_fail
/// let forged = proxy_stack::Cleared { inner: "a request that nobody judged" };
/// ```
///
/// ```compile_fail
/// let forged = proxy_stack::Cleared::grant("a request that nobody judged");
/// ```
#[derive(Debug)]
pub struct Cleared<R> {
    inner: R,
}

impl<R> Cleared<R> {
    /// To be called with its record written, and with a decision that lets `inner` pass or a policy that lets it go before.
    pub(super) const fn grant(inner: R) -> Self {
        Self { inner }
    }

    /// What was let through.
    pub(crate) fn into_inner(self) -> R {
        self.inner
    }
}
