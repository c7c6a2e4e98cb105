//! What the index is kept in: a file of SQLite, or a PostgreSQL server that many proxies share.
//!
//! Both are asked in the same SQL, with `?` for values. Where they differ is [`Dialect`].

mod dialect;
mod postgres;
mod sqlite;

pub(crate) use dialect::Dialect;
pub(crate) use postgres::Database;
pub use postgres::NotAnAddress;
pub(crate) use sqlite::open;

use std::time::Duration;

use ::postgres::error::SqlState;
use rusqlite::ErrorCode;
use uuid::Uuid;

/// What the store said.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// SQLite.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// PostgreSQL.
    #[error(transparent)]
    Postgres(#[from] ::postgres::Error),
    /// The encryption that PostgreSQL's address asks for cannot be set up.
    #[error("the connection cannot be encrypted")]
    Tls(#[source] rustls::Error),
    /// The connection was lost.
    #[error("the connection was lost")]
    Gone,
}

impl StoreError {
    /// Whether a question was given up because it took too long.
    pub(crate) fn is_too_slow(&self) -> bool {
        match self {
            Self::Sqlite(error) => {
                error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted)
            }
            Self::Postgres(error) => error.code() == Some(&SqlState::QUERY_CANCELED),
            Self::Tls(_) | Self::Gone => false,
        }
    }

    /// Whether somebody else has the file.
    pub(crate) fn is_in_use(&self) -> bool {
        let Self::Sqlite(error) = self else { return false };
        matches!(
            error.sqlite_error_code(),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
        )
    }
}

pub(crate) type Stored<T> = Result<T, StoreError>;

/// A connection.
pub(crate) trait Sql: Send {
    fn dialect(&self) -> Dialect;

    /// Asks for rows, and shows each.
    fn each(&mut self, text: &str, values: &[Value], show: &mut dyn FnMut(Row)) -> Stored<()>;

    /// Gives up every later question that takes longer.
    fn limit(&mut self, longest: Duration) -> Stored<()>;

    /// Does one thing; says how many rows it touched.
    fn run(&mut self, text: &str, values: &[Value]) -> Stored<u64>;

    /// Does several things that need no values.
    fn batch(&mut self, text: &str) -> Stored<()>;

    /// Adds rows to a table: all of its columns, in their order.
    fn add(&mut self, table: Table, rows: &[Vec<Value>]) -> Stored<()>;
}

/// A table to which many rows are added at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Table {
    pub(crate) into: &'static str,
    /// A `?` for each of its columns.
    pub(crate) row: &'static str,
}

impl dyn Sql + '_ {
    /// Asks for rows.
    pub(crate) fn rows(&mut self, text: &str, values: &[Value]) -> Stored<Vec<Row>> {
        let mut rows = Vec::new();
        self.each(text, values, &mut |row| rows.push(row))?;
        Ok(rows)
    }

    /// The first row, if there is any.
    pub(crate) fn row(&mut self, text: &str, values: &[Value]) -> Stored<Option<Row>> {
        Ok(self.rows(text, values)?.into_iter().next())
    }

    /// Does several things at once or none of them, while nobody else changes anything.
    pub(crate) fn at_once<T, E: From<StoreError>>(
        &mut self,
        work: impl FnOnce(&mut dyn Sql) -> Result<T, E>,
    ) -> Result<T, E> {
        self.batch(self.dialect().begin())?;
        let done = work(self);
        // Where this fails, the connection is given up, and with it what was begun.
        self.batch(if done.is_ok() { "COMMIT" } else { "ROLLBACK" })?;
        done
    }
}

/// A value, given or got.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Null,
    Int(i64),
    Real(f64),
    Text(String),
    Blob(Vec<u8>),
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self::Int(value.cast_signed())
    }
}

impl From<u16> for Value {
    fn from(value: u16) -> Self {
        Self::Int(value.into())
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Int(value.into())
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Real(value)
    }
}

impl From<f32> for Value {
    fn from(value: f32) -> Self {
        Self::Real(value.into())
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

impl From<Vec<u8>> for Value {
    fn from(value: Vec<u8>) -> Self {
        Self::Blob(value)
    }
}

impl From<Uuid> for Value {
    fn from(value: Uuid) -> Self {
        Self::Blob(value.as_bytes().to_vec())
    }
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// One row of an answer. Columns are read one after the other; one that is not of the type that is asked for is as if it
/// had no value.
#[derive(Debug)]
pub(crate) struct Row(std::vec::IntoIter<Value>);

impl Row {
    pub(crate) fn new(values: Vec<Value>) -> Self {
        Self(values.into_iter())
    }

    fn next(&mut self) -> Value {
        self.0.next().unwrap_or(Value::Null)
    }

    pub(crate) fn some_int(&mut self) -> Option<i64> {
        match self.next() {
            Value::Int(value) => Some(value),
            _ => None,
        }
    }

    pub(crate) fn int(&mut self) -> i64 {
        self.some_int().unwrap_or_default()
    }

    pub(crate) fn count(&mut self) -> u64 {
        self.int().cast_unsigned()
    }

    pub(crate) fn flag(&mut self) -> bool {
        self.int() != 0
    }

    pub(crate) fn some_real(&mut self) -> Option<f32> {
        match self.next() {
            Value::Real(value) => Some(value as f32),
            Value::Int(value) => Some(value as f32),
            _ => None,
        }
    }

    pub(crate) fn some_text(&mut self) -> Option<String> {
        match self.next() {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn text(&mut self) -> String {
        self.some_text().unwrap_or_default()
    }

    pub(crate) fn bytes(&mut self) -> Vec<u8> {
        match self.next() {
            Value::Blob(bytes) => bytes,
            _ => Vec::new(),
        }
    }

    pub(crate) fn some_id(&mut self) -> Option<Uuid> {
        Uuid::from_slice(&self.bytes()).ok()
    }

    pub(crate) fn id(&mut self) -> Uuid {
        self.some_id().unwrap_or_default()
    }
}
