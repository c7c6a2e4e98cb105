//! What the index must know to go on where it stopped.

use std::collections::HashMap;

use proxy_audit::{Digest, Place};
use rusqlite::{OptionalExtension, Transaction, params};
use uuid::Uuid;

/// What is known of a request that has not ended.
#[derive(Default)]
pub(crate) struct Pending {
    pub(crate) route: Option<String>,
    pub(crate) method: Option<String>,
    pub(crate) instance: Option<String>,
    pub(crate) key: Option<String>,
    pub(crate) trace: Option<String>,
    pub(crate) places: Vec<u8>,
    pub(crate) keep: Option<String>,
    pub(crate) text: Option<String>,
}

/// How far the log was read.
#[derive(Clone, Copy)]
pub(crate) struct Position {
    /// Where the next record stands.
    pub(crate) next: Place,
    /// Where the last one stands.
    pub(crate) last: Place,
    pub(crate) seq: u64,
    pub(crate) hash: Digest,
}

pub(crate) fn kept_position(sql: &Transaction<'_>) -> rusqlite::Result<Option<Position>> {
    let columns = "SELECT segment, offset, last_segment, last_offset, seq, hash FROM position";
    let kept = sql
        .query_row(columns, [], |row| {
            let number = |index| row.get::<_, i64>(index).map(i64::cast_unsigned);
            let next = Place { segment: number(0)?, offset: number(1)? };
            let last = Place { segment: number(2)?, offset: number(3)? };
            let hash: String = row.get(5)?;
            Ok(hash.parse().ok().map(|hash| (next, last, number(4), hash)))
        })
        .optional()?
        .flatten();
    let Some((next, last, seq, hash)) = kept else { return Ok(None) };
    Ok(Some(Position { next, last, seq: seq?, hash }))
}

pub(crate) fn keep_position(
    sql: &Transaction<'_>,
    position: Option<Position>,
) -> rusqlite::Result<()> {
    let Some(Position { next, last, seq, hash }) = position else { return Ok(()) };
    sql.execute("DELETE FROM position", [])?;
    sql.execute(
        "INSERT INTO position VALUES (?, ?, ?, ?, ?, ?)",
        params![
            next.segment.cast_signed(),
            next.offset.cast_signed(),
            last.segment.cast_signed(),
            last.offset.cast_signed(),
            seq.cast_signed(),
            hash.to_string()
        ],
    )?;
    Ok(())
}

pub(crate) fn pending(sql: &Transaction<'_>) -> rusqlite::Result<HashMap<Uuid, Pending>> {
    let mut statement = sql.prepare_cached(
        "SELECT id, route, method, instance, key, trace, places, keep, text FROM opened",
    )?;
    let rows = statement.query_map([], |row| {
        let pending = Pending {
            route: row.get(1)?,
            method: row.get(2)?,
            instance: row.get(3)?,
            key: row.get(4)?,
            trace: row.get(5)?,
            places: row.get(6)?,
            keep: row.get(7)?,
            text: row.get(8)?,
        };
        Ok((Uuid::from_bytes(row.get(0)?), pending))
    })?;
    rows.collect()
}

pub(crate) fn keep_pending(
    sql: &Transaction<'_>,
    open: &HashMap<Uuid, Pending>,
) -> rusqlite::Result<()> {
    sql.execute("DELETE FROM opened", [])?;
    let mut statement =
        sql.prepare_cached("INSERT INTO opened VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)")?;
    for (id, pending) in open {
        let Pending { route, method, instance, key, trace, places, keep, text } = pending;
        statement.execute(params![
            id.as_bytes(),
            route,
            method,
            instance,
            key,
            trace,
            places,
            keep,
            text
        ])?;
    }
    Ok(())
}
