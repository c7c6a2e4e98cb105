//! Power cuts at the moments of random runs: a sample, or with `PORTCULLIS_TEST_POWER_CUTS=all` every one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use super::sim::{ELSEWHERE, Key, Op, SimDisk};
use super::support::{closed, id, opened, released, wait};
use crate::disk::Disk;
use crate::retire::remove_on;
use crate::{Ending, Journal, Options, Receipt, segment};

/// Set to `all` to cut the power at every moment of each run.
const CUTS: &str = "PORTCULLIS_TEST_POWER_CUTS";
/// Moments of a run at which a usual test cuts the power.
const SAMPLE: usize = 40;

/// One move of a random run.
#[derive(Debug, Clone)]
enum Move {
    /// Open so many requests.
    Open(u8),
    /// Close the open request at this position, if there is one.
    Close(prop::sample::Index),
    /// Wait for the oldest receipts.
    Wait(u8),
    /// Close the journal in order and open it again.
    Reopen,
    /// Remove all segments but the last.
    Remove,
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        4 => (1_u8..5).prop_map(Move::Open),
        6 => any::<prop::sample::Index>().prop_map(Move::Close),
        3 => (1_u8..6).prop_map(Move::Wait),
        1 => Just(Move::Reopen),
        1 => Just(Move::Remove),
    ];
    prop::collection::vec(one, 5..50)
}

/// Small, so that runs go through several segments.
fn options() -> Options {
    Options { segment_bytes: 6_000, queue_bytes: 1 << 20, anchor: Some(ELSEWHERE.into()) }
}

struct Run {
    disk: SimDisk,
    journal: Journal,
    open: Vec<u64>,
    next: u64,
    waiting: Vec<(Key, Receipt)>,
}

impl Run {
    fn new() -> Self {
        let disk = SimDisk::slow();
        let (journal, _) = open(&disk);
        Self { disk, journal, open: Vec::new(), next: 1, waiting: Vec::new() }
    }

    fn play(&mut self, step: &Move) {
        match step {
            Move::Open(count) => (0..*count).for_each(|_| {
                let receipt = self.journal.append_opened(&opened(self.next));
                self.waiting.push((("opened", id(self.next)), receipt));
                self.open.push(self.next);
                self.next += 1;
            }),
            Move::Close(_) if self.open.is_empty() => {}
            Move::Close(index) => {
                let number = self.open.remove(index.index(self.open.len()));
                let receipt = self.journal.append_released(&released(number));
                self.waiting.push((("released", id(number)), receipt));
                let receipt = self.journal.append_closed(&closed(number));
                self.waiting.push((("closed", id(number)), receipt));
            }
            Move::Wait(count) => self.settle(usize::from(*count)),
            Move::Reopen => {
                self.journal.close().expect("the disk works");
                self.settle(usize::MAX);
                self.open.clear();
                self.journal = open(&self.disk).0;
            }
            Move::Remove => {
                let segments = segment::sorted(self.disk.files().expect("the disk works"));
                let last = segments.last().expect("there is one");
                self.disk.note(Op::Old(self.disk.records_in(|name| name < last.as_str())));
                let first = segment::first(last).expect("it is a segment");
                remove_on(&self.disk, first, "a test").expect("the disk works");
            }
        }
    }

    /// Waits for the oldest receipts, and notes that they were given.
    fn settle(&mut self, count: usize) {
        let count = count.min(self.waiting.len());
        for (key, mut receipt) in self.waiting.drain(..count) {
            wait(receipt.durable()).expect("the disk works");
            self.disk.note(Op::Acked(key));
        }
    }
}

fn open(disk: &SimDisk) -> (Journal, crate::Recovery) {
    Journal::open_on(Arc::new(disk.clone()), &options()).expect("the journal opens")
}

/// Puts the disk in a state that a power cut may leave after `log`, and goes on from there.
fn cut(log: &[Op], choose: impl FnMut(usize) -> usize) -> Result<(), TestCaseError> {
    let acked = log.iter().filter_map(|op| if let Op::Acked(key) = op { Some(*key) } else { None });
    let old = log.iter().filter_map(|op| if let Op::Old(keys) = op { Some(keys) } else { None });
    let old: BTreeSet<&Key> = old.flatten().collect();
    let acked: BTreeSet<Key> = acked.filter(|key| !old.contains(key)).collect();
    let disk = SimDisk::torn(log, choose);
    let (journal, recovery) = open(&disk);
    for number in [1_000_001, 1_000_002] {
        drop(journal.append_opened(&opened(number)));
    }
    wait(journal.append_closed(&closed(1_000_001)).durable()).expect("the disk works");
    journal.close().expect("the disk works");

    let mut counts = BTreeMap::<Key, u32>::new();
    disk.records().into_iter().for_each(|key| *counts.entry(key).or_default() += 1);
    for key in &acked {
        prop_assert!(counts.contains_key(key), "acknowledged and gone: {key:?}");
    }
    for (key, count) in &counts {
        prop_assert_eq!(*count, 1, "there twice: {:?}", key);
    }
    for id in &recovery.abandoned {
        prop_assert!(!counts.contains_key(&("closed", *id)), "closed and abandoned: {id}");
    }
    let report = disk.verify().map_err(|error| TestCaseError::fail(error.to_string()))?;
    prop_assert_eq!(report.ending, Ending::Sealed);
    prop_assert_eq!(report.still_open, 1, "all but the last one have an end");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..Default::default() })]

    /// Whatever was acknowledged as durable is there after a power cut at any moment, once; nothing that is found keeps
    /// the journal from going on; and it then verifies, with every checkpoint that was noted elsewhere.
    #[test]
    fn nothing_acknowledged_is_lost_at_any_moment(moves in moves(), seed in any::<u64>()) {
        let mut run = Run::new();
        moves.iter().for_each(|step| run.play(step));
        run.settle(usize::MAX);
        run.journal.close().expect("the disk works");
        run.disk.verify().map_err(|error| TestCaseError::fail(error.to_string()))?;

        let log = run.disk.log();
        let mut state = seed | 1;
        let mut dice = |most: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            usize::try_from(state >> 33).expect("31 bits fit") % (most + 1)
        };
        let all = std::env::var(CUTS).is_ok_and(|cuts| cuts == "all");
        let moments: Vec<usize> = match all {
            true => (0..=log.len()).collect(),
            false => (0..SAMPLE).map(|_| dice(log.len())).collect(),
        };
        for end in moments {
            cut(&log[..end], |_| 0)?;
            cut(&log[..end], &mut dice)?;
        }
    }
}
