//! How much one API key may use.

use std::num::NonZeroU32;
use std::time::Duration;

/// So many in such a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Quota {
    /// How many.
    pub count: NonZeroU32,
    /// In how long.
    pub per: Duration,
}

/// What one API key may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Limits {
    /// Requests.
    pub requests: Option<Quota>,
    /// Tokens of requests and answers together.
    pub tokens: Option<Quota>,
    /// Blocked attempts.
    pub blocked: Option<BlockedBudget>,
}

/// How often a key may be blocked before it is paused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BlockedBudget {
    /// Blocks that are nothing special; one more pauses the key.
    pub allow: Quota,
    /// How long a paused key is refused.
    pub pause: Duration,
}
