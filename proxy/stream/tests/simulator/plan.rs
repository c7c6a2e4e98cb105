//! What the model server is going to say, in every detail, and what of it is bad.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use proxy_stream::{Mode, Settings};
use serde_json::{Value, json};

use crate::random::Random;

/// A text of the answer: the choice, and the field as the guard's pointers name it.
pub type Name = (u64, String);

/// What is wrong with the stream as such.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    None,
    Junk,
    Error,
    CutShort,
    UnknownChoice,
    AfterEnd,
}

#[derive(Debug)]
pub struct Plan {
    pub settings: Settings,
    pub choices: u64,
    /// What the model server says in all, by text.
    pub said: BTreeMap<Name, String>,
    /// Where each text was interrupted by so much other text that the guard takes it as ended.
    pub interrupted: BTreeMap<Name, Vec<usize>>,
    pub bytes: Vec<u8>,
    pub fault: Fault,
    pub usage: bool,
}

const LETTERS: &[&str] = &["a", "b", " ", "é", "漢", "😀", "\n", "\"", "\\", "\u{301}", "n"];
const PROSE: &[&str] = &["/content", "/reasoning", "/reasoning_content", "/refusal"];

/// Bad stretches of `text`: what blocks, and what is to be cut out.
pub fn violations(text: &str, (open, close): (char, char)) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    for (start, _) in text.match_indices(open) {
        let inside = &text[start + open.len_utf8()..];
        let length = inside.find(|c| c != 'v').unwrap_or(inside.len());
        if inside[length..].starts_with(close) {
            found.push(start..start + open.len_utf8() + length + close.len_utf8());
        }
    }
    found
}

pub const BLOCKS: (char, char) = ('[', ']');
pub const CUT_OUT: (char, char) = ('{', '}');

/// Mostly the one that holds.
pub fn modes(random: &mut Random) -> Mode {
    match random.below(10) {
        0 => Mode::Whole,
        1 => Mode::Follow,
        _ => Mode::Hold,
    }
}

/// One piece of one text on its way.
struct Piece {
    name: Name,
    text: String,
}

impl Plan {
    pub fn new(random: &mut Random) -> Self {
        let settings = Settings {
            mode: modes(random),
            window: 1 + random.below(40),
            overlap: random.below(40),
            max_wait: Duration::from_millis(random.below(50) as u64),
        };
        let most = if random.chance(50) { 1 } else { 8 };
        let choices = 1 + random.below(most) as u64;
        let longest = settings.overlap;
        let mut queues: Vec<Vec<Piece>> = Vec::new();
        for choice in 0..choices {
            queues.extend(texts(random, choice, longest));
        }
        // One after the other, or all mixed.
        let mixed = if random.chance(50) { 0 } else { random.below(100) };
        let pieces = order(random, queues, mixed);
        let fault = match random.below(40) {
            0 => Fault::Junk,
            1 => Fault::Error,
            2 => Fault::CutShort,
            3 => Fault::UnknownChoice,
            4 => Fault::AfterEnd,
            _ => Fault::None,
        };
        let usage = random.chance(50);
        let mut plan = Self {
            settings,
            choices,
            said: BTreeMap::new(),
            interrupted: BTreeMap::new(),
            bytes: Vec::new(),
            fault,
            usage,
        };
        plan.note(&pieces);
        let events = plan.events(random, &pieces);
        plan.bytes = wire(random, &events, fault);
        plan
    }

    fn note(&mut self, pieces: &[Piece]) {
        let mut others: BTreeMap<Name, usize> = BTreeMap::new();
        for piece in pieces {
            let characters = piece.text.chars().count();
            for (name, count) in &mut others {
                if name.0 == piece.name.0 && *name != piece.name {
                    *count += characters;
                }
            }
            let said = self.said.entry(piece.name.clone()).or_default();
            let since = others.insert(piece.name.clone(), 0).unwrap_or(0);
            if since >= self.settings.overlap && !said.is_empty() {
                self.interrupted.entry(piece.name.clone()).or_default().push(said.len());
            }
            said.push_str(&piece.text);
        }
    }

    /// Where the last uninterrupted run of `span` begins.
    pub fn last_run(&self, name: &Name, span: &Range<usize>) -> usize {
        let points = self.interrupted.get(name).into_iter().flatten();
        points.copied().filter(|point| span.contains(point)).max().unwrap_or(span.start)
    }

    fn events(&self, random: &mut Random, pieces: &[Piece]) -> Vec<String> {
        let mut last: BTreeMap<u64, usize> = BTreeMap::new();
        for (place, piece) in pieces.iter().enumerate() {
            last.insert(piece.name.0, place);
        }
        let mut events = Vec::new();
        let mut waiting: Vec<Value> = Vec::new();
        for choice in 0..self.choices {
            if random.chance(70) || !last.contains_key(&choice) {
                let ends = (!last.contains_key(&choice)).then_some("stop");
                waiting.push(json!({ "index": choice, "delta": { "role": "assistant", "content": "" }, "finish_reason": ends }));
            }
        }
        for (place, piece) in pieces.iter().enumerate() {
            let ends = last[&piece.name.0] == place;
            let together = ends && random.chance(30);
            waiting.push(choice_of(piece, together.then_some("stop")));
            // Several choices may share a chunk.
            if random.chance(85) {
                events.push(chunk(&mut waiting));
            }
            if ends && !together {
                waiting
                    .push(json!({ "index": piece.name.0, "delta": {}, "finish_reason": "stop" }));
            }
        }
        events.push(chunk(&mut waiting));
        match self.fault {
            Fault::Junk => insert(random, &mut events, "{\"id\":".to_owned()),
            Fault::Error => {
                insert(random, &mut events, json!({ "error": { "message": "no" } }).to_string())
            }
            Fault::UnknownChoice => {
                let mut odd = vec![json!({ "index": self.choices, "delta": { "content": "x" } })];
                insert(random, &mut events, chunk(&mut odd));
            }
            Fault::AfterEnd => {
                let mut more = vec![json!({ "index": 0, "delta": { "content": "[v]" } })];
                events.push(chunk(&mut more));
            }
            Fault::CutShort => {
                let ends = |event: &String| event.contains("\"stop\"");
                let place = events.iter().position(ends).unwrap_or(0);
                events.truncate(random.below(place + 1));
            }
            Fault::None => {}
        }
        if self.usage {
            let mut usage: Value = serde_json::from_str(&chunk(&mut Vec::new())).unwrap();
            usage["usage"] = json!({ "total_tokens": 9 });
            events.push(usage.to_string());
        }
        events
    }
}

