//! Asked or answered, in whatever format, streamed or not, in whatever pieces: the same is done about the same text.

use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use proxy_audit::{Closed, Outcome};
use serde_json::{Value, json};

use super::formats::{FORMATS, Format};
use super::streams::{HEAD, policy, story};
use crate::support::{Guard, Script, Upstream, post_to};

/// What became of a text: how the exchange ended, why, and what of it the client read.
#[derive(Debug, PartialEq)]
struct Fate {
    outcome: Outcome,
    because: Vec<String>,
    said: String,
}

impl Fate {
    fn new(closed: &Closed, said: String) -> Self {
        let rulings = [&closed.input, &closed.output];
        let because = rulings.into_iter().flatten().flat_map(|ruling| &ruling.because);
        let mut because: Vec<String> = because.map(ToString::to_string).collect();
        because.sort();
        if closed.outcome == Outcome::Blocked {
            // A stream is cut off at the first of its reasons, and what has left by then depends on the window.
            return Self { outcome: Outcome::Blocked, because: Vec::new(), said: String::new() };
        }
        Self { outcome: closed.outcome, because, said }
    }
}

/// A text between harmless ones, and how it is cut: into pieces of so many letters, sent so many bytes at a time.
#[derive(Clone, Debug)]
struct Case {
    text: String,
    asked: bool,
    letters: usize,
    bytes: usize,
}

fn cases() -> impl Strategy<Value = Case> {
    let bad = prop::sample::select(vec![
        "",
        "PORTCULLIS-TEST-S1",
        "PORTCULLIS-TEST-SECRET",
        "PORTCULLIS-TEST-S6",
        "PORTCULLIS-TEST-S12 PORTCULLIS-TEST-SECRET",
    ]);
    (bad, 0usize..120, 0usize..120, any::<bool>(), 1usize..40, 1usize..200).prop_map(
        |(bad, before, after, asked, letters, bytes)| {
            let text = format!("{}{bad} {}", story(before), story(after));
            Case { text, asked, letters, bytes }
        },
    )
}

impl Format {
    /// What becomes of `case` in this format, plain and streamed.
    async fn fates(&self, case: &Case, upstream: &Upstream, guard: &Guard) -> [Fate; 2] {
        let (question, answer) =
            if case.asked { (&*case.text, "yes") } else { ("hi", &*case.text) };
        upstream.play(Script::json(&(self.answer)(answer)));
        let mut ask = (self.ask)(question);
        let plain = post_to(guard.address, self.path, &ask).await;
        let answered = plain.json();
        let said = answered.pointer(self.said).and_then(Value::as_str).unwrap_or_default();
        let plain_fate = Fate::new(&guard.closed().pop().unwrap(), said.to_owned());

        let letters: Vec<char> = answer.chars().collect();
        let pieces: Vec<String> = letters.chunks(case.letters).map(String::from_iter).collect();
        let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
        let bytes = Script::response(HEAD, &(self.stream)(&pieces));
        upstream.play(match case.bytes {
            ..20 => Script::Close(bytes),
            cut => Script::Dribble(bytes, cut, Duration::ZERO),
        });
        ask["stream"] = json!(true);
        let streamed = post_to(guard.address, self.path, &ask).await;
        let (said, _) = self.joined(&streamed.body);
        for body in [&plain.body, &streamed.body] {
            assert!(
                !body.contains("PORTCULLIS-TEST-S1") && !body.contains("TEST-SECRET"),
                "{body}"
            );
        }
        [plain_fate, Fate::new(&guard.closed().pop().unwrap(), said)]
    }
}

#[test]
fn the_same_text_meets_the_same_fate_in_every_format_whole_or_in_pieces() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (upstream, guard) = runtime.block_on(async {
        let upstream = Upstream::start(Script::say("")).await;
        let guard = Guard::with(&upstream.url(), &policy("hold"), "");
        (upstream, guard)
    });
    let config = Config { cases: 25, failure_persistence: None, ..Config::default() };
    let ran = TestRunner::new(config).run(&cases(), |case| {
        let mut fates = Vec::new();
        for format in &FORMATS {
            fates.extend(runtime.block_on(format.fates(&case, &upstream, &guard)));
        }
        for fate in &fates {
            prop_assert_eq!(fate, &fates[0]);
        }
        Ok(())
    });
    ran.unwrap();
}
