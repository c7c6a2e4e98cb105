//! The directory of a journal, behind a seam so that tests can make every call fail and can cut the
//! power anywhere.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Name of the lock file. It holds nothing; the lock is the kernel's and ends with the process.
const LOCK: &str = "journal.lock";
/// Only the proxy's own user reads the log.
const DIR_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// A directory that holds one journal.
pub(crate) trait Disk: Send + Sync {
    /// Where it is, for messages.
    fn dir(&self) -> &Path;
    /// Creates the directory if it is not there.
    fn prepare(&self) -> io::Result<()>;
    /// Takes the exclusive lock, held until the value is dropped. `None`: another process has it.
    fn lock(&self) -> io::Result<Option<Box<dyn Send>>>;
    /// The names of all files.
    fn files(&self) -> io::Result<Vec<String>>;
    /// Creates a file that must not exist.
    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;
    /// Opens a file to append to it.
    fn append(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;
    /// Opens a file to read it from byte `from`.
    fn read(&self, name: &str, from: u64) -> io::Result<Box<dyn Read + Send>>;
    /// Length of a file in bytes.
    fn length(&self, name: &str) -> io::Result<u64>;
    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes created and removed names durable.
    fn sync(&self) -> io::Result<()>;
    /// Opens a file that somebody else keeps, to append lines to it, and says whether its last line is finished.
    fn elsewhere(&self, file: &Path) -> io::Result<(Arc<dyn DiskFile>, bool)>;
}

/// A file that is appended to. One thread writes, another syncs.
pub(crate) trait DiskFile: Send + Sync {
    /// Appends some of `bytes` and says how many.
    fn write(&self, bytes: &[u8]) -> io::Result<usize>;
    /// Makes everything durable that was written before the call.
    fn sync(&self) -> io::Result<()>;
    /// Cuts the file to this many bytes.
    fn truncate(&self, length: u64) -> io::Result<()>;
}

/// Appends all of `bytes`, in one call where the system takes them at once.
pub(crate) fn write_all(file: &dyn DiskFile, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// A directory of the file system.
pub(crate) struct RealDisk {
    dir: PathBuf,
}

impl RealDisk {
    pub(crate) fn new(dir: &Path) -> Self {
        Self { dir: dir.to_path_buf() }
    }
}

impl Disk for RealDisk {
    fn dir(&self) -> &Path {
        &self.dir
    }

    fn prepare(&self) -> io::Result<()> {
        if self.dir.is_dir() {
            return Ok(());
        }
        DirBuilder::new().recursive(true).mode(DIR_MODE).create(&self.dir)?;
        match self.dir.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
            _ => File::open(".")?.sync_all(),
        }
    }

    fn lock(&self) -> io::Result<Option<Box<dyn Send>>> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(FILE_MODE);
        let file = options.open(self.dir.join(LOCK))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Box::new(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn files(&self) -> io::Result<Vec<String>> {
        let entries = std::fs::read_dir(&self.dir)?;
        entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.append(true).create_new(true).mode(FILE_MODE);
        Ok(Arc::new(options.open(self.dir.join(name))?))
    }

    fn append(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(OpenOptions::new().append(true).open(self.dir.join(name))?))
    }

    fn read(&self, name: &str, from: u64) -> io::Result<Box<dyn Read + Send>> {
        let mut file = File::open(self.dir.join(name))?;
        file.seek(SeekFrom::Start(from))?;
        Ok(Box::new(file))
    }

    fn length(&self, name: &str) -> io::Result<u64> {
        Ok(std::fs::metadata(self.dir.join(name))?.len())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.dir.join(name))
    }

    fn sync(&self) -> io::Result<()> {
        File::open(&self.dir)?.sync_all()
    }

    fn elsewhere(&self, file: &Path) -> io::Result<(Arc<dyn DiskFile>, bool)> {
        // A pipe keeps whoever opens it waiting for somebody at its other end.
        if std::fs::metadata(file).is_ok_and(|known| !known.is_file()) {
            let message = "checkpoints go to a plain file";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        let open = OpenOptions::new().append(true).create(true).mode(FILE_MODE).open(file)?;
        Ok((Arc::new(open), is_finished(file)?))
    }
}

/// Whether a file ends with a line's end, or is empty.
fn is_finished(file: &Path) -> io::Result<bool> {
    let mut file = File::open(file)?;
    if file.seek(SeekFrom::End(0))? == 0 {
        return Ok(true);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

impl DiskFile for File {
    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        Write::write(&mut &*self, bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }
}
