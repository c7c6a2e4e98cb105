//! Every call to the system fails once, in every way, and no receipt lies about it.

use std::io::ErrorKind;
use std::sync::Arc;

use super::sim::{ELSEWHERE, Failure, Key, SimDisk};
use super::support::{closed, id, opened, wait};
use crate::{Journal, JournalError, Options, Receipt};

/// Small, so that the run below goes through several segments.
fn options() -> Options {
    Options { segment_bytes: 4_000, queue_bytes: 1 << 20, anchor: Some(ELSEWHERE.into()) }
}

const REQUESTS: u64 = 12;

/// What became of one record.
struct Told {
    key: Key,
    written: Result<(), JournalError>,
    durable: Result<(), JournalError>,
}

/// Opens the journal, appends records one after the other, closes it.
fn run(disk: &SimDisk) -> Result<(Vec<Told>, Result<(), JournalError>), JournalError> {
    let (journal, _) = Journal::open_on(Arc::new(disk.clone()), &options())?;
    let mut receipts = Vec::new();
    for number in 1..=REQUESTS {
        let mut opening = journal.append_opened(&opened(number));
        let written = wait(opening.written());
        receipts.push((("opened", id(number)), written, opening));
        if number % 3 != 0 {
            let mut closing = journal.append_closed(&closed(number));
            // By then the opened record is durable too; alone it is in no hurry.
            drop(wait(closing.durable()));
            let written = wait(closing.written());
            receipts.push((("closed", id(number)), written, closing));
        }
    }
    let settle = |(key, written, mut receipt): (Key, _, Receipt)| {
        let durable = wait(receipt.durable());
        Told { key, written, durable }
    };
    let told: Vec<Told> = receipts.into_iter().map(settle).collect();
    let sound = told.iter().all(|one| one.durable.is_ok());
    let health = journal.health();
    assert_eq!(sound, health.is_ok(), "a journal that lost a record says so");
    let closed = journal.close();
    if !sound {
        assert!(closed.is_err(), "a journal that failed is not closed in order");
        let late = wait(journal.append_opened(&opened(99)).written());
        assert!(matches!(late, Err(JournalError::Failed { .. })), "it takes no more: {late:?}");
    }
    Ok((told, closed))
}

fn check(at: usize, failure: Failure) {
    let disk = SimDisk::failing(at, failure);
    let Ok((told, _)) = run(&disk) else {
        // It did not open, so nobody was told anything; with a good disk it does.
        return restart(&disk.after_power_cut(), &[]);
    };
    let alive = disk.after_kill();
    let dark = disk.after_power_cut();
    let (in_kernel, on_disk) = (alive.records(), dark.records());
    for one in &told {
        let place = format!("call {at}, {failure:?}: {:?}", one.key);
        assert!(one.written.is_err() || in_kernel.contains(&one.key), "not written: {place}");
        assert!(one.durable.is_err() || on_disk.contains(&one.key), "not durable: {place}");
    }
    let of = |pick: fn(&Told) -> bool| -> Vec<Key> {
        told.iter().filter(|one| pick(one)).map(|one| one.key).collect()
    };
    restart(&alive, &of(|one| one.written.is_ok()));
    restart(&dark, &of(|one| one.durable.is_ok()));
}

/// The journal goes on with a good disk, verifies, and still has these records.
fn restart(disk: &SimDisk, kept: &[Key]) {
    let opened = Journal::open_on(Arc::new(disk.clone()), &options());
    let (journal, _) = opened.unwrap_or_else(|error| panic!("it does not open again: {error}"));
    journal.close().expect("the disk works");
    let report = disk.verify().unwrap_or_else(|error| panic!("it does not verify: {error}"));
    assert_eq!(report.still_open, 0);
    let records = disk.records();
    assert!(kept.iter().all(|key| records.contains(key)));
}

#[test]
fn no_receipt_is_good_for_a_record_that_is_not_on_the_disk() {
    let disk = SimDisk::default();
    let (told, closed) = run(&disk).expect("the disk works");
    assert!(told.iter().all(|one| one.durable.is_ok()) && closed.is_ok());
    let calls = disk.calls();
    assert!(calls > 50, "the run makes enough calls to be worth failing: {calls}");
    let failures = [
        Failure::Once(ErrorKind::StorageFull),
        Failure::Once(ErrorKind::Other),
        Failure::Once(ErrorKind::Interrupted),
        Failure::Half,
        Failure::Full,
        Failure::Dead,
    ];
    for at in 0..=calls {
        failures.iter().for_each(|failure| check(at, *failure));
    }
}

#[test]
fn a_failed_start_leaves_the_torn_line_where_it_was() {
    let disk = SimDisk::default();
    run(&disk).expect("the disk works").1.expect("the disk works");
    let log = disk.log();
    let torn = SimDisk::torn(&log[..log.len() - 1], |most| most.saturating_sub(7));
    let before = torn.records();
    let calls = {
        let disk = torn.after_kill();
        run(&disk).map(drop).unwrap_or_else(|error| panic!("{error}"));
        disk.calls()
    };
    for at in 0..calls.min(30) {
        let disk = torn.after_kill_failing(at);
        drop(run(&disk));
        restart(&disk.after_kill(), &before);
        restart(&disk.after_power_cut(), &before);
    }
}
