//! Who may look at the log: users and their roles, sessions, attempts to log in, and where requests may come from.

mod attempts;
mod origin;
mod role;
mod sessions;
mod token;
mod users;

pub(crate) use attempts::Attempts;
pub(crate) use origin::{Hosts, forwarded_for, is_own_page};
pub use role::Role;
pub(crate) use sessions::{Session, Sessions};
pub(crate) use users::Account;
pub use users::{UserError, Users};
