//! What a client sends cannot make a record long, or leave its line.

use proxy_audit::{
    Check, Examined, Journal, Keep, Kept, Options, Record, Span, Unchecked, limits, verify,
};

use crate::journal::{open, records};
use crate::support::{closed, opened, wait};

#[test]
fn long_and_hostile_texts_are_cut_and_stay_on_their_line() {
    let dir = tempfile::tempdir().expect("a directory");
    let journal = open(dir.path(), 64 << 20);
    let hostile = "m\u{2028}\n\r\u{85}\u{1b}[2J\"\\\u{7f}\u{202e}é€😀".repeat(500);
    let mut request = opened(1);
    request.route = hostile.clone().into();
    request.method = hostile.clone().into();
    let mut end = closed(1);
    end.model = Some(hostile.clone().into());
    end.reason = Some(hostile.clone().into());
    let gap = Unchecked { at: hostile.clone().into(), why: hostile.clone().into() };
    end.unchecked = vec![gap; 1_000];
    end.timing_ms.total = f32::NAN;
    let ruling = end.input.as_mut().expect("it has one");
    let mut check = ruling.checks[0].clone();
    check.scores.insert("hate".into(), f32::INFINITY);
    let text: proxy_audit::Text = hostile.clone().into();
    check.spans = vec![Span { at: text.clone(), start: 0, end: 1, category: text }; 500];
    ruling.checks = vec![check; 100];
    ruling.because = vec![hostile.clone().into(); 500];
    wait(journal.append_opened(&request).durable()).expect("the disk works");
    wait(journal.append_closed(&end).durable()).expect("the longest record fits a line");
    journal.close().expect("the disk works");

    let file = dir.path().join("00000000000000000001.jsonl");
    let text = std::fs::read_to_string(file).expect("it is UTF-8");
    let report = verify(dir.path()).expect("it is sound");
    assert_eq!(text.lines().count() as u64, report.records);
    let deceptive =
        |c: char| c != '\n' && (c.is_control() || ('\u{2028}'..='\u{202e}').contains(&c));
    assert!(!text.contains(deceptive));

    let records = records(dir.path());
    let about = |record: &&Record| matches!(record, Record::Opened(_) | Record::Closed(_));
    let records: Vec<&Record> = records.iter().filter(about).collect();
    let [Record::Opened(request), Record::Closed(end)] = records[..] else {
        panic!("{records:?}");
    };
    let is_cut = |text: &str, limit: usize| {
        text.len() <= limit
            && text.len() > limit - 8
            && hostile.starts_with(text.trim_end_matches('…'))
    };
    assert!(is_cut(&request.route, limits::NAME_BYTES));
    assert!(is_cut(&request.method, limits::WORD_BYTES));
    assert!(is_cut(end.model.as_ref().expect("it has one"), limits::NAME_BYTES));
    assert!(is_cut(end.reason.as_ref().expect("it has one"), limits::WORD_BYTES));
    assert_eq!((end.unchecked.len(), end.unchecked_left_out), (64, 936));
    assert!(is_cut(&end.unchecked[0].at, limits::POINTER_BYTES));
    assert!(end.timing_ms.total.is_nan());
    let ruling = end.input.as_ref().expect("it has one");
    assert_eq!((ruling.checks.len(), ruling.checks_left_out), (64, 36));
    assert_eq!(ruling.because.len(), limits::LIST_ENTRIES);
    let Check { spans, spans_left_out, scores, .. } = &ruling.checks[0];
    assert_eq!((spans.len(), *spans_left_out), (64, 436));
    assert!(scores.get("hate").is_some_and(|score| score.is_nan()));
}

/// A missing record would say that nothing was examined.
#[test]
fn texts_that_do_not_fit_are_recorded_without_their_words() {
    let dir = tempfile::tempdir().expect("a directory");
    let options = Options { queue_bytes: 64 << 10, ..Options::default() };
    let (journal, _) = Journal::open(dir.path(), &options).expect("it opens");
    let text = "word ".repeat(20_000);
    let kept = Kept {
        at: "/messages/0/content".into(),
        role: "user".into(),
        bytes: text.len() as u64,
        text: Some(text.into()),
        fingerprint: None,
        masked: Vec::new(),
        why: None,
    };
    let (id, time) = (opened(1).id, opened(1).time);
    let examined =
        Examined { id, time, keep: Keep::Full, input: vec![kept], output: Vec::new(), left_out: 0 };
    wait(journal.append_opened(&opened(1)).durable()).expect("the disk works");
    wait(journal.append_examined(Box::new(examined)).durable()).expect("there is room");
    wait(journal.append_closed(&closed(1)).durable()).expect("there is room");
    journal.close().expect("the disk works");
    let records = records(dir.path());
    let found = records.iter().find_map(|record| match record {
        Record::Examined(examined) => examined.input.first(),
        _ => None,
    });
    let found = found.expect("what was examined is on record");
    assert_eq!((found.bytes, &found.text, &found.fingerprint), (100_000, &None, &None));
    assert!(found.why.as_ref().is_some_and(|why| why.contains("could not take in")));
}
