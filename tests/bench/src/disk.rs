//! Where the run keeps its files, and how fast that disk is by itself.

use std::fs::{File, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Instant;

use serde::Serialize;
use tempfile::TempDir;

use crate::failure::Failure;

const SYNCS: usize = 100;
/// About two records.
const SYNC_BYTES: usize = 2048;
/// `f_type` of a file system in memory (`man 2 statfs`).
const TMPFS: i64 = 0x0102_1994;

/// A directory on a real disk, removed at the end.
#[derive(Debug)]
pub(crate) struct Place(TempDir);

/// What one write costs until it is on the disk, in milliseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct SyncTime {
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
}

impl Place {
    /// In cargo's target directory.
    pub(crate) fn beside_this_program() -> Result<Self, Failure> {
        let failed = || Failure::io("cannot make a directory beside this program");
        let this = std::env::current_exe().map_err(failed())?;
        let parent = this.parent().unwrap_or(&this);
        let statistics = rustix::fs::statfs(parent).map_err(|error| failed()(error.into()))?;
        if statistics.f_type == TMPFS {
            return Err(Failure::Other(format!(
                "{} is in memory: an audit log there would cost nothing; set CARGO_TARGET_DIR to a disk",
                parent.display()
            )));
        }
        let dir = tempfile::Builder::new().prefix("bench-").tempdir_in(parent).map_err(failed())?;
        // nginx's worker runs as another user.
        std::fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).map_err(failed())?;
        Ok(Self(dir))
    }

    /// A new directory in it.
    pub(crate) fn dir(&self, name: &str) -> Result<PathBuf, Failure> {
        let dir = tempfile::Builder::new()
            .prefix(&format!("{name}-"))
            .permissions(Permissions::from_mode(0o755))
            // It goes with the directory around it.
            .disable_cleanup(true)
            .tempdir_in(self.0.path())
            .map_err(Failure::io("cannot make a directory for the run"))?;
        Ok(dir.path().to_owned())
    }

    /// Times `fdatasync` after appending, without anything else.
    pub(crate) fn sync_time(&self) -> Result<SyncTime, Failure> {
        let failed = || Failure::io("cannot time the disk");
        let mut file = File::create(self.0.path().join("sync")).map_err(failed())?;
        let mut times = Vec::with_capacity(SYNCS);
        for _ in 0..SYNCS {
            file.write_all(&[b'x'; SYNC_BYTES]).map_err(failed())?;
            let started = Instant::now();
            file.sync_data().map_err(failed())?;
            times.push(started.elapsed().as_secs_f64() * 1000.0);
        }
        times.sort_by(f64::total_cmp);
        let at = |place: usize| times.get(place).copied().unwrap_or_default();
        Ok(SyncTime { p50_ms: at(SYNCS / 2), p99_ms: at(SYNCS * 99 / 100) })
    }
}
