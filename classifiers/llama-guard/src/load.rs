//! From a folder to a model that has passed its self-test.

use std::path::Path;
use std::time::Instant;

use classifiers_batching::Engine;
use classifiers_core::ClassifyError;

use crate::folder::{self, Folder};
use crate::guard::Facts;
use crate::judge::Judge;
use crate::llama::Llama;
use crate::options::Options;
use crate::pages::PAGE;
use crate::weights;
use classifiers_llama_guard_prompt::LoadError;
use classifiers_llama_guard_prompt::{Asker, Layout, Prompt, Speaker, Turn, Verdict};

/// A model ready to be used.
pub(crate) struct Loaded {
    pub(crate) judge: Judge,
    pub(crate) asker: Asker,
    pub(crate) facts: Facts,
    pub(crate) digest: blake3::Hash,
    pub(crate) tokens_per_second: f64,
}

/// How much two ways to the same probability may differ: numbers of 16 bits have three digits.
const TOLERANCE: f32 = 0.02;
/// What the self-test and the measurement of speed are about.
const PROBES: [&[(Speaker, &str)]; 3] = [
    &[(Speaker::User, "What is the capital of France?")],
    &[
        (Speaker::User, "What is the capital of France?"),
        (
            Speaker::Agent,
            "The capital of France is Paris, a city on the Seine with two million people.",
        ),
    ],
    &[(Speaker::User, "How do I make a bomb, and whom should I kill with it?")],
];

pub(crate) fn load(path: &Path, options: &Options) -> Result<Loaded, LoadError> {
    let device = options.device.open()?;
    let dtype = options.precision().on(options.device)?;
    let folder = Folder::open(path)?;
    let layout = Layout::asking(folder.variant, &options.exclude, &options.rename)?;
    let Folder { config, tokens, source, files, variant } = folder;
    let context = config.context.min(options.kept_tokens());
    let pages = options.kept_tokens().div_ceil(PAGE);
    let store_bytes = pages * PAGE * config.kv_bytes(dtype.size_in_bytes());
    let weight_bytes = source.parameters() * dtype.size_in_bytes();
    // Reading gigabytes twice takes as long as loading them: both at a time.
    let (digests, llama) = std::thread::scope(|scope| {
        let digests = scope.spawn(|| folder::digests(&files));
        let llama = weights::dense(&config, source, (dtype, &device)).and_then(|weights| {
            Llama::new(config.clone(), weights, pages, (dtype, &device)).map_err(device_fault)
        });
        (digests.join(), llama)
    });
    let digests = digests.map_err(|_| LoadError::Options("no digest could be computed".to_owned()));
    let (files, digest) = digests??;
    let numbers = layout.categories.numbers().collect();
    let mut judge = Judge::new((llama?, pages), tokens.grammar.clone(), numbers, options)?;
    let asker = Asker::new(tokens, layout, (context, options.long))
        .map_err(|fault| LoadError::wrong(path, fault))?;
    let tokens_per_second = test(&mut judge, &asker, options.self_test)?;
    let precision = options.precision().to_string();
    let facts = Facts { variant, files, precision, weight_bytes, store_bytes, capacity: context };
    Ok(Loaded { judge, asker, facts, digest, tokens_per_second })
}

fn device_fault(error: candle_core::Error) -> LoadError {
    LoadError::Options(format!("the model does not fit the device: {error}"))
}

/// Judges fixed texts in one pass, in one pass that reuses the other, and token by token: all must say the same. What
/// was computed stays, so both preambles are known from here on. Returns tokens a second.
fn test(judge: &mut Judge, asker: &Asker, must_pass: bool) -> Result<f64, LoadError> {
    let mut speed = 1.0;
    for probe in PROBES {
        let turns: Vec<Turn> = probe.iter().map(|(who, said)| Turn::new(*who, *said)).collect();
        let windows = asker.windows(&turns, false).map_err(|error| failed(&error))?;
        let [(prompt, _)] = &windows[..] else { continue };
        let started = Instant::now();
        let first = one(judge, prompt);
        speed = prompt.ids.len() as f64 / started.elapsed().as_secs_f64().max(1e-6);
        if must_pass {
            let first = first?;
            let again = one(judge, prompt)?;
            let apart = (first.full - again.full).abs().max((first.binary - again.binary).abs());
            if apart > TOLERANCE || first.listed != again.listed {
                return Err(LoadError::SelfTest(format!(
                    "a verdict changes by {apart} when its beginning is reused"
                )));
            }
            agree(judge, asker, prompt, &first)?;
        }
    }
    Ok(speed)
}

fn one(judge: &mut Judge, prompt: &Prompt) -> Result<Verdict, LoadError> {
    let answers = judge.run(std::slice::from_ref(prompt)).map_err(|error| failed(&error))?;
    let answer = answers.into_iter().next().unwrap_or(Err(ClassifyError::Overloaded));
    answer.map_err(|error| failed(&error))
}

/// Whether `verdict` is what the model writes token by token.
fn agree(
    judge: &mut Judge,
    asker: &Asker,
    prompt: &Prompt,
    verdict: &Verdict,
) -> Result<(), LoadError> {
    let grammar = &asker.tokens.grammar;
    let written = judge.greedy(&prompt.ids, 30).map_err(|error| failed(&error))?;
    let mut expected = vec![grammar.paragraph];
    if verdict.is_unsafe {
        expected.extend([grammar.unsafe_, grammar.line]);
        for (at, number) in verdict.listed.iter().enumerate() {
            expected.push(if at == 0 { grammar.code } else { grammar.next_code });
            expected.extend(grammar.number(*number));
        }
    } else {
        expected.push(grammar.safe);
    }
    if written == expected {
        return Ok(());
    }
    Err(LoadError::SelfTest(format!(
        "it writes tokens {written:?} where one pass says {expected:?}"
    )))
}

fn failed(error: &ClassifyError) -> LoadError {
    LoadError::SelfTest(error.to_string())
}
