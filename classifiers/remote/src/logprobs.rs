//! The answer of an OpenAI-compatible `/v1/completions` with log probabilities, read as a verdict.
//!
//! Two spellings are known: the lists of vLLM and SGLang (tokens as texts or as `token_id:271`), and the objects of
//! llama.cpp. Whatever else is said is no verdict.

use classifiers_llama_guard_prompt::{Grammar, Verdict};
use serde_json::Value;

use crate::fault::Fault;

/// Probabilities are printed with few digits.
const ROUNDING: f32 = 0.02;

/// What the model would write at one place.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Place {
    /// The token that it wrote.
    top: u32,
    /// The likeliest tokens with their probabilities.
    likely: Vec<(u32, f32)>,
    /// What none of the other tokens is likelier than.
    others: f32,
}

impl Place {
    /// The probability of `token`; of one that is not listed, what it is at most.
    fn at_most(&self, token: u32) -> f32 {
        self.listed(token).unwrap_or(self.others)
    }

    fn listed(&self, token: u32) -> Option<f32> {
        self.likely.iter().find(|(known, _)| *known == token).map(|(_, p)| *p)
    }
}

/// What a model wrote.
#[derive(Debug)]
pub(crate) struct Written {
    places: Vec<Place>,
    /// Whether it ended by itself.
    has_ended: bool,
}

/// Reads the answer to a prompt of `asked` tokens for `model`.
pub(crate) fn written(
    answer: &Value,
    grammar: &Grammar,
    (model, asked): (&str, usize),
) -> Result<Written, Fault> {
    if answer.get("model").and_then(Value::as_str).is_some_and(|name| name != model) {
        return Err(Fault::odd("another model answers than was asked"));
    }
    let read = answer.pointer("/usage/prompt_tokens").and_then(Value::as_u64);
    if read.is_some_and(|read| read != asked as u64) {
        return Err(Fault::odd("it has read more or less than the prompt"));
    }
    let choice = answer.pointer("/choices/0").ok_or_else(|| Fault::odd("it has no choices"))?;
    let logprobs = choice.get("logprobs").filter(|value| !value.is_null());
    let logprobs = logprobs.ok_or_else(|| {
        Fault::odd("it has no log probabilities: the server must give them to `/v1/completions`")
    })?;
    let places = match logprobs.get("content") {
        Some(content) => objects(content),
        None => lists(logprobs, grammar),
    };
    let places = places.ok_or_else(|| Fault::odd("its log probabilities are incomplete"))?;
    let places = places.into_iter().map(|(top, likely)| place(top, &likely));
    let has_ended = choice.get("finish_reason").and_then(Value::as_str) == Some("stop");
    Ok(Written { places: places.collect::<Result<_, _>>()?, has_ended })
}

type Raw = (u32, Vec<(u32, f32)>);

/// llama.cpp: an object for each token, with its id.
fn objects(content: &Value) -> Option<Vec<Raw>> {
    let id = |token: &Value| u32::try_from(token.get("id")?.as_u64()?).ok();
    let pair = |token: &Value| Some((id(token)?, number(token.get("logprob")?)?));
    let place = |token: &Value| {
        let likely = token.get("top_logprobs")?.as_array()?.iter().map(pair);
        Some((id(token)?, likely.collect::<Option<_>>()?))
    };
    content.as_array()?.iter().map(place).collect()
}

/// vLLM and SGLang: lists side by side.
fn lists(logprobs: &Value, grammar: &Grammar) -> Option<Vec<Raw>> {
    let tokens = logprobs.get("tokens")?.as_array()?;
    let likely = logprobs.get("top_logprobs")?.as_array()?;
    if tokens.len() != likely.len() {
        return None;
    }
    let place = |(token, likely): (&Value, &Value)| {
        let token = id(token.as_str()?, grammar);
        let pair = |(text, p): (&String, &Value)| Some((id(text, grammar), number(p)?));
        Some((token, likely.as_object()?.iter().map(pair).collect::<Option<_>>()?))
    };
    tokens.iter().zip(likely).map(place).collect()
}

fn number(value: &Value) -> Option<f32> {
    #[expect(clippy::cast_possible_truncation, reason = "scores are single precision")]
    let number = value.as_f64()? as f32;
    number.is_finite().then_some(number)
}

/// The id that `text` names, or whose text it is. What is no word of an answer has none of their ids.
fn id(text: &str, grammar: &Grammar) -> u32 {
    let named = text.strip_prefix("token_id:").and_then(|id| id.parse().ok());
    named.or_else(|| grammar.word(text)).unwrap_or(u32::MAX)
}

