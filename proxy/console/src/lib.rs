//! The review page: a listener of its own on which people look at decisions and say what they are worth.
//!
//! The page is plain HTML, CSS and ES modules, part of the binary; it asks a small JSON API (`docs/console.md`). Whatever
//! somebody does that matters (logs in, is shown a text, gives a verdict, exports) is a record in the audit log before it
//! takes effect. Texts that came in from outside reach the page as JSON strings and become text nodes, never markup.
//!
//! This package knows nothing of sockets: [`Console::call`] is a request in and a response out.

mod access;
mod api;
mod assets;
mod console;
mod draft;
mod request;
mod respond;
mod rules;
mod searches;
mod turns;

pub use access::{
    Brought, CALLBACK, Login, Person, Provider, Refusal, Refused, Role, SignIn, UserError, Users,
};
pub use console::{Console, Parts};
pub use rules::{Document, Rules};
