//! The journal on a real disk: its promises, its limits, and what the verifier sees.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    reason = "a test fails by panicking, in its helpers too"
)]

mod anchor;
mod inject;
mod journal;
mod kill;
mod limits;
mod read;
mod removal;
mod second_verifier;
#[path = "../../../../tests/support/strace.rs"]
mod strace;
mod support;
mod tamper;
