//! The index over real logs in real folders, in a file of SQLite and in a real PostgreSQL server: the same tests for both.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helpers too"
)]
#![allow(clippy::duplicate_mod, reason = "the same tests run on both stores")]

mod filter;
mod in_file;
mod in_server;
mod labelled;
#[path = "../../../../tests/support/postgres.rs"]
mod server;
mod shared;
mod support;
