//! A file of SQLite.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::functions::FunctionFlags;
use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, OpenFlags, params_from_iter};

use super::{Dialect, Row, Sql, Stored, Table, Value};
use crate::packed;
use crate::schema::PRAGMAS;

/// Steps of SQLite's machine between two looks at the clock: some microseconds.
const STEPS: i32 = 1_000;

/// Opens the file, making it if need be.
pub(crate) fn open(path: &Path) -> Stored<Box<dyn Sql>> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
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
    Ok(Box::new(connection))
}

impl Sql for Connection {
    fn dialect(&self) -> Dialect {
        Dialect::Sqlite
    }

    fn each(&mut self, text: &str, values: &[Value], show: &mut dyn FnMut(Row)) -> Stored<()> {
        let mut statement = self.prepare_cached(text)?;
        let columns = statement.column_count();
        let mut found = statement.query(params_from_iter(values))?;
        while let Some(row) = found.next()? {
            let values = (0..columns).map(|column| Ok(value(row.get_ref(column)?)));
            show(Row::new(values.collect::<rusqlite::Result<_>>()?));
        }
        Ok(())
    }

    fn limit(&mut self, longest: Duration) -> Stored<()> {
        let end = Instant::now() + longest;
        let is_over = move || Instant::now() >= end;
        Ok(self.progress_handler(STEPS, Some(is_over))?)
    }

    fn run(&mut self, text: &str, values: &[Value]) -> Stored<u64> {
        let count = self.prepare_cached(text)?.execute(params_from_iter(values))?;
        Ok(count as u64)
    }

    fn batch(&mut self, text: &str) -> Stored<()> {
        Ok(self.execute_batch(text)?)
    }

    fn add(&mut self, table: Table, rows: &[Vec<Value>]) -> Stored<()> {
        let mut statement = self.prepare_cached(&table.insert(1))?;
        for row in rows {
            statement.execute(params_from_iter(row))?;
        }
        Ok(())
    }
}

fn value(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(value) => Value::Int(value),
        ValueRef::Real(value) => Value::Real(value),
        ValueRef::Text(text) => Value::Text(String::from_utf8_lossy(text).into_owned()),
        ValueRef::Blob(bytes) => Value::Blob(bytes.to_vec()),
    }
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Int(value) => ValueRef::Integer(*value),
            Self::Real(value) => ValueRef::Real(*value),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}
