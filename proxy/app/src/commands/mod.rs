//! One file for each command.

pub(crate) mod audit;
pub(crate) mod check;
pub(crate) mod classify;
pub(crate) mod policy;
pub(crate) mod serve;
pub(crate) mod test;
pub(crate) mod verify_model;
