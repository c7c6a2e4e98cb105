//! The index in a server.

#[path = "finding.rs"]
mod finding;
#[path = "reviewing.rs"]
mod reviewing;

use std::path::Path;

use proxy_index::Index;
use tempfile::TempDir;

use crate::server::Server;

/// A folder for a log, and a server for its index.
struct Place(TempDir, Server);

impl Place {
    fn new() -> Option<Self> {
        Some(Self(tempfile::tempdir().expect("a directory"), Server::start()?))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn open(&self) -> Index {
        let place = self.1.address().parse().expect("it is an address");
        Index::at(self.path(), &place).expect("the index is made")
    }
}
