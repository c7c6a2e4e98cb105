//! What reviewers say, as labelled texts and as tables: of the page and of the command line alike.

use jiff::Timestamp;
use proxy_audit::{Action, Assessment, Journal, Reviewed};
use proxy_index::{CSV_HEADER, Index, Query, csv_line, judged, labelled_lines};
use uuid::Uuid;

use crate::support::{Told, id, journal, tell, wait};

fn say(
    journal: &Journal,
    by: &'static str,
    number: u64,
    (verdict, category): (Assessment, Option<&'static str>),
) {
    let reviewed = Reviewed {
        act: Uuid::now_v7(),
        time: Timestamp::now(),
        by: by.into(),
        decisions: vec![id(number)],
        verdict: Some(verdict),
        category: category.map(Into::into),
        comment: String::new(),
        undoes: None,
    };
    wait(journal.append_reviewed(&reviewed).durable()).expect("the disk works");
}

#[test]
fn a_verdict_labels_what_it_is_about_and_nothing_else() {
    let dir = tempfile::tempdir().expect("a directory");
    let log = journal(dir.path());
    let (block, allow) = (Action::Block, Action::Allow);
    let cases = [
        (block, Assessment::Correct, None, r#""labels":{"hate":true},"#),
        (block, Assessment::FalseAlarm, None, r#""labels":{"hate":false},"#),
        (
            block,
            Assessment::WrongCategory,
            Some("privacy"),
            r#""labels":{"hate":false,"privacy":true},"#,
        ),
        (block, Assessment::WrongCategory, None, ""),
        (allow, Assessment::Correct, None, r#""hazards":[],"attack":"benign","#),
        (allow, Assessment::FalseAlarm, None, ""),
        (allow, Assessment::Missed, Some("privacy"), r#""labels":{"privacy":true},"#),
        (allow, Assessment::Missed, Some("a rule"), ""),
        (allow, Assessment::Unsure, None, ""),
    ];
    for (number, (action, verdict, category, _)) in (0..).zip(cases) {
        tell(&log, number, &Told { action, text: "these words", ..Told::default() });
        say(&log, "ann", number, (verdict, category));
    }
    // Two who differ say nothing together.
    tell(&log, 20, &Told { action: block, ..Told::default() });
    say(&log, "ann", 20, (Assessment::Correct, None));
    say(&log, "bob", 20, (Assessment::FalseAlarm, None));
    let index = Index::open(dir.path()).expect("the index is made");
    index.catch_up(|_| {}).expect("the log is sound");
    let lines = |number| {
        let detail = index.detail(id(number)).expect("the log is sound").expect("it is known");
        labelled_lines(&detail).concat()
    };
    for (number, (_, verdict, _, known)) in (0..).zip(cases) {
        let expected = format!(
            r#"{{"text":"these words","role":"user",{known}"source":"audit {}"}}"#,
            id(number)
        );
        let expected = if known.is_empty() { String::new() } else { expected };
        // Whatever order a map of JSON keeps.
        let same = |line: &str| serde_json::from_str::<serde_json::Value>(line).ok();
        assert_eq!(same(&lines(number)), same(&expected), "{number}: {verdict}");
    }
    assert_eq!(lines(20), "");
    assert_eq!(index.count(&judged(Query::default())).expect("it answers"), 8);
}

#[test]
fn a_table_has_a_cell_for_each_column_and_no_formula() {
    let dir = tempfile::tempdir().expect("a directory");
    let log = journal(dir.path());
    tell(&log, 0, &Told { route: "=cmd(),\u{202e}", key: " ＠SUM", ..Told::default() });
    let index = Index::open(dir.path()).expect("the index is made");
    index.catch_up(|_| {}).expect("the log is sound");
    let rows = index.page(&Query::default(), None, 1).expect("it answers").rows;
    let line = csv_line(&rows[0]);
    assert!(line.contains(r#""'=cmd(),\u{202e}""#) && line.contains("\"' ＠SUM\""), "{line}");
    assert_eq!(line.replace("(),", "()").split(',').count(), CSV_HEADER.split(',').count());
}
