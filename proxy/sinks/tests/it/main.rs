//! The log sent on to a real NATS server, whatever becomes of that server.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics has found something"
)]
#![allow(unreachable_pub, reason = "the support module is written like a library")]

mod credentials;
mod faults;
mod log;
#[path = "../../../../tests/support/nats.rs"]
mod nats;
mod relay;
mod removed;
