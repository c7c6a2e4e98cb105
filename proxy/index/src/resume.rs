//! What the index must know to go on where it stopped.

use std::collections::HashMap;

use proxy_audit::{Digest, Place};
use uuid::Uuid;

use crate::store::{Sql, Stored, Table, Value};

/// What is known of a request that has not ended.
#[derive(Clone, Default)]
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
    pub(crate) record: u64,
    pub(crate) hash: Digest,
}

const OPENED: Table = Table { into: "opened", row: "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)" };

/// The number of the log of this name among those in the index.
pub(crate) fn log(sql: &mut dyn Sql, name: &str) -> Stored<i64> {
    let known = "SELECT id FROM logs WHERE name = ?";
    if let Some(mut row) = sql.row(known, &[name.into()])? {
        return Ok(row.int());
    }
    sql.run("INSERT INTO logs(name) VALUES (?)", &[name.into()])?;
    Ok(sql.row(known, &[name.into()])?.map_or(0, |mut row| row.int()))
}

pub(crate) fn kept_position(sql: &mut dyn Sql, log: i64) -> Stored<Option<Position>> {
    let text =
        "SELECT segment, start, last_segment, last_start, record, hash FROM position WHERE log = ?";
    let Some(mut row) = sql.row(text, &[log.into()])? else { return Ok(None) };
    let mut place = || Place { segment: row.count(), offset: row.count() };
    let (next, last) = (place(), place());
    let (record, hash) = (row.count(), row.text().parse().ok());
    Ok(hash.map(|hash| Position { next, last, record, hash }))
}

pub(crate) fn keep_position(sql: &mut dyn Sql, log: i64, position: Position) -> Stored<()> {
    let Position { next, last, record, hash } = position;
    sql.run("DELETE FROM position WHERE log = ?", &[log.into()])?;
    sql.run(
        "INSERT INTO position VALUES (?, ?, ?, ?, ?, ?, ?)",
        &[
            log.into(),
            next.segment.into(),
            next.offset.into(),
            last.segment.into(),
            last.offset.into(),
            record.into(),
            hash.to_string().into(),
        ],
    )?;
    Ok(())
}

pub(crate) fn pending(sql: &mut dyn Sql, log: i64) -> Stored<HashMap<Uuid, Pending>> {
    let text = "SELECT id, route, method, instance, caller, trace, places, keep, text FROM opened WHERE log = ?";
    let rows = sql.rows(text, &[log.into()])?;
    let each = rows.into_iter().map(|mut row| {
        let id = row.id();
        let pending = Pending {
            route: row.some_text(),
            method: row.some_text(),
            instance: row.some_text(),
            key: row.some_text(),
            trace: row.some_text(),
            places: row.bytes(),
            keep: row.some_text(),
            text: row.some_text(),
        };
        (id, pending)
    });
    Ok(each.collect())
}

pub(crate) fn keep_pending(
    sql: &mut dyn Sql,
    log: i64,
    open: HashMap<Uuid, Pending>,
) -> Stored<()> {
    sql.run("DELETE FROM opened WHERE log = ?", &[log.into()])?;
    let rows = open.into_iter().map(|(id, pending)| {
        let Pending { route, method, instance, key, trace, places, keep, text } = pending;
        vec![
            log.into(),
            id.into(),
            route.into(),
            method.into(),
            instance.into(),
            key.into(),
            trace.into(),
            places.into(),
            keep.into(),
            text.into(),
        ]
    });
    sql.add(OPENED, &rows.collect::<Vec<Vec<Value>>>())
}
