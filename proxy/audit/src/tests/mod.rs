//! Tests that need a disk which fails or loses power on command.

mod crash;
mod faults;
mod sim;
#[path = "../../tests/it/support.rs"]
mod support;
