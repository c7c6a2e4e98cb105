//! Every way in which a request ends without the upstream's answer.

use std::time::Duration;

use http::{Method, StatusCode};
use policies::Decision;
use proxy_dialects::{Dialect, ReadError};
use proxy_identity::Fault;

use crate::HttpFault;

/// Why a caller does not get an answer. What a caller is told about it is in `respond`, and nowhere else.
#[derive(Debug)]
pub(crate) enum Denial {
    /// No such route; everything that is not listed is refused.
    UnknownRoute,
    /// The route exists, but only with this method.
    MethodNotAllowed(&'static Method),
    /// The model server does not list a model of this name.
    UnknownModel,
    /// The request is not plain HTTP as we expect it; says what is wrong.
    BadHttp(&'static str),
    /// The body's media type or encoding is not one we read; says which are.
    UnsupportedMedia(&'static str),
    /// The head is larger than any client's.
    HeadTooLarge,
    /// The body is larger than this many bytes.
    TooLarge(usize),
    /// The request took too long to arrive.
    TooSlow,
    /// The body is not a request we understand.
    Malformed(ReadError),
    /// Only keys with a name come in, and this is none.
    UnknownKey,
    /// The caller's token does not prove who it is.
    Token(Fault),
    /// The caller has used up its quota.
    RateLimited {
        /// Requests allowed in a period.
        limit: u32,
        /// When it pays to try again.
        retry_after: Duration,
    },
    /// The caller has used up its tokens.
    TokensUsedUp {
        /// Tokens allowed in a period.
        limit: u32,
        /// When it pays to try again.
        retry_after: Duration,
    },
    /// The caller was blocked again and again.
    Paused {
        /// When it pays to try again.
        retry_after: Duration,
    },
    /// What the caller has used cannot be counted together with other guards, and the server is to refuse then.
    LimitsUnavailable,
    /// The policy in force has expired, and nothing is to be let through then.
    PolicyExpired,
    /// Too many exchanges are under way.
    Overloaded,
    /// The policy blocks the request.
    Blocked(Box<Block>),
    /// A check gave no verdict, and the policy does not let that pass.
    GuardUnavailable,
    /// The decision cannot be recorded.
    AuditUnavailable,
    /// The upstream has as many requests as it is allowed.
    UpstreamBusy,
    /// The upstream has failed again and again.
    UpstreamResting {
        /// When it pays to try again.
        retry_after: Duration,
    },
    /// The upstream cannot be reached.
    UpstreamUnreachable,
    /// The upstream did not answer in time.
    UpstreamTimeout,
    /// The upstream's answer cannot be read; says why, for the record.
    UpstreamInvalid(String),
    /// The upstream refused the request.
    UpstreamStatus {
        /// With this status.
        status: StatusCode,
        /// Its explanation, if it was cleared for the client.
        message: Option<String>,
        /// When it pays to try again, in seconds.
        retry_after: Option<u64>,
    },
}

impl From<HttpFault> for Denial {
    fn from(fault: HttpFault) -> Self {
        match fault {
            HttpFault::Malformed(why) => Self::BadHttp(why),
            HttpFault::HeadTooLarge => Self::HeadTooLarge,
            HttpFault::TooSlow => Self::TooSlow,
        }
    }
}

/// A request that the policy blocks, with what is needed to answer it.
#[derive(Debug)]
pub(crate) struct Block {
    /// The decision.
    pub(crate) decision: Decision,
    /// Where the strongest reason stands: a JSON pointer.
    pub(crate) at: Option<String>,
    /// The format of the request.
    pub(crate) dialect: Dialect,
    /// The model that was asked for.
    pub(crate) model: String,
    /// Whether a streamed answer was asked for, and with usage.
    pub(crate) stream: Option<WantsUsage>,
    /// How many choices were asked for.
    pub(crate) choices: u64,
    /// The language the caller reads.
    pub(crate) language: Option<String>,
}

/// Whether a streamed answer shall end with a usage chunk.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WantsUsage(pub(crate) bool);
