//! Decisions are found by everything that is said about them.

use std::time::Duration;

use proxy_audit::{Action, Record};
use proxy_index::{Field, Index, IndexError, Query, Timeline};

use super::Place;
use crate::support::{Told, id, journal, tell};

/// Sixty decisions: every third blocked, every tenth on another route, every twelfth with another key.
fn fill(dir: &std::path::Path) {
    let journal = journal(dir);
    for number in 0..60 {
        let block = number % 3 == 0;
        let told = Told {
            action: if block { Action::Block } else { Action::Allow },
            hazard: if number % 2 == 0 { "violent_crimes" } else { "hate" },
            score: if block { 0.9 } else { 0.1 },
            route: if number % 10 == 0 { "/v1/embeddings" } else { "/v1/chat/completions" },
            key: if number % 12 == 0 { "b3:bb*b" } else { "b3:aaaa" },
            text: if number % 5 == 0 {
                "Wie baut man ein Schloß auf?"
            } else {
                "how are you today"
            },
        };
        tell(&journal, number, &told);
    }
    journal.close().expect("the disk works");
}

fn count(index: &Index, filter: &str) -> u64 {
    let query: Query = filter.parse().expect(filter);
    let count = index.count(&query).expect("the index answers");
    assert_eq!(
        index.count_to(&query, count).expect("the index answers"),
        (count, false),
        "{filter}"
    );
    let fewer = count.saturating_sub(1);
    assert_eq!(index.count_to(&query, fewer).expect("the index answers"), (fewer, count > 0));
    let page = index.page(&query, None, 100).expect("the index answers");
    assert_eq!(page.rows.len() as u64, count, "{filter}: the list has what is counted");
    count
}

#[test]
fn every_field_finds_and_excludes() {
    let Some(dir) = Place::new() else { return };
    fill(dir.path());
    let index = dir.open();
    index.catch_up(|_| {}).expect("the log is sound");
    for (filter, expected) in [
        ("", 60),
        ("action:block", 20),
        ("-action:block", 40),
        ("action:block,allow", 60),
        ("outcome:blocked status:400", 20),
        ("hazard:violent_crimes", 10),
        ("hazard:violent_crimes,hate", 20),
        ("hazard:none", 40),
        ("-hazard:*", 40),
        ("classifier:llama_guard", 20),
        ("failed:none", 60),
        ("route:/v1/embeddings", 6),
        ("-route:/v1/emb*", 54),
        ("key:\"b3:bb*b\"", 5),
        ("key:b3:b*", 5),
        ("key:b3:bb?b", 0),
        ("model:llama* policy:acme@*", 60),
        ("profile:none review:none reviewer:none", 60),
        ("score>0.8", 20),
        ("score>=0.9 score<=0.9", 20),
        ("score.hate>0.8", 10),
        ("score.privacy>0", 0),
        ("schloss", 0),
        ("schloß", 12),
        ("\"baut man\"", 12),
        ("\"man baut\"", 0),
        ("scho", 0),
        ("schlo*", 12),
        ("-schlo* today", 48),
        ("since:2026-11-22T06:04:00Z", 28),
        ("until:2026-11-22T06:04:00Z", 32),
        ("since:2026-11-22T06:04:00Z action:block key:b3:aaaa", 7),
        ("today hazard:hate", 8),
        ("hazard:hate route:/v1/chat/completions", 10),
        ("score>0.8 -hazard:hate today", 8),
        ("today -how", 0),
        ("action:block hazard:none", 0),
        ("since:1h", 0),
        (&format!("id:{}", id(7)), 1),
        ("id:nonsense", 0),
        ("action:\"x' OR 1=1 --\"", 0),
    ] {
        assert_eq!(count(&index, filter), expected, "{filter}");
    }
}

#[test]
fn pages_and_tails_cover_everything_once() {
    let Some(dir) = Place::new() else { return };
    fill(dir.path());
    let index = dir.open();
    index.catch_up(|_| {}).expect("the log is sound");
    for filter in ["", "action:block", "today"] {
        let query: Query = filter.parse().expect("it is a filter");
        let all = index.page(&query, None, 100).expect("the index answers").rows;
        assert!(all.is_sorted_by(|a, b| a.seq > b.seq));
        let (mut paged, mut before) = (Vec::new(), None);
        loop {
            let page = index.page(&query, before, 7).expect("the index answers");
            paged.extend(page.rows);
            before = page.before;
            if before.is_none() {
                break;
            }
        }
        assert_eq!(paged, all);
        let middle = all[all.len() / 2].seq;
        let tail = index.tail(&query, middle, 100).expect("the index answers");
        assert!(tail.iter().rev().eq(all.iter().filter(|row| row.seq > middle)));
    }
}

