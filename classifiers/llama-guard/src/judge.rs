//! Verdicts: one forward pass over a prompt and the answer's fixed tokens gives the verdict and what it is about.
//!
//! Behind the prompt stand `\n\n`, `unsafe`, `\n` and `S`, as if the model had written them. What it would write in their
//! places is read off all at once: whether it begins as it should, `safe` or `unsafe`, and the first number.

use std::sync::Arc;

use candle_core::{D, Tensor};
use classifiers_batching::Engine;
use classifiers_core::ClassifyError;
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::llama::{Llama, Piece};
use crate::options::Options;
use crate::pages::{Pages, Sequence};
use classifiers_llama_guard_prompt::{ANSWER, Grammar, LoadError, Prompt, Verdict};

/// A model with its store, as one thread owns it.
#[derive(Debug)]
pub(crate) struct Judge {
    llama: Llama,
    pages: Pages,
    grammar: Grammar,
    /// The numbers that are asked about.
    numbers: Vec<u8>,
    /// Tokens in one pass.
    chunk: usize,
    /// Whether anything is kept for later prompts.
    keeps: bool,
    /// Tokens that went through the model so far.
    computed: u64,
    /// What it is computed with, if not with all processors.
    threads: Option<Arc<ThreadPool>>,
}

/// What the model would write at one place.
#[derive(Debug)]
struct Place {
    top: u32,
    /// Logits of `safe`, `unsafe` and the numbers asked about.
    logits: Vec<f32>,
    /// The logarithm of the sum of all exponentials.
    sum: f32,
}

/// A prompt under way.
struct Running {
    /// Which of the batch it is.
    at: usize,
    tokens: Vec<u32>,
    prompt: usize,
    reusable: usize,
    done: usize,
    sequence: Sequence,
    places: Vec<Place>,
}

type Answer = Result<Verdict, ClassifyError>;

impl Judge {
    pub(crate) fn new(
        (llama, pages): (Llama, usize),
        grammar: Grammar,
        numbers: Vec<u8>,
        options: &Options,
    ) -> Result<Self, LoadError> {
        let threads = options.threads.map(|count| {
            let pool = ThreadPoolBuilder::new().num_threads(count).build();
            pool.map(Arc::new).map_err(|error| LoadError::Options(error.to_string()))
        });
        Ok(Self {
            llama,
            pages: Pages::new(pages),
            grammar,
            numbers,
            chunk: options.pass_tokens().max(1),
            keeps: options.keeps_prefixes,
            computed: 0,
            threads: threads.transpose()?,
        })
    }

    /// Judges `batch`; each answer for itself.
    pub(crate) fn judge(&mut self, batch: &[Prompt]) -> Vec<Answer> {
        let mut answers: Vec<Answer> =
            batch.iter().map(|_| Err(ClassifyError::Overloaded)).collect();
        let mut next = 0;
        while next < batch.len() {
            let mut running = Vec::new();
            while let Some(begun) = batch.get(next).and_then(|prompt| self.begin(next, prompt)) {
                running.push(begun);
                next += 1;
            }
            if running.is_empty() {
                // It does not fit even alone.
                next += 1;
                continue;
            }
            let computed = self.compute(&mut running);
            for mut one in running {
                let answer = match &computed {
                    Ok(()) => self.verdict(&mut one),
                    Err(error) => Err(failed(error)),
                };
                let at = one.at;
                self.end(one, computed.is_ok());
                if let Some(place) = answers.get_mut(at) {
                    *place = answer;
                }
            }
        }
        answers
    }

    /// What the model writes behind `ids`, always the likeliest: the reference's way, one pass for each token.
    pub(crate) fn greedy(&mut self, ids: &[u32], most: usize) -> Result<Vec<u32>, ClassifyError> {
        let prompt = Prompt { ids: ids.to_vec(), reusable: 0, urgent: false };
        let mut one = self.begin(0, &prompt).ok_or(ClassifyError::Overloaded)?;
        one.tokens.truncate(ids.len());
        let mut said = Vec::new();
        let written = loop {
            match self.next_token(&mut one) {
                Ok(token) if self.grammar.ends.contains(&token) || said.len() == most => {
                    break Ok(said);
                }
                Ok(token) => {
                    said.push(token);
                    one.tokens.push(token);
                }
                Err(error) => break Err(error),
            }
        };
        self.pages.abandon(one.sequence);
        written
    }

