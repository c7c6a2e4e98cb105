//! The decision log, sent on as it is written to where a platform gathers such things: a JetStream subject of NATS, or
//! an object store.
//!
//! The log on the disk stays the truth. A sink is a reader of its segments on a thread of its own, at the pace of the
//! server that it sends to: nothing that decides waits for it, and nothing is queued for it. It remembers in a file
//! beside the log up to where the server has taken it, and goes on behind that after a fault or a restart.
//!
//! # Promises
//! - A record is sent once it is durable: what a receiver has stands in the log, also after a power cut.
//! - NATS is sent every record at least once, in the order of the log. What is sent again after a fault has the same
//!   message id, the record's hash. A message is the line as it stands in the log, so its hash and the chain can be
//!   checked by whoever receives it.
//! - An object store gets every segment once, as it stands, under its own name: what it has is read back and compared,
//!   and nothing is overwritten. Of the segment that is being written it gets the durable records in parts.

mod bucket;
mod counts;
mod error;
mod feed;
mod nats;
mod position;
mod secret;
mod sink;

pub use bucket::{Bucket, BucketSettings, Fetched};
pub use error::{BucketMisuse, NatsMisuse, SinkError};
pub use nats::{Login, Nats, NatsSettings};
pub use position::{Unsent, unsent};
pub use secret::Secret;
pub use sink::{Sink, Target};