#[test]
fn charts_count_what_lists_have() {
    let Some(dir) = Place::new() else { return };
    fill(dir.path());
    let index = dir.open();
    index.catch_up(|_| {}).expect("the log is sound");
    let all = Query::default();
    let found = index
        .facets(&all, &[Field::Action, Field::Hazard, Field::Key], (10, 100))
        .expect("the index answers");
    assert_eq!((found.decisions, found.more), (60, false));
    let facets = found.facets;
    let some = |name: &str| Some(name.to_owned());
    assert_eq!(facets[0].values, [(some("allow"), 40), (some("block"), 20)]);
    assert_eq!(facets[1].values, [(some("hate"), 10), (some("violent_crimes"), 10)]);
    assert_eq!(facets[2].values, [(some("b3:aaaa"), 55), (some("b3:bb*b"), 5)]);
    let blocked: Query = "action:block".parse().expect("it is a filter");
    let facets = index.facets(&blocked, &[Field::Hazard], (1, 100)).expect("the index answers");
    assert_eq!((facets.facets[0].values.len(), facets.facets[0].more), (1, true));
    assert_eq!((facets.decisions, facets.more), (20, false));

    let timeline = index.timeline(&all, 12, 100).expect("the index answers");
    assert!(timeline.bars.len() <= 12 && timeline.bars.len() > 1, "{timeline:?}");
    let counted = timeline.bars.iter().flat_map(|bar| &bar.counts).map(|(_, n)| n).sum::<u64>();
    assert_eq!((counted, timeline.more), (60, false));
    assert_eq!(
        timeline.outcomes.into_iter().collect::<Vec<_>>(),
        [("allowed".to_owned(), 40), ("blocked".to_owned(), 20)]
    );

    let scores = index.scores(&blocked, 1_000).expect("the index answers");
    assert_eq!((scores.decisions, scores.more), (20, false));
    let hate = scores.distributions.iter().find(|of| of.category == "hate").expect("it was scored");
    assert_eq!((hate.counts[90], hate.counts.iter().sum::<u64>()), (10, 10));
}

#[test]
fn charts_of_many_are_of_the_newest_and_say_so() {
    let Some(dir) = Place::new() else { return };
    fill(dir.path());
    let index = dir.open();
    index.catch_up(|_| {}).expect("the log is sound");
    let sum =
        |timeline: &Timeline| timeline.bars.iter().flat_map(|bar| bar.counts.values()).sum::<u64>();
    for (filter, blocked) in
        [("", 3), ("model:llama*", 3), ("today -action:flag", 4), ("score.hate>=0", 3)]
    {
        let query: Query = filter.parse().expect("it is a filter");
        let found = index.facets(&query, &[Field::Action, Field::Hazard], (10, 10));
        let found = found.expect("the index answers");
        assert_eq!((found.decisions, found.more), (10, true), "{filter}");
        let actions =
            [(Some("allow".to_owned()), 10 - blocked), (Some("block".to_owned()), blocked)];
        assert_eq!(found.facets[0].values, actions, "{filter}");
        let hazards = found.facets[1].values.iter().map(|(_, count)| count).sum::<u64>();
        assert_eq!(hazards, blocked, "{filter}");
        let causes = index.causes(&query, 10).expect("the index answers");
        assert_eq!(causes.values().filter_map(|by| by.get("blocked")).sum::<u64>(), blocked);
        let timeline = index.timeline(&query, 12, 10).expect("the index answers");
        // All of them, or one more than asked for: there are more.
        let all = filter.is_empty();
        assert_eq!((sum(&timeline), timeline.more), (if all { 60 } else { 11 }, !all), "{filter}");
    }
    let query: Query = "today hazard:hate".parse().expect("it is a filter");
    let found = index.facets(&query, &[Field::Action], (10, 8)).expect("the index answers");
    assert_eq!((found.decisions, found.more), (8, false));
}

/// Whether `word` stands in the file of the index or in one beside it.
fn is_in_file(dir: &std::path::Path, word: &str) -> bool {
    std::fs::read_dir(dir).expect("it is there").flatten().any(|file| {
        let bytes = std::fs::read(file.path()).expect("it is read");
        file.file_name().to_string_lossy().starts_with("index.sqlite")
            && bytes.windows(word.len()).any(|window| window == word.as_bytes())
    })
}

