//! A PostgreSQL server that many proxies share.

use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use postgres::config::{Host, SslMode};
use postgres::types::{FromSql, IsNull, ToSql, Type, accepts, to_sql_checked};
use postgres::{Client, Config, Statement};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{Dialect, Row, Sql, StoreError, Stored, Table, Value};
use crate::schema;

/// How long a connection may take to be made.
const CONNECT_TIME: Duration = Duration::from_secs(5);
/// Rows that are added at once. With 32 columns each they stay well below the 65,535 values of one statement.
const TOGETHER: usize = 256;

/// Where an index of many proxies is.
#[derive(Clone)]
pub(crate) struct Database {
    config: Box<Config>,
}

/// A text that is no address of a PostgreSQL server.
#[derive(Debug, thiserror::Error)]
#[error("this is no address like `postgres://user:password@host/database`")]
pub struct NotAnAddress(#[source] postgres::Error);

impl Database {
    /// # Errors
    /// If the text is no address.
    pub(crate) fn at(address: &str) -> Result<Self, NotAnAddress> {
        let mut config: Config = address.parse().map_err(NotAnAddress)?;
        // Texts and passwords do not travel in the clear because a server, or somebody before it, says so.
        if config.get_ssl_mode() == SslMode::Prefer {
            let here = config.get_hosts().iter().all(is_here);
            config.ssl_mode(if here { SslMode::Disable } else { SslMode::Require });
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_TIME);
        }
        config.application_name("portcullis");
        Ok(Self { config: Box::new(config) })
    }

    pub(crate) fn connect(&self) -> Stored<Box<dyn Sql>> {
        let mut client = match self.config.get_ssl_mode() {
            SslMode::Disable => self.config.connect(postgres::NoTls)?,
            _ => self.config.connect(tls()?)?,
        };
        client.batch_execute(&format!("SET search_path TO {}", schema::NAME))?;
        Ok(Box::new(Connection { client: Some(client), statements: HashMap::new() }))
    }
}

/// Without its password.
impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("postgres://")?;
        for (number, host) in self.config.get_hosts().iter().enumerate() {
            let comma = if number > 0 { "," } else { "" };
            match host {
                Host::Tcp(name) => write!(f, "{comma}{name}")?,
                Host::Unix(path) => write!(f, "{comma}{}", path.display())?,
            }
        }
        write!(f, "/{}", self.config.get_dbname().unwrap_or_default())
    }
}

/// Whether a host is this machine.
fn is_here(host: &Host) -> bool {
    match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => {
            name == "localhost"
                || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
        }
    }
}

/// Encryption that trusts whom this machine trusts.
fn tls() -> Stored<MakeRustlsConnect> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(StoreError::Tls)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

/// A connection, with what it was asked before.
struct Connection {
    /// Always there, until this is dropped.
    client: Option<Client>,
    statements: HashMap<String, Statement>,
}

/// Saying goodbye to the server blocks, which must not happen wherever an index is dropped.
impl Drop for Connection {
    fn drop(&mut self) {
        let client = self.client.take();
        drop(std::thread::Builder::new().spawn(move || drop(client)));
    }
}

impl Connection {
    fn client(&mut self) -> Stored<&mut Client> {
        self.client.as_mut().ok_or(StoreError::Gone)
    }

    fn prepared(&mut self, text: &str) -> Stored<Statement> {
        if let Some(statement) = self.statements.get(text) {
            return Ok(statement.clone());
        }
        let statement = self.client()?.prepare(&numbered(text))?;
        self.statements.insert(text.to_owned(), statement.clone());
        Ok(statement)
    }
}

impl Sql for Connection {
    fn dialect(&self) -> Dialect {
        Dialect::Postgres
    }

    fn each(&mut self, text: &str, values: &[Value], show: &mut dyn FnMut(Row)) -> Stored<()> {
        let statement = self.prepared(text)?;
        for row in self.client()?.query(&statement, &bound(values))? {
            let values = (0..row.len()).map(|column| row.try_get(column));
            show(Row::new(values.collect::<Result<_, postgres::Error>>()?));
        }
        Ok(())
    }

    fn limit(&mut self, longest: Duration) -> Stored<()> {
        // 0 would mean for ever.
        let longest = longest.as_millis().max(1);
        self.batch(&format!("SET statement_timeout = {longest}"))
    }

    fn run(&mut self, text: &str, values: &[Value]) -> Stored<u64> {
        let statement = self.prepared(text)?;
        Ok(self.client()?.execute(&statement, &bound(values))?)
    }

    fn batch(&mut self, text: &str) -> Stored<()> {
        Ok(self.client()?.batch_execute(text)?)
    }

    fn add(&mut self, table: Table, rows: &[Vec<Value>]) -> Stored<()> {
        let (many, rest) = rows.as_chunks::<TOGETHER>();
        for chunk in many {
            let text = table.insert(TOGETHER);
            self.run(&text, &chunk.concat())?;
        }
        let text = table.insert(1);
        rest.iter().try_for_each(|row| self.run(&text, row).map(drop))
    }
}

fn bound(values: &[Value]) -> Vec<&(dyn ToSql + Sync)> {
    values.iter().map(|value| value as &(dyn ToSql + Sync)).collect()
}

/// Each `?` with its number, as PostgreSQL wants it. None of our texts has one that stands for itself.
fn numbered(text: &str) -> String {
    let mut numbered = String::with_capacity(text.len() + 16);
    for (number, part) in text.split('?').enumerate() {
        if number > 0 {
            numbered.push('$');
            numbered.push_str(&number.to_string());
        }
        numbered.push_str(part);
    }
    numbered
}

impl ToSql for Value {
    fn to_sql(
        &self,
        kind: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Int(value) if *kind == Type::FLOAT8 => (*value as f64).to_sql(kind, out),
            Self::Int(value) => value.to_sql(&Type::INT8, out),
            Self::Real(value) => value.to_sql(&Type::FLOAT8, out),
            // PostgreSQL has no text with this character, and must not stumble over what somebody wrote.
            Self::Text(text) if text.contains('\0') => {
                text.replace('\0', "\u{fffd}").to_sql(kind, out)
            }
            Self::Text(text) => text.to_sql(kind, out),
            Self::Blob(bytes) => bytes.to_sql(kind, out),
        }
    }

    accepts!(INT8, FLOAT8, TEXT, VARCHAR, BYTEA);
    to_sql_checked!();
}

impl<'r> FromSql<'r> for Value {
    fn from_sql(kind: &Type, raw: &'r [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(match *kind {
            Type::INT8 => Self::Int(i64::from_sql(kind, raw)?),
            Type::FLOAT8 => Self::Real(f64::from_sql(kind, raw)?),
            Type::BYTEA => Self::Blob(Vec::from_sql(kind, raw)?),
            _ => Self::Text(String::from_sql(kind, raw)?),
        })
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self::Null)
    }

    accepts!(INT8, FLOAT8, TEXT, VARCHAR, BYTEA);
}
