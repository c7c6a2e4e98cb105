//! Everything the policy document promises, through the public API alone.

#![allow(clippy::indexing_slicing, reason = "a test that panics has found something")]

mod broken;
mod decide;
mod example;
mod library;
mod reference;
mod support;
