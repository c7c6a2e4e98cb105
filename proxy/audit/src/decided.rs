//! Reading decisions back for a second look, many of them and fast.
//!
//! A million decisions are read in seconds because nothing is kept: every text is borrowed from the line it
//! stands in, and what a second decision does not need is passed over.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;
use std::path::Path;

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use uuid::Uuid;

use crate::disk::{Disk as _, RealDisk};
use crate::error::ReadError;
use crate::fault::{Fault, Problem};
use crate::line;
use crate::removed;
use crate::segment::{Lines, Piece};
use crate::words::{Action, CheckStatus};

/// A decision as it was recorded, with what it was made from.
#[derive(Debug, Deserialize)]
pub struct Decided<'a> {
    /// The decision id.
    pub id: Uuid,
    /// When it was taken.
    #[serde(with = "crate::json::time")]
    pub time: Timestamp,
    /// The model that was asked for.
    #[serde(borrow, default)]
    pub model: Option<Cow<'a, str>>,
    /// The policy that decided.
    #[serde(borrow, default)]
    pub policy: Option<Cow<'a, str>>,
    /// The profile of that policy.
    #[serde(borrow, default)]
    pub profile: Option<Cow<'a, str>>,
    /// The name of the caller's key, if it has one.
    #[serde(borrow, default)]
    pub key_name: Option<Cow<'a, str>>,
    /// What was said about the request.
    #[serde(borrow, default)]
    pub input: Option<DecidedRuling<'a>>,
    /// What was said about the answer.
    #[serde(borrow, default)]
    pub output: Option<DecidedRuling<'a>>,
    /// What the opened record says, if it was seen.
    #[serde(skip)]
    pub origin: Option<Origin>,
}

/// Where a request came from, by its opened record.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The path of the request.
    pub route: Box<str>,
    /// The fingerprint of the caller's key, if there was one.
    pub key: Option<Box<str>>,
}

/// One of the two decisions of an exchange.
#[derive(Debug, Deserialize)]
pub struct DecidedRuling<'a> {
    /// What was done.
    pub action: Action,
    /// What would have been done without shadow.
    #[serde(default)]
    pub would: Option<Action>,
    /// Why.
    #[serde(borrow, default)]
    pub because: Vec<Cow<'a, str>>,
    /// Languages of the texts, where a policy asked.
    #[serde(borrow, default)]
    pub languages: Vec<Cow<'a, str>>,
    /// What the checks said.
    #[serde(borrow)]
    pub checks: Vec<DecidedCheck<'a>>,
}

/// What one check said.
#[derive(Debug, Deserialize)]
pub struct DecidedCheck<'a> {
    /// Its name.
    #[serde(borrow)]
    pub name: Cow<'a, str>,
    /// The exact classifier.
    #[serde(borrow)]
    pub revision: Cow<'a, str>,
    /// How it went.
    pub status: CheckStatus,
    /// Category and strongest score; one that is not a number is NaN.
    #[serde(borrow)]
    pub scores: Pairs<'a>,
    /// The same for texts of tools alone; nothing where there were none.
    #[serde(borrow, default)]
    pub tools: Pairs<'a>,
    /// The same for all other texts, where there were some of tools.
    #[serde(borrow, default)]
    pub dialogue: Pairs<'a>,
    /// Exact places.
    #[serde(borrow, default)]
    pub spans: Vec<DecidedSpan<'a>>,
}

/// What was found at an exact place; where it is does not matter for a second look.
#[derive(Debug, Deserialize)]
pub struct DecidedSpan<'a> {
    /// What was found.
    #[serde(borrow)]
    pub category: Cow<'a, str>,
}

/// Names and numbers, in the order of the record.
#[derive(Debug, Default)]
pub struct Pairs<'a>(pub Vec<(Cow<'a, str>, f32)>);

#[derive(Deserialize)]
struct Beginning<'a> {
    id: Uuid,
    #[serde(borrow)]
    route: Cow<'a, str>,
    #[serde(borrow, default)]
    key: Option<Cow<'a, str>>,
}

