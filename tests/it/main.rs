//! The guard as its users meet it: the real binary over real sockets, before a scripted model server; and the
//! stack alone, with scripted classifiers.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test that panics has found something"
)]
#![allow(unreachable_pub, reason = "the support module is written like a library")]

#[path = "../support/mod.rs"]
mod support;

mod answers;
mod audit_faults;
mod audit_log;
mod bad_input;
mod census;
mod checks;
mod classifiers;
mod code_and_patterns;
mod commands;
mod config_map;
mod corpus;
mod durability;
mod elsewhere;
mod evaluation;
mod formats;
mod http1;
mod http2;
mod lifecycle;
mod llama_guard;
mod metamorphic;
mod metrics;
mod moderation;
mod policies;
mod policy_commands;
mod prompt_guard;
mod race;
mod requests;
mod routes;
mod secrets;
mod shared_index;
mod shared_limits;
mod sign_in;
mod signed_policies;
mod sinks;
mod streams;
mod tokens;
mod traces;
mod transport;
mod upstream_faults;