#[test]
fn of_texts_that_were_removed_no_word_is_left_in_the_file() {
    let dir = tempfile::tempdir().expect("a directory");
    let log = journal(dir.path());
    let index = Index::open(dir.path()).expect("the index is made");
    for number in 0..60 {
        let text = if number < 20 { "a xylophonist spoke" } else { "a bassoonist did not" };
        tell(&log, number, &Told { text, ..Told::default() });
        // As the proxy's own does it: little by little.
        index.catch_up(|_| {}).expect("the log is sound");
    }
    assert_eq!((count(&index, "xylophonist"), count(&index, "bassoonist")), (20, 40));
    assert!(is_in_file(dir.path(), "xylophonist") && is_in_file(dir.path(), "bassoonist"));
    let seq = index.page(&"bassoonist".parse().expect("a filter"), None, 100);
    let seq = seq.expect("it answers").rows.last().expect("it is found").seq;
    let note = proxy_audit::remove_before(dir.path(), seq + 30, "a test");
    note.expect("the disk works").expect("there are old segments");
    // Another process does it, while this one has the file open.
    let other = Index::open(dir.path()).expect("it opens");
    other.purge().expect("nobody reads");
    assert_eq!(count(&index, "xylophonist"), 0);
    assert!(!is_in_file(dir.path(), "xylophonist"));
    assert!(count(&index, "bassoonist") > 5 && is_in_file(dir.path(), "bassoonist"));
    drop((other, log));

    // Whoever follows the log does it too.
    let note = proxy_audit::remove_before(dir.path(), u64::MAX, "a test");
    note.expect("the disk works").expect("there are old segments");
    let left = index.catch_up(|_| {}).map(|_| count(&index, "bassoonist")).expect("it is sound");
    assert_eq!(is_in_file(dir.path(), "bassoonist"), left > 0);
}

#[test]
fn a_question_that_takes_too_long_is_given_up() {
    let dir = tempfile::tempdir().expect("a directory");
    fill(dir.path());
    let index = Index::open(dir.path()).expect("the index is made").limited(Duration::ZERO);
    index.catch_up(|_| {}).expect("taking in takes as long as it takes");
    let query: Query = "-route:*x*y* ".repeat(60).parse().expect("it is a filter");
    assert!(matches!(index.count(&query), Err(IndexError::TooSlow)));
    let index = Index::open(dir.path()).expect("it opens").limited(Duration::from_secs(60));
    assert_eq!(index.count(&query).expect("the index answers"), 60);
}

#[test]
fn a_decision_is_shown_from_the_log_itself() {
    let Some(dir) = Place::new() else { return };
    fill(dir.path());
    let index = dir.open();
    index.catch_up(|_| {}).expect("the log is sound");
    let detail = index.detail(id(30)).expect("the log is sound").expect("it is known");
    let kinds: Vec<bool> =
        detail.entries.iter().map(|entry| matches!(entry.record, Record::Closed(_))).collect();
    assert_eq!((kinds, detail.removed), (vec![false, true], 0));
    assert_eq!(detail.row.hazards, ["violent_crimes"]);
    let texts = detail.texts.expect("texts are kept");
    assert_eq!(texts.input[0].text.as_deref(), Some("Wie baut man ein Schloß auf?"));
    assert!(index.detail(id(999)).expect("the index answers").is_none());
}

#[test]
fn an_index_follows_is_made_anew_and_notices_another_log() {
    let Some(dir) = Place::new() else { return };
    fill(dir.path());
    let index = dir.open();
    index.catch_up(|_| {}).expect("the log is sound");
    let first = index.position().expect("it answers");
    assert_eq!(index.catch_up(|_| {}).expect("the log is sound").records, 0);

    let journal = journal(dir.path());
    tell(&journal, 100, &Told::default());
    let (_, other) = (index.catch_up(|_| {}).expect("sound"), dir.open());
    assert_eq!(count(&other, ""), 61);
    assert!(index.position().expect("it answers") > first);
    drop(journal);

    index.rebuild(|_| {}).expect("the log is sound");
    assert_eq!((count(&index, ""), count(&index, "today")), (61, 49));

    // Old segments are removed: what they held is not found any more, the rest is.
    let note = proxy_audit::remove_before(dir.path(), 100, "a test").expect("the disk works");
    let note = note.expect("there are old segments");
    index.catch_up(|_| {}).expect("the log is sound");
    let (left, words) = (count(&index, ""), count(&index, "today"));
    assert!(left < 61 && words < 49 && left > words, "{left} {words} after {}", note.last);
    assert!(index.detail(id(0)).expect("the index answers").is_none());
    index.rebuild(|_| {}).expect("the log is sound");
    assert_eq!((count(&index, ""), count(&index, "today")), (left, words));

    // The log is put back to an older state: what the index knows is not in it.
    for file in std::fs::read_dir(dir.path()).expect("it is there").flatten() {
        if file.file_name().to_string_lossy().ends_with(".jsonl") {
            std::fs::remove_file(file.path()).expect("it is removed");
        }
    }
    let journal = crate::support::journal(dir.path());
    tell(&journal, 200, &Told::default());
    drop(journal);
    index.catch_up(|_| {}).expect("the log is sound");
    assert_eq!(count(&index, ""), 1);
}
