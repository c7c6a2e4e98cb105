//! The store, and the connections to it.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

use jiff::Timestamp;

use crate::error::IndexError;
use crate::query::Query;
use crate::schema::{NAME, VERSION};
use crate::sql::Selected;
use crate::store::{self, Database, Dialect, NotAnAddress, Sql, StoreError, Stored};

/// The index of a log has this name in the log's own folder, unless it is put elsewhere.
pub const FILE: &str = "index.sqlite";

/// Connections for reading that are kept open.
const READERS: usize = 8;

/// The index of one log, or of the logs of many proxies. Every method blocks; any number of threads may ask at once, and
/// one takes in new records. Other processes may use the same file or server.
pub struct Index {
    /// Where the log is.
    pub(crate) log: PathBuf,
    place: Place,
    /// Nothing after a failure: it is made anew when it is needed.
    writer: Mutex<Option<Box<dyn Sql>>>,
    readers: Mutex<Vec<Box<dyn Sql>>>,
    longest: Option<Duration>,
}

/// Where an index is kept: written as a path, or as `postgres://user:password@host/database`.
#[derive(Debug, Clone)]
pub enum Place {
    /// A file, for one log.
    File(PathBuf),
    /// A PostgreSQL server, for the logs of many proxies. Except on this machine the connection is encrypted, unless the
    /// address says `sslmode=disable`.
    Shared(Address),
}

impl FromStr for Place {
    type Err = NotAnAddress;

    fn from_str(text: &str) -> Result<Self, NotAnAddress> {
        match text.starts_with("postgres://") || text.starts_with("postgresql://") {
            true => text.parse().map(Self::Shared),
            false => Ok(Self::File(text.into())),
        }
    }
}

/// The one connection over which something is changed.
pub(crate) struct Writer<'i>(MutexGuard<'i, Option<Box<dyn Sql>>>);

impl Index {
    /// Opens the index in the folder of the log that it is of, and makes it if it is not there. It answers what it knows;
    /// [`Index::catch_up`] reads on.
    ///
    /// # Errors
    /// [`IndexError::Unusable`] if the file cannot be made or used.
    pub fn open(log: &Path) -> Result<Self, IndexError> {
        Self::at(log, &Place::File(log.join(FILE)))
    }

    /// The same, at another place. A server is not asked before it is needed: whoever decides does not wait for it.
    ///
    /// # Errors
    /// As [`Index::open`].
    pub fn at(log: &Path, place: &Place) -> Result<Self, IndexError> {
        let (log, place, readers) = (log.into(), place.clone(), Mutex::default());
        let index = Self { log, place, writer: Mutex::default(), readers, longest: None };
        if let Place::File(path) = &index.place {
            private(path);
            drop(index.writer()?);
        }
        Ok(index)
    }

    /// Gives up every question that takes longer than `longest`, with [`IndexError::TooSlow`]. Taking in records takes as
    /// long as it takes.
    #[must_use]
    pub fn limited(self, longest: Duration) -> Self {
        Self { longest: Some(longest), ..self }
    }

    /// Where it is: the file, or the server without the password.
    #[must_use]
    pub fn place(&self) -> String {
        match &self.place {
            Place::File(path) => path.display().to_string(),
            Place::Shared(address) => address.0.to_string(),
        }
    }

    pub(crate) fn dialect(&self) -> Dialect {
        match &self.place {
            Place::File(_) => Dialect::Sqlite,
            Place::Shared(_) => Dialect::Postgres,
        }
    }

    /// What `query` means now.
    pub(crate) fn selected(&self, query: &Query) -> Selected {
        Selected::of(query, Timestamp::now(), self.dialect())
    }

    pub(crate) fn unusable(&self, source: StoreError) -> IndexError {
        if source.is_too_slow() {
            return IndexError::TooSlow;
        }
        IndexError::Unusable { place: self.place(), source: Box::new(source) }
    }

    fn connect(&self) -> Result<Box<dyn Sql>, IndexError> {
        let connected = match &self.place {
            Place::File(path) => store::open(path),
            Place::Shared(address) => address.0.connect(),
        };
        connected.map_err(|error| self.unusable(error))
    }

    /// The connection over which something is changed; whoever has it is alone in this process.
    pub(crate) fn writer(&self) -> Result<Writer<'_>, IndexError> {
        self.ready(self.writer.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The same, unless somebody has it.
    pub(crate) fn try_writer(&self) -> Result<Option<Writer<'_>>, IndexError> {
        match self.writer.try_lock() {
            Ok(writer) => self.ready(writer).map(Some),
            Err(TryLockError::Poisoned(poisoned)) => self.ready(poisoned.into_inner()).map(Some),
            Err(TryLockError::WouldBlock) => Ok(None),
        }
    }

