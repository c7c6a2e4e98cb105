//! `portcullis verify-model` on a Llama Guard.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use classifiers_llama_guard::{Facts, LlamaGuard, Options, Probe, Variant};

use super::serve::runtime;
use crate::args::VerifyModelArgs;
use crate::failure::Failure;
use crate::registry::{self, Llama};

/// On a processor a long text may take minutes, and here nobody waits.
const PATIENCE: Duration = Duration::from_secs(3600);
const MIB: f64 = (1 << 20) as f64;

/// Loads a folder, which includes the self-test, has the model judge fixed conversations, and says all about it.
pub(crate) fn run(args: &VerifyModelArgs) -> Result<ExitCode, Failure> {
    let Llama { folder, options } = args.model.llama(args.dir.clone())?;
    let started = Instant::now();
    let options = Options { deadline: PATIENCE, ..options };
    let guard = registry::load_llama(&Llama { folder, options: options.clone() })?;
    let loaded = started.elapsed();
    say_what_it_is(args, &guard, options.device);
    say!(
        "  self-test one pass, a reused beginning and token by token agree; {:.1} s with loading",
        loaded.as_secs_f32()
    );
    let report = runtime()?
        .block_on(guard.verify())
        .map_err(|error| Failure::environment("the model gives no verdict", &error))?;
    report.probes.iter().for_each(say);
    for latency in &report.latencies {
        let median = latency.median.as_secs_f64() * 1000.0;
        say!("  latency  {:>4} words   {median:>9.1} ms", latency.words);
    }
    if report.probes.iter().all(|probe| probe.verdict.is_unsafe == probe.is_unsafe) {
        say!("The model can be used. The policy's `timeout` must leave it the time above.");
        return Ok(ExitCode::SUCCESS);
    }
    say!(
        "The model answers, but not as Llama Guard does: its weights are not the published ones, or do not belong to \
         this tokenizer."
    );
    Err(Failure::SaidNo)
}

fn say_what_it_is(
    args: &VerifyModelArgs,
    guard: &LlamaGuard,
    device: classifiers_llama_guard::Device,
) {
    let Facts { variant, files, precision, weight_bytes, store_bytes, capacity } = guard.facts();
    let name = match variant {
        Variant::Eight => "Llama Guard 3 8B",
        Variant::One => "Llama Guard 3 1B",
    };
    say!("{}: prompt of {name}, {}", args.dir.display(), guard.id());
    say!("  device   {device}, {precision}, prompts of up to {capacity} tokens");
    say!(
        "  memory   weights {:.0} MiB, keys and values {:.0} MiB",
        *weight_bytes as f64 / MIB,
        *store_bytes as f64 / MIB
    );
    for (path, digest) in files {
        say!("  file     {}  {}", digest.to_hex(), path.display());
    }
}

fn say(probe: &Probe) {
    let Probe { speaker, text, is_unsafe, verdict } = probe;
    let mark = if verdict.is_unsafe == *is_unsafe { "ok  " } else { "FAIL" };
    let listed: Vec<String> = verdict.listed.iter().map(|number| format!("S{number}")).collect();
    let listed = if listed.is_empty() { "safe".to_owned() } else { listed.join(",") };
    say!(
        "  {mark}     unsafe {:.4} ({:.4} of all words), {listed}: {}: {text}",
        verdict.binary,
        verdict.full,
        speaker.name()
    );
}
