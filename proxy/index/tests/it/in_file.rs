//! The index in a file.

#[path = "finding.rs"]
mod finding;
#[path = "reviewing.rs"]
mod reviewing;

use std::path::Path;

use proxy_index::Index;
use tempfile::TempDir;

/// A folder for a log, and its index beside it.
struct Place(TempDir);

impl Place {
    #[expect(
        clippy::unnecessary_wraps,
        reason = "a server may be missing, and the tests are the same"
    )]
    fn new() -> Option<Self> {
        Some(Self(tempfile::tempdir().expect("a directory")))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn open(&self) -> Index {
        Index::open(self.path()).expect("the index is made")
    }
}
