//! The guard as its users meet it: the real binary over real sockets, before a scripted model server; and the
//! stack alone, with scripted classifiers.

#[path = "../support/mod.rs"]
mod support;

mod answers;
mod bad_input;
mod census;
mod classifiers;
mod commands;
mod durability;
mod requests;
mod transport;
mod upstream_faults;
