//! The file, and the connections to it.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use rusqlite::functions::FunctionFlags;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::error::IndexError;
use crate::packed;
use crate::schema::{PRAGMAS, TABLES, VERSION};

/// The index of a log has this name in the log's own folder, unless it is put elsewhere.
pub const FILE: &str = "index.sqlite";

/// Steps of SQLite's machine between two looks at the clock: some microseconds.
const STEPS: i32 = 1_000;

/// Connections for reading that are kept open.
const READERS: usize = 8;

/// The index of one log. Every method blocks; any number of threads may ask at once, and one takes in new records. Other
/// processes may have the same file open.
pub struct Index {
    /// Where the log is.
    pub(crate) log: PathBuf,
    path: PathBuf,
    writer: Mutex<Connection>,
    readers: Mutex<Vec<Connection>>,
    longest: Option<Duration>,
}

impl Index {
    /// Opens the index in the folder of the log that it is of, and makes it if it is not there. It answers what it knows;
    /// [`Index::catch_up`] reads on.
    ///
    /// # Errors
    /// [`IndexError::Unusable`] if the file cannot be made or used.
    pub fn open(log: &Path) -> Result<Self, IndexError> {
        Self::open_at(log, &log.join(FILE))
    }

    /// The same, in a file of its own, for a log in a folder that cannot be written to.
    ///
    /// # Errors
    /// As [`Index::open`].
    pub fn open_at(log: &Path, path: &Path) -> Result<Self, IndexError> {
        let unusable = |source| IndexError::Unusable { path: path.into(), source };
        private(path);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let writer = connect(path, flags).map_err(unusable)?;
        prepare(&writer).map_err(unusable)?;
        let (log, path, readers) = (log.into(), path.into(), Mutex::default());
        Ok(Self { log, path, writer: Mutex::new(writer), readers, longest: None })
    }

    /// Gives up every question that takes longer than `longest`, with [`IndexError::TooSlow`]. Taking in records takes as
    /// long as it takes.
    #[must_use]
    pub fn limited(self, longest: Duration) -> Self {
        Self { longest: Some(longest), ..self }
    }

    /// Where the file is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn unusable(&self, source: rusqlite::Error) -> IndexError {
        IndexError::Unusable { path: self.path.clone(), source }
    }

    pub(crate) fn writer(&self) -> MutexGuard<'_, Connection> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same, unless somebody has it.
    pub(crate) fn try_writer(&self) -> Option<MutexGuard<'_, Connection>> {
        match self.writer.try_lock() {
            Ok(writer) => Some(writer),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Asks something, over a connection of its own.
    pub(crate) fn read<T>(
        &self,
        ask: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, IndexError> {
        let kept = self.readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut reader = match kept {
            Some(reader) => reader,
            None => connect(&self.path, flags).map_err(|error| self.unusable(error))?,
        };
        if let Some(longest) = self.longest {
            let end = Instant::now() + longest;
            let is_over = move || Instant::now() >= end;
            reader.progress_handler(STEPS, Some(is_over)).map_err(|error| self.unusable(error))?;
        }
        let answer = ask(&reader).map_err(|error| match error.sqlite_error_code() {
            Some(ErrorCode::OperationInterrupted) => IndexError::TooSlow,
            _ => self.unusable(error),
        });
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        if readers.len() < READERS {
            readers.push(reader);
        }
        answer
    }
}

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Index").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Makes the file for its owner's eyes only: its search part knows the words of kept texts. Where that fails, opening it
/// says why.
fn private(path: &Path) {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = std::fs::OpenOptions::new();
    drop(options.create_new(true).write(true).mode(0o600).open(path));
}

fn connect(path: &Path, flags: OpenFlags) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, flags)?;
    connection.execute_batch(PRAGMAS)?;
    let pure = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    connection.create_scalar_function("score_of", 2, pure, |context| {
        let (ValueRef::Blob(scores), ValueRef::Integer(category)) =
            (context.get_raw(0), context.get_raw(1))
        else {
            return Ok(None);
        };
        let of = packed::each_score(scores).filter(|score| i64::from(score.category) == category);
        Ok(of.map(|score| f64::from(f32::from(score.units) / packed::UNITS)).reduce(f64::max))
    })?;
    connection.create_scalar_function("share_of", 1, pure, |context| {
        let ValueRef::Blob(id) = context.get_raw(0) else { return Ok(None) };
        Ok(packed::share(id))
    })?;
    Ok(connection)
}

/// Makes the tables, unless this version has made them already.
fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch("BEGIN IMMEDIATE")?;
    let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if version != VERSION {
        // What belongs to the search table goes with it.
        let tables =
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT GLOB 'texts_*'";
        let mut statement = connection.prepare(tables)?;
        let names = statement.query_map([], |row| row.get(0))?;
        for name in names.collect::<rusqlite::Result<Vec<String>>>()? {
            connection.execute_batch(&format!("DROP TABLE \"{name}\""))?;
        }
        connection.execute_batch(TABLES)?;
        connection.pragma_update(None, "user_version", VERSION)?;
    }
    connection.execute_batch("COMMIT")?;
    if version != VERSION && version != 0 {
        // An earlier version did not overwrite what it deleted. Where somebody uses the file, this is theirs to do.
        connection.execute_batch("VACUUM").or_else(|error| match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Ok(()),
            _ => Err(error),
        })?;
    }
    Ok(())
}
