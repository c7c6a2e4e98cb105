//! `portcullis verify-model`

use std::process::ExitCode;

use classifiers_prompt_guard::{Family, Probe, Report};

use super::serve::runtime;
use super::verify_llama;
use crate::args::VerifyModelArgs;
use crate::failure::Failure;
use crate::registry;

/// Loads a model's folder, has it judge fixed texts and says everything worth knowing about it.
pub(crate) fn run(args: &VerifyModelArgs) -> Result<ExitCode, Failure> {
    if !args.dir.is_dir() {
        return Err(Failure::Environment(format!(
            "{}: there is no such folder",
            args.dir.display()
        )));
    }
    match classifiers_llama_guard::is_llama(&args.dir) {
        true => verify_llama::run(args),
        false => prompt_guard(args),
    }
}

fn prompt_guard(args: &VerifyModelArgs) -> Result<ExitCode, Failure> {
    let model = args.model.of(args.dir.clone())?;
    let started = std::time::Instant::now();
    let guard = registry::load(&model)?;
    let loaded = started.elapsed();
    let report = runtime()?
        .block_on(guard.verify())
        .map_err(|error| Failure::environment("the model gives no verdict", &error))?;
    let generation = match guard.family() {
        Family::Three => "Prompt Guard 1",
        Family::Two => "Prompt Guard 2",
    };
    say!("{}: {generation}, {}", args.dir.display(), guard.id());
    say!("  labels   {}", numbered(guard.labels()));
    say!(
        "  device   {}, {} threads, loaded in {:.1} s",
        model.options.device,
        model.options.threads,
        loaded.as_secs_f32()
    );
    print(&report);
    if report.probes.iter().all(is_as_expected) {
        say!("The model can be used.");
        return Ok(ExitCode::SUCCESS);
    }
    say!(
        "The model answers, but not as Prompt Guard does: either its weights are not the published ones, or labels, \
         tokenizer and weights do not belong together."
    );
    Err(Failure::SaidNo)
}

fn print(report: &Report) {
    for (path, digest) in &report.files {
        say!("  file     {digest}  {}", path.display());
    }
    for probe in &report.probes {
        let mark = if is_as_expected(probe) { "ok  " } else { "FAIL" };
        let ids = probe.ids.iter().map(u32::to_string).collect::<Vec<_>>().join(" ");
        say!(
            "  {mark}     jailbreak {:.4}, indirect {:.4}: {}",
            probe.scores.jailbreak,
            probe.scores.indirect,
            probe.text
        );
        say!("           ids {ids}");
    }
    for latency in &report.latencies {
        let median = latency.median.as_secs_f64() * 1000.0;
        say!("  latency  {:>4} tokens  {median:>8.1} ms", latency.tokens);
    }
}

fn is_as_expected(probe: &Probe) -> bool {
    (probe.scores.jailbreak >= 0.5) == probe.attack
}

fn numbered(labels: &[String]) -> String {
    let labels = labels.iter().enumerate().map(|(id, label)| format!("{id} {label}"));
    labels.collect::<Vec<_>>().join(", ")
}
