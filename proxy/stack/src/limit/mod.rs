//! How much one caller may use, as the policy says: counted by this guard alone, or together with others.

mod account;
mod accounts;
mod layer;
mod shared;
mod window;

pub(crate) use accounts::Accounts;
pub(crate) use layer::LimitLayer;
pub use shared::{SharedLimits, SharedSettings, Without};
