//! What the client got, checked against the plan at every instant. It reads events with another JSON library, and knows
//! nothing of how the guard decides.

use std::collections::BTreeMap;

use proxy_stream::{Examination, Mode};
use serde_json::Value;

use crate::plan::{BLOCKS, CUT_OUT, Name, Plan, violations};

/// What stands where something was cut out.
const MARK: &str = "[REDACTED]";

pub struct Ledger<'a> {
    plan: &'a Plan,
    got: BTreeMap<Name, String>,
    refused: BTreeMap<u64, String>,
    finish: BTreeMap<u64, String>,
    usage: bool,
    done: bool,
    /// How far verdicts that allow it cover each text, without a gap.
    covered: BTreeMap<Name, usize>,
    /// Some of what would have to be cut out may have left: it spans an interruption, or text leaves before its verdict.
    pub doubtful: bool,
}

/// The pointer of a passage without what the guard adds, and the stretch it covers.
fn place(at: &str, length: usize) -> Option<(Name, usize, usize)> {
    let (pointer, from) = match at.split_once('#') {
        None => (at, 0),
        Some((_, "unescaped")) => return None,
        Some((pointer, span)) => (pointer, span.split("..").next()?.parse().ok()?),
    };
    let rest = pointer.strip_prefix("/choices/")?;
    let (choice, field) = rest.split_once("/message")?;
    Some(((choice.parse().ok()?, field.to_owned()), from, from + length))
}

impl<'a> Ledger<'a> {
    pub fn new(plan: &'a Plan) -> Self {
        let crosses = |name: &Name, text: &str| {
            let cuts = violations(text, CUT_OUT);
            let follows = plan.settings.mode == Mode::Follow;
            cuts.iter().any(|span| follows || plan.last_run(name, span) != span.start)
        };
        let doubtful = plan.said.iter().any(|(name, text)| crosses(name, text));
        Self {
            plan,
            got: BTreeMap::new(),
            refused: BTreeMap::new(),
            finish: BTreeMap::new(),
            usage: false,
            done: false,
            covered: BTreeMap::new(),
            doubtful,
        }
    }

    /// What is asked about is what the model server said.
    pub fn asked(&self, examination: &Examination) {
        for passage in examination.passages() {
            let Some((name, from, to)) = place(&passage.origin.at, passage.text.len()) else {
                continue;
            };
            assert_eq!(self.plan.said[&name].get(from..to), Some(&*passage.text), "{name:?}");
        }
    }

    /// A verdict allows what was asked about.
    pub fn allowed(&mut self, examination: &Examination) {
        let mut spans: Vec<_> = examination
            .passages()
            .iter()
            .filter_map(|passage| place(&passage.origin.at, passage.text.len()))
            .collect();
        spans.sort();
        for (name, from, to) in spans {
            let covered = self.covered.entry(name).or_default();
            assert!(from <= *covered, "something was left out before {from}");
            *covered = to.max(*covered);
        }
    }

    /// An event leaves.
    pub fn event(&mut self, data: &[u8]) {
        assert!(!self.done, "something follows [DONE]");
        if data == b"[DONE]" {
            self.done = true;
            return;
        }
        let event: Value = serde_json::from_slice(data).unwrap();
        assert_eq!((&event["id"], event.get("secret")), (&Value::from("c1"), None));
        self.usage |= event["usage"]["total_tokens"] == 9;
        for choice in event["choices"].as_array().unwrap() {
            let index = choice["index"].as_u64().unwrap();
            assert!(!self.finish.contains_key(&index), "choice {index} goes on after its end");
            if let Some(reason) = choice["finish_reason"].as_str() {
                self.finish.insert(index, reason.to_owned());
            }
            self.delta(index, "", &choice["delta"]);
        }
    }

