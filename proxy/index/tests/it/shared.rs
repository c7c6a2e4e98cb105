//! One index of several logs, and what people say about each other's decisions.

use jiff::{SignedDuration, Timestamp};
use proxy_audit::{Assessment, Record, Reviewed};
use proxy_index::{Index, Place, Query};
use uuid::Uuid;

use crate::server::Server;
use crate::support::{Told, id, journal, tell, wait};

fn count(index: &Index, filter: &str) -> u64 {
    index.count(&filter.parse::<Query>().expect(filter)).expect("the index answers")
}

#[test]
fn the_decisions_of_many_proxies_are_in_one_list() {
    let Some(server) = Server::start() else { return };
    let place: Place = server.address().parse().expect("it is an address");
    let dirs: Vec<_> = (0..3).map(|_| tempfile::tempdir().expect("a directory")).collect();
    let logs: Vec<_> = dirs.iter().map(|dir| journal(dir.path())).collect();
    let open = |number: usize| Index::at(dirs[number].path(), &place).expect("the index is made");
    let indexes: Vec<Index> = (0..3).map(open).collect();
    for number in 0..60 {
        let proxy = usize::try_from(number).expect("it fits") % 3;
        tell(&logs[proxy], number, &Told { text: "a harbour\0 at night", ..Told::default() });
    }
    // They are taken in at the same time, by three processes as far as the server can tell.
    std::thread::scope(|scope| {
        for index in &indexes {
            scope.spawn(|| index.catch_up(|_| {}).expect("the log is sound"));
        }
    });
    let all = indexes[0].page(&Query::default(), None, 100).expect("the index answers").rows;
    assert_eq!(all.len(), 60);
    assert!(all.is_sorted_by(|a, b| a.seq > b.seq));
    assert_eq!(count(&indexes[1], "\"harbour at\" night"), 60);

    // What is told later comes behind, whoever told it.
    let last = indexes[2].position().expect("the index answers");
    tell(&logs[1], 100, &Told::default());
    indexes[1].catch_up(|_| {}).expect("the log is sound");
    let tail = indexes[0].tail(&Query::default(), last, 10).expect("the index answers");
    assert_eq!(tail.iter().map(|row| row.id).collect::<Vec<_>>(), [id(100)]);

    // Everybody can show everybody's records; each has the hash that it had in its log.
    let detail = indexes[2].detail(id(1)).expect("it is sound").expect("it is known");
    assert!(matches!(detail.entries.last().map(|entry| &entry.record), Some(Record::Closed(_))));
    let texts = detail.texts.expect("texts are kept");
    assert_eq!(texts.input[0].text.as_deref(), Some("a harbour\0 at night"));

    // Reading one log anew, or removing a part of it, leaves the others alone.
    indexes[0].rebuild(|_| {}).expect("the log is sound");
    assert_eq!(count(&indexes[0], ""), 61);
    proxy_audit::remove_before(dirs[0].path(), u64::MAX, "a test").expect("the disk works");
    indexes[0].catch_up(|_| {}).expect("the log is sound");
    let left = count(&indexes[1], "");
    assert!((41..61).contains(&left), "{left}");
    assert!(indexes[1].detail(id(0)).expect("it answers").is_none());
    assert!(indexes[1].detail(id(1)).expect("it answers").is_some());
}

#[test]
fn what_is_said_elsewhere_counts_everywhere_and_the_last_word_stands() {
    let Some(server) = Server::start() else { return };
    let place: Place = server.address().parse().expect("it is an address");
    let dirs = [0, 1].map(|_| tempfile::tempdir().expect("a directory"));
    let logs = dirs.each_ref().map(|dir| journal(dir.path()));
    let indexes =
        dirs.each_ref().map(|dir| Index::at(dir.path(), &place).expect("the index is made"));
    tell(&logs[0], 7, &Told::default());
    let say = |log: usize, second: i64, verdict: Assessment| {
        let reviewed = Reviewed {
            act: Uuid::now_v7(),
            time: Timestamp::from_second(1_795_400_000 + second).expect("it is in range"),
            by: "ann".into(),
            decisions: vec![id(7)],
            verdict: Some(verdict),
            category: None,
            comment: String::new(),
            undoes: None,
        };
        wait(logs[log].append_reviewed(&reviewed).durable()).expect("the disk works");
    };
    // In another proxy's log, first and last; that log is read first.
    say(1, 1, Assessment::Unsure);
    say(0, 2, Assessment::Correct);
    say(1, 3, Assessment::FalseAlarm);
    for number in [1, 0] {
        indexes[number].catch_up(|_| {}).expect("the log is sound");
    }
    let check = || {
        for index in &indexes {
            assert_eq!(count(index, "review:false_alarm"), 1);
            let history = index.reviews(id(7)).expect("the index answers");
            assert_eq!(history.iter().filter(|said| said.stands).count(), 1);
        }
    };
    check();
    for index in &indexes {
        index.rebuild(|_| {}).expect("the log is sound");
        check();
    }

    // A desk is seen from everywhere.
    let lease = SignedDuration::from_mins(10);
    assert!(indexes[0].take(id(7), "ann", lease).expect("the index answers"));
    assert!(!indexes[1].take(id(7), "bob", lease).expect("the index answers"));

    // A server that was gone for a moment is asked again.
    server.control(&["restart", "-m", "immediate"]);
    drop(indexes[0].count(&Query::default()));
    drop(indexes[0].catch_up(|_| {}));
    indexes[0].catch_up(|_| {}).expect("the server is there again");
    check();
    let nobody: Place =
        "postgres://nobody:secret@127.0.0.1:1/none".parse().expect("it is an address");
    let index = Index::at(dirs[0].path(), &nobody).expect("nobody is asked yet");
    let error = index.catch_up(|_| {}).expect_err("nobody is there").to_string();
    assert!(error.contains("127.0.0.1") && !error.contains("secret"), "{error}");
}