fn insert(random: &mut Random, events: &mut Vec<String>, event: String) {
    let place = random.below(events.len() + 1);
    events.insert(place, event);
}

fn texts(random: &mut Random, choice: u64, longest: usize) -> Vec<Vec<Piece>> {
    let mut names: Vec<String> = Vec::new();
    for (field, percent) in PROSE.iter().zip([80, 30, 10, 10]) {
        if random.chance(percent) {
            names.push((*field).to_owned());
        }
    }
    let most = if random.chance(30) { 3 } else { 1 };
    for call in 0..random.below(most) {
        for field in ["id", "function/name", "function/arguments"] {
            names.push(format!("/tool_calls/{call}/{field}"));
        }
    }
    if random.chance(5) {
        names.extend(["/function_call/name", "/function_call/arguments"].map(str::to_owned));
    }
    let pieces = |random: &mut Random, field: String| {
        let text = text(random, longest);
        let size = 1 + random.below(30);
        let letters: Vec<char> = text.chars().collect();
        letters
            .chunks(size)
            .map(|piece| Piece { name: (choice, field.clone()), text: piece.iter().collect() })
            .collect()
    };
    names.into_iter().map(|field| pieces(random, field)).collect()
}

/// Some harmless letters, sometimes with something bad of at most `longest` characters, at any place.
pub fn text(random: &mut Random, longest: usize) -> String {
    let most = if random.chance(20) { 400 } else { 60 };
    let length = random.below(most);
    let mut text: Vec<String> = (0..length).map(|_| random.pick(LETTERS).to_owned()).collect();
    let bad = if random.chance(15) { 1 + random.below(2) } else { 0 };
    for _ in 0..bad {
        if longest >= 2 {
            let (open, close) = if random.chance(50) { BLOCKS } else { CUT_OUT };
            let inside = "v".repeat(random.below(longest - 1));
            text.insert(random.below(text.len() + 1), format!("{open}{inside}{close}"));
        }
    }
    text.concat()
}

/// The pieces of every text in their order; of the first texts that have some left, one is taken with a chance of
/// `mixed` out of order.
fn order(random: &mut Random, mut queues: Vec<Vec<Piece>>, mixed: usize) -> Vec<Piece> {
    queues.iter_mut().for_each(|queue| queue.reverse());
    let mut pieces = Vec::new();
    loop {
        queues.retain(|queue| !queue.is_empty());
        if queues.is_empty() {
            return pieces;
        }
        let place = if random.chance(mixed) { random.below(queues.len()) } else { 0 };
        pieces.extend(queues[place].pop());
    }
}

fn choice_of(piece: &Piece, finish: Option<&str>) -> Value {
    let (index, field) = &piece.name;
    let text = &piece.text;
    let path: Vec<&str> = field.split('/').skip(1).collect();
    let delta = match path.as_slice() {
        ["tool_calls", call, "id"] => {
            json!({ "tool_calls": [{ "index": number(call), "id": text }] })
        }
        ["tool_calls", call, "function", part] => {
            json!({ "tool_calls": [{ "index": number(call), "function": { *part: text } }] })
        }
        ["function_call", part] => json!({ "function_call": { *part: text } }),
        [part] => json!({ *part: text }),
        _ => unreachable!("no such field"),
    };
    json!({ "index": index, "delta": delta, "finish_reason": finish })
}

fn number(text: &str) -> u64 {
    text.parse().unwrap()
}

fn chunk(choices: &mut Vec<Value>) -> String {
    json!({
        "id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m", "secret": "[v]",
        "choices": std::mem::take(choices),
    })
    .to_string()
}

/// The events as bytes, in one of the many ways the standard allows.
fn wire(random: &mut Random, events: &[String], fault: Fault) -> Vec<u8> {
    let mut text = String::new();
    if random.chance(5) {
        text.push('\u{feff}');
    }
    let end = random.pick(&["\n", "\n", "\r\n", "\r"]);
    for event in events {
        if random.chance(5) {
            text += &format!(": ping{end}event: x{end}{end}");
        }
        let space = random.pick(&[" ", ""]);
        match event.strip_prefix('{').filter(|_| random.chance(10)) {
            // A line break is white space to JSON.
            Some(rest) => {
                text += &format!("data:{space}{{{end}id: 7{end}data:{space}{rest}{end}{end}")
            }
            None => text += &format!("data:{space}{event}{end}{end}"),
        }
    }
    if fault == Fault::CutShort {
        text.pop();
    } else if random.chance(90) {
        text += &format!("data: [DONE]{end}{end}");
        if random.chance(10) {
            text += &format!("data: [DONE]{end}{end}data: {{{end}{end}");
        }
    }
    text.into_bytes()
}
