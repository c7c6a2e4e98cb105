//! What people do is in the log, and nobody gets in another's way.

use std::sync::{Arc, Barrier};

use jiff::{SignedDuration, Timestamp};
use proxy_audit::{Acted, Assessment, Journal, Revealed, Reviewed};
use proxy_index::{Index, Query, VIEW_REMOVED, VIEW_SAVED};
use uuid::Uuid;

use super::Place;
use crate::support::{Told, id, journal, tell, wait};

fn say(
    journal: &Journal,
    by: &'static str,
    decisions: &[u64],
    verdict: Option<Assessment>,
) -> Uuid {
    record(journal, by, decisions, (verdict, None))
}

fn undo(journal: &Journal, by: &'static str, decisions: &[u64], act: Uuid) -> Uuid {
    record(journal, by, decisions, (None, Some(act)))
}

fn record(
    journal: &Journal,
    by: &'static str,
    decisions: &[u64],
    (verdict, undoes): (Option<Assessment>, Option<Uuid>),
) -> Uuid {
    let act = Uuid::now_v7();
    let reviewed = Reviewed {
        act,
        time: Timestamp::now(),
        by: by.into(),
        decisions: decisions.iter().map(|number| id(*number)).collect(),
        verdict,
        category: None,
        comment: format!("{by} says so"),
        undoes,
    };
    wait(journal.append_reviewed(&reviewed).durable()).expect("the disk works");
    act
}

fn count(index: &Index, filter: &str) -> u64 {
    index.count(&filter.parse::<Query>().expect(filter)).expect("the index answers")
}

#[test]
fn verdicts_stand_until_the_same_reviewer_says_otherwise() {
    let Some(dir) = Place::new() else { return };
    let log = journal(dir.path());
    (0..10).for_each(|number| tell(&log, number, &Told::default()));
    let first = say(&log, "ann", &[0, 1, 2, 3], Some(Assessment::Correct));
    say(&log, "bob", &[0, 1], Some(Assessment::Correct));
    say(&log, "bob", &[2], Some(Assessment::FalseAlarm));
    say(&log, "ann", &[3], None);
    let index = dir.open();
    let check = || {
        index.catch_up(|_| {}).expect("the log is sound");
        assert_eq!(count(&index, "review:correct"), 2);
        assert_eq!(count(&index, "review:disputed"), 1);
        assert_eq!(count(&index, "review:none"), 7);
        assert_eq!(count(&index, "reviewer:ann"), 3);
        assert_eq!(index.decisions_of(first).expect("it answers").len(), 4);
        let history = index.reviews(id(3)).expect("the index answers");
        assert_eq!(history.iter().map(|said| said.stands).collect::<Vec<_>>(), [false, true]);
        assert_eq!(history[0].comment, "ann says so");
        let agreement = index.agreement(&Query::default()).expect("the index answers");
        assert_eq!((agreement.decisions, agreement.same), (3, 2));
        let kappa = agreement.kappa.expect("it is defined");
        assert!(kappa.abs() < 1e-9, "{kappa}");
    };
    check();
    index.rebuild(|_| {}).expect("the log is sound");
    check();
}

#[test]
fn what_is_taken_back_gives_way_to_what_was_said_before() {
    let Some(dir) = Place::new() else { return };
    let log = journal(dir.path());
    (0..4).for_each(|number| tell(&log, number, &Told::default()));
    say(&log, "ann", &[0, 1], Some(Assessment::Correct));
    say(&log, "ann", &[0], Some(Assessment::Unsure));
    let bulk = say(&log, "ann", &[0, 1, 2, 3], Some(Assessment::FalseAlarm));
    say(&log, "bob", &[1], Some(Assessment::Correct));
    let index = dir.open();
    let verdicts = |index: &Index| -> Vec<Option<String>> {
        index.catch_up(|_| {}).expect("the log is sound");
        let mut rows = index.page(&Query::default(), None, 10).expect("it answers").rows;
        rows.reverse();
        rows.into_iter().map(|row| row.review).collect()
    };
    let words =
        |words: [&str; 4]| words.map(|word| Some(word.to_owned()).filter(|w| !w.is_empty()));
    let alarm = "false_alarm";
    assert_eq!(verdicts(&index), words([alarm, "disputed", alarm, alarm]));
    let undone = undo(&log, "ann", &[0, 1, 2, 3], bulk);
    let before = words(["unsure", "correct", "", ""]);
    assert_eq!(verdicts(&index), before);
    assert_eq!(count(&index, "reviewer:ann"), 2);
    index.rebuild(|_| {}).expect("the log is sound");
    assert_eq!(verdicts(&index), before);
    // Taking that back brings back what it took.
    let again = undo(&log, "ann", &[0, 1, 2, 3], undone);
    assert_eq!(verdicts(&index), words([alarm, "disputed", alarm, alarm]));
    undo(&log, "ann", &[0, 1, 2, 3], again);
    assert_eq!(verdicts(&index), before);
}

