//! What is asked: English-looking sentences from fixed word lists, the same in every run.

use std::fmt;

use clap::ValueEnum;
use serde::Serialize;

/// Sentences that texts are put together from.
const SENTENCES: usize = 4096;
const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

const ADJECTIVES: &[&str] = &[
    "quiet", "early", "narrow", "bright", "careful", "wooden", "northern", "simple", "regular",
    "heavy", "distant", "modern", "annual", "gentle", "broad", "local", "steady", "green",
    "curious", "patient", "central", "useful", "warm", "spare",
];
const NOUNS: &[&str] = &[
    "garden",
    "report",
    "teacher",
    "station",
    "bridge",
    "library",
    "recipe",
    "meeting",
    "river",
    "calendar",
    "engine",
    "window",
    "village",
    "orchard",
    "notebook",
    "customer",
    "schedule",
    "museum",
    "harbour",
    "kitchen",
    "forest",
    "budget",
    "train",
    "neighbour",
    "lesson",
    "market",
    "catalogue",
    "letter",
    "workshop",
    "summary",
    "bicycle",
    "parser",
    "invoice",
    "violin",
];
const VERBS: &[&str] = &[
    "describes",
    "follows",
    "supports",
    "replaces",
    "explains",
    "visits",
    "measures",
    "improves",
    "collects",
    "paints",
    "repairs",
    "compares",
    "carries",
    "translates",
    "borrows",
    "prepares",
    "reaches",
    "presents",
    "answers",
    "sorts",
];
const PLACES: &[&str] = &[
    "in the morning",
    "near the old town",
    "after the holidays",
    "during the second week",
    "before the concert",
    "beside the lake",
    "for the whole family",
    "on the first page",
    "at the end of the street",
    "with great care",
    "over the weekend",
    "behind the school",
];
/// For serial numbers that read like words.
const SYLLABLES: [&str; 16] = [
    "lime", "oaks", "fern", "moss", "reed", "pine", "clay", "sand", "rain", "snow", "wind", "leaf",
    "seed", "root", "bark", "dune",
];

/// Bytes of [`serial`].
pub(crate) const SERIAL_BYTES: usize = 8 * 5;

/// Whether texts repeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// A new text in every request and every answer: nothing that was judged before helps.
    Unique,
    /// Always the same, as simple load tools send it: verdicts come from memory.
    Repeated,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unique => "unique",
            Self::Repeated => "repeated",
        })
    }
}

/// Writes `number` as eight words, each with a space after it.
pub(crate) fn serial(number: u32, out: &mut Vec<u8>) {
    for place in (0..8).rev() {
        let syllable = SYLLABLES.get((number >> (4 * place)) as usize & 15).unwrap_or(&"lime");
        out.extend_from_slice(syllable.as_bytes());
        out.push(b' ');
    }
}

/// Makes requests whose bodies have `body` bytes.
#[derive(Debug)]
pub(crate) struct Requests {
    sentences: Vec<String>,
    random: Random,
    kind: Kind,
    head: Vec<u8>,
    /// Bytes of the user's text.
    text: usize,
    number: u32,
}

const BEFORE: &str = r#"{"model":"mock","messages":[{"role":"system","content":"You are a helpful assistant."},{"role":"user","content":""#;
const AFTER: &str = r#""}]}"#;

impl Requests {
    /// Requests to `port` of this machine. The same `series` gives the same texts.
    pub(crate) fn new(kind: Kind, body: usize, port: u16, series: u32) -> Self {
        let mut random = Random(SEED);
        let sentences = (0..SENTENCES).map(|_| sentence(&mut random)).collect();
        let head = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\
             Content-Type: application/json\r\nAuthorization: Bearer sk-bench\r\n\
             Content-Length: {body}\r\n\r\n"
        );
        Self {
            sentences,
            random: Random(SEED ^ u64::from(series)),
            kind,
            head: head.into_bytes(),
            text: body.saturating_sub(BEFORE.len() + AFTER.len()),
            // Every series has its own two billion texts divided by the number of series: far apart.
            number: series << 24,
        }
    }

    /// Puts the next request into `out`, which is empty or holds the one before.
    pub(crate) fn next(&mut self, out: &mut Vec<u8>) {
        if self.kind == Kind::Repeated && !out.is_empty() {
            return;
        }
        out.clear();
        out.extend_from_slice(&self.head);
        out.extend_from_slice(BEFORE.as_bytes());
        let end = out.len() + self.text;
        if self.kind == Kind::Unique {
            serial(self.number, out);
            self.number = self.number.wrapping_add(1);
        } else {
            self.random = Random(SEED);
        }
        while out.len() < end {
            let sentence = self.random.pick(&self.sentences).map_or("", String::as_str);
            let left = end - out.len();
            out.extend_from_slice(sentence.as_bytes().get(..left).unwrap_or(sentence.as_bytes()));
        }
        out.truncate(end);
        out.extend_from_slice(AFTER.as_bytes());
    }
}

fn sentence(random: &mut Random) -> String {
    let mut word = |list: &[&'static str]| random.pick(list).copied().unwrap_or_default();
    format!(
        "The {} {} {} the {} {} {}. ",
        word(ADJECTIVES),
        word(NOUNS),
        word(VERBS),
        word(ADJECTIVES),
        word(NOUNS),
        word(PLACES)
    )
}

/// SplitMix64: small, fast, the same everywhere.
#[derive(Clone, Copy, Debug)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(SEED);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn pick<'l, T>(&mut self, list: &'l [T]) -> Option<&'l T> {
        list.get(usize::try_from(self.next() >> 33).unwrap_or(0) % list.len().max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(request: &[u8]) -> serde_json::Value {
        let text = std::str::from_utf8(request).unwrap();
        serde_json::from_str(text.split_once("\r\n\r\n").unwrap().1).unwrap()
    }

    #[test]
    fn bodies_have_their_size_and_differ_only_if_unique() {
        for (kind, differ) in [(Kind::Unique, true), (Kind::Repeated, false)] {
            for size in [256, 1024, 16384] {
                let mut requests = Requests::new(kind, size, 1, 3);
                let (mut first, mut second) = (Vec::new(), Vec::new());
                requests.next(&mut first);
                requests.next(&mut second);
                assert_eq!(first.len() - requests.head.len(), size);
                assert_eq!(second.len(), first.len());
                assert_eq!(body(&first) != body(&second), differ, "{kind} {size}");
                assert!(crate::wire::frame(&first) == crate::wire::Frame::Whole(first.len()));
            }
        }
    }
}
