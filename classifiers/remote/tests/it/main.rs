//! Servers elsewhere, over sockets: what they say is a verdict or none, and one that fails is not waited for.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test that panics has found something; a scripted server lives as long as its test"
)]

mod fleet;
mod llama_guard;
mod moderations;
mod prompt_guard;
mod server;
mod tls;

use std::path::{Path, PathBuf};
use std::time::Duration;

use classifiers_core::{Assessment, Category, Direction, Passage, Role};
use classifiers_remote::Settings;

pub(crate) fn fixture(room: &str, name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(room).join("tests/fixtures").join(name)
}

pub(crate) fn passage(text: &str) -> Passage {
    Passage::new(text, Role::User, Direction::Input, "/messages/0/content")
}

pub(crate) fn settings<'a>(servers: impl IntoIterator<Item = &'a server::Server>) -> Settings {
    let urls = servers.into_iter().map(server::Server::url).collect();
    Settings { deadline: Duration::from_secs(2), ..Settings::new(urls, "guard") }
}

pub(crate) fn score(said: &Assessment, category: Category) -> f32 {
    said.findings.iter().find(|finding| finding.category == category).unwrap().score
}