#[test]
fn looks_and_views_are_kept() {
    let Some(dir) = Place::new() else { return };
    let log = journal(dir.path());
    tell(&log, 0, &Told::default());
    let (time, by) = (Timestamp::now(), "ann");
    let why = "ticket 7".to_owned();
    let decisions = vec![id(0)];
    let look =
        Revealed { time, by: by.into(), decisions, at: vec!["/messages/0/content".into()], why };
    wait(log.append_revealed(&look).durable()).expect("the disk works");
    let about = |pairs: &[(&'static str, &'static str)]| {
        pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
    };
    for (act, about) in [
        (VIEW_SAVED, about(&[("name", "mine"), ("filter", "action:block")])),
        (VIEW_SAVED, about(&[("name", "other"), ("filter", "")])),
        (VIEW_REMOVED, about(&[("name", "other")])),
    ] {
        let acted = Acted { time, by: by.into(), act: act.into(), about };
        wait(log.append_acted(&acted).durable()).expect("the disk works");
    }
    let index = dir.open();
    index.catch_up(|_| {}).expect("the log is sound");
    let detail = index.detail(id(0)).expect("the log is sound").expect("it is known");
    assert_eq!((detail.reveals[0].by.as_str(), detail.reveals[0].why.as_str()), (by, "ticket 7"));
    let views = index.views().expect("the index answers");
    assert_eq!(views.iter().map(|view| view.name.as_str()).collect::<Vec<_>>(), ["mine"]);
    let acts = index.acts(10).expect("the index answers");
    assert_eq!((acts.len(), acts[0].act.as_str()), (3, VIEW_REMOVED));
    assert_eq!(acts[0].about, [("name".to_owned(), "other".to_owned())]);
}

#[test]
fn no_two_reviewers_get_the_same() {
    let Some(dir) = Place::new() else { return };
    let log = journal(dir.path());
    (0..40).for_each(|number| tell(&log, number, &Told::default()));
    let index = Arc::new(dir.open());
    index.catch_up(|_| {}).expect("the log is sound");
    let barrier = Arc::new(Barrier::new(8));
    let reviewers: Vec<_> = (0..8)
        .map(|number| {
            let barrier = Arc::clone(&barrier);
            // Each in a process of its own, as far as the file can tell.
            let index = dir.open();
            std::thread::spawn(move || {
                barrier.wait();
                let lease = SignedDuration::from_mins(10);
                let row = index.assign(&Query::default(), &format!("reviewer {number}"), lease);
                row.expect("the index answers").expect("there is one left").id
            })
        })
        .collect();
    let mut given: Vec<Uuid> =
        reviewers.into_iter().map(|thread| thread.join().expect("it ends")).collect();
    given.sort_unstable();
    given.dedup();
    assert_eq!(given.len(), 8);

    let lease = SignedDuration::from_mins(10);
    assert!(!index.take(given[0], "somebody", lease).expect("the index answers"));
    let (holder, _) = index.on_desk(given[0]).expect("it answers").expect("somebody has it");
    index.clear_desk(&holder).expect("the index answers");
    assert!(index.take(given[0], "somebody", SignedDuration::ZERO).expect("the index answers"));
    // A lease that is over holds nobody back.
    assert!(index.take(given[0], "another", lease).expect("the index answers"));
}

#[test]
fn a_reviewer_is_not_asked_twice() {
    let Some(dir) = Place::new() else { return };
    let log = journal(dir.path());
    (0..3).for_each(|number| tell(&log, number, &Told::default()));
    let index = dir.open();
    let lease = SignedDuration::from_mins(10);
    for number in 0..3 {
        index.catch_up(|_| {}).expect("the log is sound");
        let row = index.assign(&Query::default(), "ann", lease).expect("the index answers");
        assert_eq!(row.expect("there is one left").id, id(number));
        say(&log, "ann", &[number], Some(Assessment::Unsure));
    }
    index.catch_up(|_| {}).expect("the log is sound");
    assert!(index.assign(&Query::default(), "ann", lease).expect("the index answers").is_none());
}
