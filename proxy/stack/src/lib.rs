//! What happens to a request between the listener and the upstream, as tower layers.
//!
//! [`stack`] puts them together and is the page to read first. The types carry the order: a layer takes what
//! the one before it made ([`Arrival`], then an exchange with its record, then a request that was read), and
//! the upstream takes only what was cleared, which only the guard can make.
//!
//! Nothing here names a model or a wire format's fields.

mod active;
mod admin;
mod admission;
mod arrival;
mod audit_metrics;
mod authenticate;
mod catch_panic;
mod circuit;
mod cut_off;
mod denial;
mod expiry;
mod guard;
mod headers;
mod health;
mod keys;
mod limit;
mod limits;
mod metrics;
mod policy_metrics;
mod read;
mod record;
mod reply;
mod request_metrics;
mod respond;
mod routes;
mod signed;
mod stack;
mod trace;
mod upstream;

pub use active::{ActivePolicy, Candidate, Refused, Reloaded};
pub use admin::admin;
pub use arrival::{Arrival, HttpFault, RequestBody};
pub use circuit::Circuit;
pub use cut_off::CutOff;
pub use guard::{Check, Cleared, Panel};
pub use health::Health;
pub use keys::{KeyNames, fingerprint};
pub use limit::{SharedLimits, SharedSettings, Without};
pub use limits::Limits;
pub use metrics::Metrics;
pub use reply::ReplyBody;
pub use respond::unrecognised;
pub use signed::{Afterwards, Fetch, Signed};
pub use stack::{Gate, Parts, stack};
pub use trace::{Conventions, SpanCounts, Tracing};
pub use upstream::{Network, OwnUpstream, Target, TargetError, Upstream, UpstreamBody};