    fn ready<'i>(
        &'i self,
        mut writer: MutexGuard<'i, Option<Box<dyn Sql>>>,
    ) -> Result<Writer<'i>, IndexError> {
        if writer.is_none() {
            let mut sql = self.connect()?;
            let made_anew = sql.at_once(prepare).map_err(|error| self.unusable(error))?;
            if made_anew && self.dialect() == Dialect::Sqlite {
                // An earlier version did not overwrite what it deleted. Where somebody uses the file, this is theirs to do.
                let vacuumed = sql.batch("VACUUM");
                vacuumed
                    .or_else(|error| if error.is_in_use() { Ok(()) } else { Err(error) })
                    .map_err(|error| self.unusable(error))?;
            }
            *writer = Some(sql);
        }
        Ok(Writer(writer))
    }

    /// Changes something. After a failure the connection is made anew.
    pub(crate) fn write<T>(
        &self,
        change: impl FnOnce(&mut dyn Sql) -> Stored<T>,
    ) -> Result<T, IndexError> {
        self.writer()?.change(change).map_err(|error| self.unusable(error))
    }

    /// Asks something, over a connection of its own.
    pub(crate) fn read<T>(&self, ask: impl Fn(&mut dyn Sql) -> Stored<T>) -> Result<T, IndexError> {
        let kept = self.readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let asked = |mut reader: Box<dyn Sql>| {
            self.longest.map(|longest| reader.limit(longest)).transpose()?;
            let answer = ask(&mut *reader)?;
            Ok::<_, StoreError>((reader, answer))
        };
        let (reader, answer) = match kept.map(asked) {
            Some(Ok(answered)) => answered,
            Some(Err(error)) if error.is_too_slow() => return Err(IndexError::TooSlow),
            // The one that was kept may have been lost meanwhile.
            Some(Err(_)) | None => {
                asked(self.connect()?).map_err(|error: StoreError| self.unusable(error))?
            }
        };
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        if readers.len() < READERS {
            readers.push(reader);
        }
        Ok(answer)
    }
}

impl Writer<'_> {
    /// Changes something. After a failure the connection is given up.
    pub(crate) fn change<T, E: From<StoreError>>(
        &mut self,
        change: impl FnOnce(&mut dyn Sql) -> Result<T, E>,
    ) -> Result<T, E> {
        let Some(sql) = self.0.as_mut() else { return Err(StoreError::Gone.into()) };
        let changed = change(&mut **sql);
        if changed.is_err() {
            *self.0 = None;
        }
        changed
    }
}

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Index").field("place", &self.place()).finish_non_exhaustive()
    }
}

/// The address of an index of many logs.
#[derive(Clone)]
pub struct Address(Database);

impl FromStr for Address {
    type Err = NotAnAddress;

    fn from_str(text: &str) -> Result<Self, NotAnAddress> {
        Database::at(text).map(Self)
    }
}

/// Without its password.
impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(&self.0, f)
    }
}

/// Makes the file for its owner's eyes only: its search part knows the words of kept texts. Where that fails, opening it
/// says why.
fn private(path: &Path) {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = std::fs::OpenOptions::new();
    drop(options.create_new(true).write(true).mode(0o600).open(path));
}

/// Makes the tables, unless this version has made them already. Says whether there were those of another version.
fn prepare(sql: &mut dyn Sql) -> Stored<bool> {
    let dialect = sql.dialect();
    let known = sql.row(dialect.version(), &[])?.map_or(0, |mut row| row.int());
    if known == VERSION {
        return Ok(false);
    }
    match dialect {
        Dialect::Sqlite => {
            // What belongs to the search table goes with it.
            let tables =
                "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT GLOB 'texts_*'";
            for mut table in sql.rows(tables, &[])? {
                sql.batch(&format!("DROP TABLE \"{}\"", table.text()))?;
            }
            sql.batch(&dialect.tables())?;
            sql.batch(&format!("PRAGMA user_version = {VERSION}"))?;
        }
        Dialect::Postgres => {
            sql.batch(&format!("CREATE SCHEMA {NAME}"))?;
            sql.batch(&dialect.tables())?;
        }
    }
    Ok(known != 0)
}
