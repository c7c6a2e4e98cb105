//! The log sent on to a real NATS server and copied to an S3 server, whatever becomes of those.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics has found something"
)]
#![allow(unreachable_pub, reason = "the support module is written like a library")]

mod bucket;
mod bucket_faults;
mod credentials;
mod faults;
mod log;
#[path = "../../../../tests/support/nats.rs"]
mod nats;
mod relay;
mod removed;
#[path = "../../../../tests/support/s3.rs"]
mod s3;
