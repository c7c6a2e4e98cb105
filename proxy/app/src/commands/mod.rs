//! One file for each command.

pub(crate) mod audit;
pub(crate) mod calibrate;
pub(crate) mod canary;
pub(crate) mod check;
pub(crate) mod classify;
pub(crate) mod console;
pub(crate) mod diff;
pub(crate) mod doctor;
pub(crate) mod eval;
pub(crate) mod explain;
pub(crate) mod fingerprint;
pub(crate) mod policy;
pub(crate) mod schema;
pub(crate) mod serve;
pub(crate) mod test;
mod verify_llama;
pub(crate) mod verify_model;
pub(crate) mod verify_remote;