    /// Tokens that went through the model so far.
    #[cfg(test)]
    pub(crate) const fn computed(&self) -> u64 {
        self.computed
    }

    /// Pages that nothing occupies.
    #[cfg(test)]
    pub(crate) fn free_pages(&self) -> usize {
        self.pages.free()
    }

    /// The logits over the whole vocabulary at each of the answer's fixed places.
    #[cfg(test)]
    pub(crate) fn logits(&mut self, prompt: &Prompt) -> Result<Vec<Vec<f32>>, ClassifyError> {
        let one = self.begin(0, prompt).ok_or(ClassifyError::Overloaded)?;
        let slots = one.sequence.slots(one.tokens.len());
        let tokens = one.tokens.get(one.done..).unwrap_or_default();
        let read: Vec<usize> = (one.prompt - 1 - one.done..tokens.len()).collect();
        let piece = Piece { tokens, start: one.done, slots: &slots, read };
        let logits =
            self.llama.forward(&[piece]).and_then(|states| self.llama.logits(&states)?.to_vec2());
        let kept = logits.is_ok();
        self.end(one, kept);
        logits.map_err(|error| failed(&error))
    }

    fn begin(&mut self, at: usize, prompt: &Prompt) -> Option<Running> {
        let Grammar { paragraph, unsafe_, line, code, .. } = self.grammar;
        let mut tokens = prompt.ids.clone();
        tokens.extend([paragraph, unsafe_, line, code]);
        // The prompt's last token is computed in any case: what follows it is read.
        let reusable = prompt.reusable.min(prompt.ids.len().saturating_sub(1));
        let wanted = if self.keeps { reusable } else { 0 };
        let room = ANSWER - 4;
        let sequence = self.pages.begin(&tokens, wanted, room)?;
        if let Some((from, count)) = sequence.copy {
            let slots = sequence.slots(sequence.known);
            let to = slots.get(sequence.known - count).copied().unwrap_or_default();
            if self.llama.copy(from, to, count).is_err() {
                self.pages.abandon(sequence);
                return None;
            }
        }
        let (prompt, done) = (prompt.ids.len(), sequence.known);
        Some(Running { at, tokens, prompt, reusable: wanted, done, sequence, places: Vec::new() })
    }

    fn end(&mut self, one: Running, is_computed: bool) {
        let keep = if is_computed { one.reusable } else { 0 };
        self.pages.finish(one.sequence, &one.tokens, keep);
    }

    /// Computes all tokens of `running` that are not, in passes of limited size, and reads every place behind a prompt.
    fn compute(&mut self, running: &mut [Running]) -> candle_core::Result<()> {
        while running.iter().any(|one| one.done < one.tokens.len()) {
            let mut room = self.chunk;
            let mut pass = Vec::new();
            for (at, one) in running.iter().enumerate() {
                let count = room.min(one.tokens.len() - one.done);
                if count > 0 {
                    pass.push((at, count, one.sequence.slots(one.done + count)));
                    room -= count;
                }
            }
            let pieces = pass.iter().filter_map(|(at, count, slots)| {
                let one = running.get(*at)?;
                let tokens = one.tokens.get(one.done..one.done + count)?;
                let first = (one.prompt - 1).saturating_sub(one.done);
                Some(Piece { tokens, start: one.done, slots, read: (first..*count).collect() })
            });
            let pieces: Vec<Piece<'_>> = pieces.collect();
            let counts: Vec<usize> = pieces.iter().map(|piece| piece.read.len()).collect();
            let states = self.llama.forward(&pieces)?;
            let mut places = self.places(&states)?.into_iter();
            for ((at, count, _), read) in pass.into_iter().zip(counts) {
                if let Some(one) = running.get_mut(at) {
                    one.done += count;
                    self.computed += count as u64;
                    one.places.extend(places.by_ref().take(read));
                }
            }
        }
        Ok(())
    }

