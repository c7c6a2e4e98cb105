//! Where the policy comes from: the program, a file, or a signed file at a URL.

mod follow;
mod settings;
mod source;
mod store;

pub(crate) use follow::Follow;
pub(crate) use settings::{Origin, PolicyFile, is_url, public_key};
pub(crate) use source::{LIMITS, MEDIA, Source};
