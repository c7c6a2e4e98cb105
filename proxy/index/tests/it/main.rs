//! The index over real logs in real folders.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helpers too"
)]

mod filter;
mod finding;
mod labelled;
mod reviewing;
mod support;
