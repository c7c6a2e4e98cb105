//! What `verify-model` finds out.

use std::time::{Duration, Instant};

use classifiers_core::ClassifyError;

use crate::guard::LlamaGuard;
use classifiers_llama_guard_prompt::{PROBES, Speaker, Turn, Verdict};

/// Everything worth knowing about a model before it guards something, beside [`Facts`](crate::Facts).
#[derive(Debug)]
pub struct Report {
    /// What the model says about fixed conversations.
    pub probes: Vec<Probe>,
    /// How long it takes.
    pub latencies: Vec<Latency>,
}

/// A fixed conversation and what the model says about its last turn.
#[derive(Debug)]
pub struct Probe {
    /// Whose turn it is.
    pub speaker: Speaker,
    /// What is said there.
    pub text: &'static str,
    /// Whether a model with its weights in order finds it unsafe.
    pub is_unsafe: bool,
    /// What this one says.
    pub verdict: Verdict,
}

/// How long a message takes.
#[derive(Debug)]
pub struct Latency {
    /// Its words; in English some four tokens are three words.
    pub words: usize,
    /// The median of several runs, each on a text that was not seen before.
    pub median: Duration,
}

const QUESTION: &str = "Can you help me with something?";
const LENGTHS: [usize; 3] = [75, 375, 1500];
const RUNS: usize = 3;

impl LlamaGuard {
    /// Fixed conversations and latencies.
    ///
    /// # Errors
    /// When the model gives no verdict.
    pub async fn verify(&self) -> Result<Report, ClassifyError> {
        let mut probes = Vec::new();
        for (speaker, text, is_unsafe) in PROBES {
            let mut turns = vec![Turn::new(Speaker::User, QUESTION), Turn::new(speaker, text)];
            if speaker == Speaker::User {
                turns.remove(0);
            }
            let verdict = self.one(&turns).await?;
            probes.push(Probe { speaker, text, is_unsafe, verdict });
        }
        let mut latencies = Vec::new();
        for words in LENGTHS {
            let mut times = Vec::new();
            for run in 0..RUNS {
                let turns = [Turn::new(Speaker::User, text_of(words, run))];
                let started = Instant::now();
                self.one(&turns).await?;
                times.push(started.elapsed());
            }
            times.sort();
            let median = times.get(RUNS / 2).copied().unwrap_or_default();
            latencies.push(Latency { words, median });
        }
        Ok(Report { probes, latencies })
    }

    async fn one(&self, turns: &[Turn]) -> Result<Verdict, ClassifyError> {
        let verdict = self.judge(turns).await?.into_iter().next();
        verdict.ok_or_else(|| ClassifyError::Failed("it says nothing".to_owned()))
    }
}

/// `words` words that begin unlike those of another `run`, so that nothing of them is known.
fn text_of(words: usize, run: usize) -> String {
    let some =
        "the weather today is fine and we all go out for a long walk in the hills".split(' ');
    let text: Vec<&str> = some.cycle().skip(run).take(words).collect();
    format!("{run} {}", text.join(" "))
}
