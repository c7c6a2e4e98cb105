//! How much one caller may use, as the policy says.

mod accounts;
mod layer;
mod window;

pub(crate) use accounts::Accounts;
pub(crate) use layer::LimitLayer;