    fn places(&self, states: &Tensor) -> candle_core::Result<Vec<Place>> {
        if states.dim(0)? == 0 {
            return Ok(Vec::new());
        }
        let logits = self.llama.logits(states)?;
        let sums = logits.log_sum_exp(D::Minus1)?.to_vec1::<f32>()?;
        let tops = logits.argmax(D::Minus1)?.to_vec1::<u32>()?;
        let numbers = self.numbers.iter().filter_map(|number| self.grammar.number(*number));
        let wanted: Vec<u32> =
            [self.grammar.safe, self.grammar.unsafe_].into_iter().chain(numbers).collect();
        let wanted = Tensor::new(wanted, logits.device())?;
        let columns = logits.index_select(&wanted, 1)?.to_vec2::<f32>()?;
        let places = sums.into_iter().zip(tops).zip(columns);
        Ok(places.map(|((sum, top), logits)| Place { top, logits, sum }).collect())
    }

    /// Reads the verdict off a computed prompt; anything that the model was not trained to say is none.
    fn verdict(&mut self, one: &mut Running) -> Answer {
        let places = std::mem::take(&mut one.places);
        let [begin, verdict, line, code, number] = &places[..] else {
            return Err(no_verdict("it was not computed to its end"));
        };
        let Grammar { paragraph, safe, unsafe_, .. } = self.grammar;
        if !places.iter().all(|place| place.sum.is_finite()) {
            return Err(no_verdict("it says what is no number"));
        }
        if begin.top != paragraph {
            return Err(no_verdict("its answer does not begin with an empty line"));
        }
        let is_unsafe = verdict.top == unsafe_;
        if !is_unsafe && verdict.top != safe {
            return Err(no_verdict("its answer is neither `safe` nor `unsafe`"));
        }
        let (Some(safe), Some(unsafe_)) = (verdict.logits.first(), verdict.logits.get(1)) else {
            return Err(no_verdict("it was not computed to its end"));
        };
        let full = (unsafe_ - verdict.sum).exp();
        let binary = 1.0 / (1.0 + (safe - unsafe_).exp());
        let mut listed = Vec::new();
        if is_unsafe {
            if line.top != self.grammar.line || code.top != self.grammar.code {
                return Err(no_verdict("its `unsafe` is not followed by a list"));
            }
            listed = self.list(one, number.top)?;
        }
        let categories = self.numbers.iter().copied().zip(shares(number)).collect();
        Ok(Verdict { is_unsafe, full, binary, categories, listed })
    }

    /// The list that begins with `token`, written to its end.
    fn list(&mut self, one: &mut Running, token: u32) -> Result<Vec<u8>, ClassifyError> {
        let mut listed = Vec::new();
        let mut token = token;
        loop {
            let number = self.grammar.numbered(token).filter(|number| !listed.contains(number));
            listed.push(number.ok_or_else(|| no_verdict("its list has what is no category"))?);
            one.tokens.push(token);
            token = self.next_token(one)?;
            if self.grammar.ends.contains(&token) {
                return Ok(listed);
            }
            if token != self.grammar.next_code {
                return Err(no_verdict("its list does not end"));
            }
            one.tokens.push(token);
            token = self.next_token(one)?;
        }
    }

    /// Computes what is new, and says what comes next.
    fn next_token(&mut self, one: &mut Running) -> Result<u32, ClassifyError> {
        one.places.clear();
        self.compute(std::slice::from_mut(one)).map_err(|error| failed(&error))?;
        let place = one.places.last().filter(|place| place.sum.is_finite());
        place.map(|place| place.top).ok_or_else(|| no_verdict("it says what is no number"))
    }
}

impl Engine for Judge {
    type Input = Prompt;
    type Output = Answer;

    fn run(&mut self, batch: &[Prompt]) -> Result<Vec<Answer>, ClassifyError> {
        Ok(match self.threads.clone() {
            Some(threads) => threads.install(|| self.judge(batch)),
            None => self.judge(batch),
        })
    }
}

/// The numbers' probabilities among themselves.
fn shares(place: &Place) -> impl Iterator<Item = f32> {
    let logits = place.logits.iter().skip(2);
    let largest = logits.clone().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f32 = logits.clone().map(|logit| (logit - largest).exp()).sum();
    logits.map(move |logit| (logit - largest).exp() / sum)
}

fn no_verdict(why: &str) -> ClassifyError {
    ClassifyError::Failed(format!("no verdict: {why}"))
}

/// What the library says; a full device will have room again.
fn failed(error: &candle_core::Error) -> ClassifyError {
    let said = error.to_string();
    let lower = said.to_ascii_lowercase();
    if lower.contains("out of memory") || lower.contains("out_of_memory") {
        return ClassifyError::Overloaded;
    }
    ClassifyError::Failed(said)
}