    fn delta(&mut self, index: u64, at: &str, value: &Value) {
        match value {
            Value::String(text) if at == "/refusal" && text == crate::REFUSAL => {
                self.refused.insert(index, text.clone());
            }
            Value::String(text) if at != "/role" => {
                self.got.entry((index, at.to_owned())).or_default().push_str(text);
            }
            Value::Object(fields) => {
                fields
                    .iter()
                    .for_each(|(key, item)| self.delta(index, &format!("{at}/{key}"), item));
            }
            Value::Array(items) => {
                for item in items {
                    self.delta(index, &format!("{at}/{}", item["index"]), item);
                }
            }
            _ => {}
        }
    }

    /// Nothing the client has is bad, and nothing of it is not covered.
    pub fn check(&self) {
        for (name, got) in &self.got {
            if got.is_empty() {
                continue;
            }
            let said = &self.plan.said[name];
            let Some(left) = matched(said, got) else {
                assert!(self.doubtful, "{name:?}: {got:?} is not what was said: {said:?}");
                continue;
            };
            let covered = self.covered.get(name).copied().unwrap_or(0);
            let ahead = self.plan.settings.ahead();
            let uncovered = said[..left].get(covered..).unwrap_or("").chars().count();
            assert!(uncovered <= ahead, "{name:?}: {uncovered} characters have no verdict");
            if self.plan.settings.mode == Mode::Follow {
                continue;
            }
            for span in violations(said, BLOCKS) {
                let from = self.plan.last_run(name, &span);
                assert!(left <= from, "{name:?}: {left} of {span:?} has left");
            }
            let prose = !name.1.contains("call");
            assert!(prose || *got == cut_out(said), "{name:?} left in pieces");
        }
        let early = self.plan.settings.mode == Mode::Whole && !self.got.is_empty();
        let all =
            self.plan.said.iter().all(|(name, said)| self.covered.get(name) == Some(&said.len()));
        assert!(!early || all || self.plan.said.is_empty(), "something left before all was judged");
    }

    /// The answer ended in order: all of it is here.
    pub fn complete(&self) {
        self.check();
        assert!(self.done);
        for (name, said) in &self.plan.said {
            let got = self.got.get(name).map_or("", String::as_str);
            if !self.doubtful {
                assert_eq!(got, cut_out(said), "{name:?}");
            }
            assert!(violations(said, BLOCKS).is_empty(), "{name:?} was let through: {said:?}");
        }
        assert_eq!(self.finish.len() as u64, self.plan.choices);
        assert!(self.finish.values().all(|reason| reason == "stop") && self.refused.is_empty());
        assert_eq!(self.usage, self.plan.usage);
    }

    /// The answer was cut: every choice has an end, and the client can tell.
    pub fn cut(&self, begun: bool) {
        self.check();
        assert!(self.done);
        if !begun {
            return;
        }
        assert_eq!(self.finish.len() as u64, self.plan.choices);
        for (index, reason) in &self.finish {
            assert_eq!(reason == "content_filter", self.refused.contains_key(index));
        }
    }
}

/// How much of `said` the client has at least that got `got`, if that is what it is, with what is to be cut out cut
/// out. One mark stands for all that is cut out in one place.
fn matched(said: &str, got: &str) -> Option<usize> {
    let (mut at, mut rest) = (0, got);
    for span in violations(said, CUT_OUT) {
        let touches = at > 0 && span.start == at;
        let clean = said.get(at..span.start)?;
        if rest.len() <= clean.len() {
            return clean.starts_with(rest).then_some(at + rest.len());
        }
        rest = rest.strip_prefix(clean)?;
        if !touches {
            rest = rest.strip_prefix(MARK)?;
        }
        at = span.end;
    }
    said[at..].starts_with(rest).then_some(at + rest.len())
}

/// What the client gets of `said` in the end.
fn cut_out(said: &str) -> String {
    let (mut text, mut at) = (String::new(), 0);
    for span in violations(said, CUT_OUT) {
        text += &said[at..span.start];
        if at == 0 || span.start > at {
            text += MARK;
        }
        at = span.end;
    }
    text + &said[at..]
}
