//! Everything the policy document promises, through the public API alone.

mod broken;
mod decide;
mod example;
mod library;
mod reference;
mod support;