/// Shows every decision of the journal in `dir` to `visit`, oldest first, and returns how many there were.
/// Each record's own hash is checked, the chain is not: that is [`crate::verify`]'s work.
///
/// # Errors
/// [`ReadError::NoJournal`] if there is none, [`ReadError::Io`] if it cannot be read, and the first line that
/// is not a sound record.
pub fn decisions(dir: &Path, mut visit: impl FnMut(&Decided<'_>)) -> Result<u64, ReadError> {
    let disk = RealDisk::new(dir);
    let io = |name: &str, source| ReadError::Io { path: dir.join(name), source };
    let segments = removed::kept(&disk).map_err(|error| io("", error))?;
    if segments.is_empty() {
        return Err(ReadError::NoJournal { dir: dir.into() });
    }
    let mut reading = Reading { open: HashMap::new(), count: 0, visit: &mut visit };
    for name in &segments {
        let source = disk.read(name, 0).map_err(|error| io(name, error))?;
        let mut lines = Lines::new(source, 0);
        loop {
            let problem = match lines.next().map_err(|error| io(name, error))? {
                Piece::Line(line) => reading.line(line).err(),
                Piece::TooLong => Some(Problem::TooLong),
                // What is not finished is not recorded yet.
                Piece::Torn(_) | Piece::End => break,
            };
            if let Some(problem) = problem {
                let (segment, line, offset) = (name.clone(), Some(lines.line), lines.offset);
                let fault = Fault { segment, line, offset, seq: None, problem };
                return Err(ReadError::Damaged(Box::new(fault)));
            }
        }
    }
    Ok(reading.count)
}

struct Reading<'v> {
    /// Exchanges whose end was not seen yet.
    open: HashMap<Uuid, Origin>,
    count: u64,
    visit: &'v mut dyn FnMut(&Decided<'_>),
}

impl Reading<'_> {
    fn line(&mut self, line: &[u8]) -> Result<(), Problem> {
        line::check(line)?;
        let unreadable = |error: serde_json::Error| Problem::Unreadable { why: error.to_string() };
        match kind(line) {
            Some(b"opened") => {
                let Beginning { id, route, key } =
                    serde_json::from_slice(line).map_err(unreadable)?;
                let key = key.map(|key| Box::from(&*key));
                self.open.insert(id, Origin { route: Box::from(&*route), key });
            }
            Some(b"closed") => {
                let mut decided: Decided<'_> = serde_json::from_slice(line).map_err(unreadable)?;
                decided.origin = self.open.remove(&decided.id);
                if decided.input.is_some() || decided.output.is_some() {
                    self.count += 1;
                    (self.visit)(&decided);
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// The kind of a line: `{"v":1,"seq":7,"kind":"opened",...`. The frame is written in this order, and the hash
/// says that nobody has changed it.
fn kind(line: &[u8]) -> Option<&[u8]> {
    const KIND: &[u8] = b",\"kind\":\"";
    /// The frame before it: braces, names, and two numbers of at most 20 digits.
    const FRAME: usize = 80;
    let head = line.get(..FRAME.min(line.len()))?;
    let start = head.windows(KIND.len()).position(|window| window == KIND)? + KIND.len();
    let rest = head.get(start..)?;
    rest.get(..rest.iter().position(|byte| *byte == b'"')?)
}

impl<'de: 'a, 'a> Deserialize<'de> for Pairs<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(PairsVisitor(PhantomData))
    }
}

struct PairsVisitor<'a>(PhantomData<&'a str>);

impl<'de: 'a, 'a> Visitor<'de> for PairsVisitor<'a> {
    type Value = Pairs<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("names and numbers")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs<'a>, A::Error> {
        let mut pairs = Vec::with_capacity(20);
        while let Some((Name(name), score)) = map.next_entry::<Name<'a>, Option<f32>>()? {
            pairs.push((name, score.unwrap_or(f32::NAN)));
        }
        Ok(Pairs(pairs))
    }
}

#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);