/// Checks that the numbers are probabilities and that the likeliest token was written.
fn place(top: u32, likely: &[(u32, f32)]) -> Result<Place, Fault> {
    if likely.len() < 2 {
        return Err(Fault::odd("it has fewer than two alternatives for a token"));
    }
    let likely: Vec<(u32, f32)> = likely.iter().map(|(id, log)| (*id, log.exp())).collect();
    let sum: f32 = likely.iter().map(|(_, p)| p).sum();
    let best = likely.iter().map(|(_, p)| *p).fold(0.0, f32::max);
    if sum > 1.0 + ROUNDING || best <= 0.0 {
        return Err(Fault::odd("its log probabilities are none"));
    }
    let least = likely.iter().map(|(_, p)| *p).fold(1.0, f32::min);
    let place = Place { top, others: least.min((1.0 - sum).max(0.0)), likely };
    let written =
        place.listed(top).ok_or_else(|| Fault::odd("it does not say how likely it is"))?;
    match written + ROUNDING < best {
        true => Err(Fault::odd("it does not write what is likeliest: it must not sample")),
        false => Ok(place),
    }
}

/// The beginning of a verdict: what the answer itself says.
#[derive(Debug)]
pub(crate) struct Begun {
    is_unsafe: bool,
    full: f32,
    binary: f32,
    listed: Vec<u8>,
    /// Where the first number stands, if the answer has one.
    number: Option<Place>,
}

impl Written {
    /// Reads the answer by its grammar; what the model was not trained to say is no verdict.
    pub(crate) fn verdict(mut self, grammar: &Grammar) -> Result<Begun, Fault> {
        let [begin, verdict, rest @ ..] = &mut self.places[..] else {
            return Err(Fault::odd("it ends before it says anything"));
        };
        if begin.top != grammar.paragraph {
            return Err(Fault::odd("its answer does not begin with an empty line"));
        }
        let is_unsafe = verdict.top == grammar.unsafe_;
        if !is_unsafe && verdict.top != grammar.safe {
            return Err(Fault::odd("its answer is neither `safe` nor `unsafe`"));
        }
        let full = verdict.at_most(grammar.unsafe_);
        // A word that is not listed counts against the text: `unsafe` as much as it can be, `safe` not at all.
        let safe = verdict.listed(grammar.safe).unwrap_or_default();
        let binary = if full > 0.0 { full / (full + safe) } else { 0.0 };
        let mut begun = Begun { is_unsafe, full, binary, listed: Vec::new(), number: None };
        if !is_unsafe {
            return Ok(begun);
        }
        let [line, code, list @ ..] = rest else {
            return Err(Fault::odd("its `unsafe` is not followed by a list"));
        };
        if line.top != grammar.line || code.top != grammar.code {
            return Err(Fault::odd("its `unsafe` is not followed by a list"));
        }
        begun.listed = listed(list, self.has_ended, grammar)?;
        begun.number = list.first().cloned();
        Ok(begun)
    }

    /// The first place.
    pub(crate) fn first(self) -> Result<Place, Fault> {
        self.places.into_iter().next().ok_or_else(|| Fault::odd("it says nothing"))
    }
}

/// The numbers of a list that begins with one.
fn listed(list: &[Place], has_ended: bool, grammar: &Grammar) -> Result<Vec<u8>, Fault> {
    let mut listed = Vec::new();
    let mut places = list.iter();
    loop {
        let token = places.next().map(|place| place.top);
        let number = token.and_then(|token| grammar.numbered(token));
        let number = number.filter(|number| !listed.contains(number));
        listed.push(number.ok_or_else(|| Fault::odd("its list has what is no category"))?);
        match places.next() {
            None if has_ended => return Ok(listed),
            Some(place) if grammar.ends.contains(&place.top) => return Ok(listed),
            Some(place) if place.top == grammar.next_code => {}
            _ => return Err(Fault::odd("its list does not end")),
        }
    }
}

impl Begun {
    /// Where the first number of its list stands, if it has a list.
    pub(crate) const fn number(&self) -> Option<&Place> {
        self.number.as_ref()
    }

    /// The whole verdict: `number` is what would stand first in a list, and `numbers` is what was asked about.
    pub(crate) fn finish(
        self,
        number: &Place,
        numbers: impl Iterator<Item = u8>,
        grammar: &Grammar,
    ) -> Result<Verdict, Fault> {
        let likely = numbers.filter_map(|n| Some((n, number.at_most(grammar.number(n)?))));
        let likely: Vec<(u8, f32)> = likely.collect();
        let sum: f32 = likely.iter().map(|(_, p)| p).sum();
        if !(sum > 0.0 && sum.is_finite() && self.binary.is_finite() && self.full.is_finite()) {
            return Err(Fault::odd("it does not say which category it would be"));
        }
        let categories = likely.into_iter().map(|(n, p)| (n, p / sum)).collect();
        let Self { is_unsafe, full, binary, listed, .. } = self;
        Ok(Verdict { is_unsafe, full, binary, categories, listed })
    }
}
