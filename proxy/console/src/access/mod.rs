//! Who may look at the log: users and their roles, sessions, attempts to log in, and where requests may come from.

mod attempts;
mod origin;
mod provider;
mod role;
mod sessions;
mod token;
mod users;

pub(crate) use attempts::Attempts;
pub(crate) use origin::{Hosts, forwarded_for, is_own_page};
pub use provider::{Brought, CALLBACK, Login, Person, Provider, Refusal, Refused, SignIn};
pub(crate) use provider::{LOGIN_TIME, Logins};
pub use role::Role;
pub(crate) use sessions::{Session, Sessions, Whose};
pub(crate) use users::Account;
pub use users::{UserError, Users};
