//! `portcullis verify-remote`

use std::process::ExitCode;
use std::time::Duration;

use classifiers_remote::{Fault, Probe};

use super::serve::runtime;
use crate::args::VerifyRemoteArgs;
use crate::elsewhere::{LlamaGuardThere, ModerationsThere, PromptGuardThere};
use crate::failure::{Failure, chain};

/// From this score on a text counts as found.
const FOUND: f32 = 0.5;

/// What was found out about one server of a model: another may answer for it when the guard serves, but not here.
struct Tried {
    what: String,
    servers: Vec<(String, Option<Fault>)>,
    probes: Vec<Probe>,
}

/// Tries every server that judges elsewhere, and says what is wrong.
pub(crate) fn run(args: &VerifyRemoteArgs) -> Result<ExitCode, Failure> {
    let tried = runtime()?.block_on(try_all(args))?;
    if tried.is_empty() {
        return Err(Failure::Environment(
            "no model is asked elsewhere: give --llama-guard-url, --prompt-guard-url or --moderations-url, or a --config \
             with `remote` in it"
                .to_owned(),
        ));
    }
    // Every one is said, also after the first that fails.
    let fine: Vec<bool> = tried.iter().map(say).collect();
    if fine.iter().all(|fine| *fine) {
        say!("All of them can be used. The policy's `timeout` must leave them the times above.");
        return Ok(ExitCode::SUCCESS);
    }
    say!("What is marked FAIL must be mended: without a verdict, `on_failure` decides.");
    Err(Failure::SaidNo)
}

async fn try_all(args: &VerifyRemoteArgs) -> Result<Vec<Tried>, Failure> {
    let (elsewhere, time) = (args.elsewhere()?, Duration::from_secs(args.timeout.max(1)));
    let mut tried = Vec::new();
    for model in elsewhere.llama_guard.iter().flat_map(LlamaGuardThere::apart) {
        let guard = model.open(time)?;
        let what = format!("Llama Guard ({}), {}", guard.model_name(), guard.id());
        let servers = guard.reached().await;
        tried.push(Tried { what, servers, probes: guard.verify().await });
    }
    for model in elsewhere.prompt_guard.iter().flat_map(PromptGuardThere::apart) {
        let guard = model.open(time)?;
        let what = format!("Prompt Guard, {}", guard.id());
        let servers = guard.reached().await;
        tried.push(Tried { what, servers, probes: guard.verify().await });
    }
    for model in elsewhere.moderations.iter().flat_map(ModerationsThere::apart) {
        let guard = model.open(time)?;
        let what = format!("moderations, {}", guard.id());
        let servers = guard.reached().await;
        tried.push(Tried { what, servers, probes: guard.verify().await });
    }
    Ok(tried)
}

/// Says what was found out, and whether all of it is as it should be.
fn say(tried: &Tried) -> bool {
    say!("{}", tried.what);
    for (url, fault) in &tried.servers {
        match fault {
            None => say!("  ok      {url}"),
            Some(fault) => say!("  FAIL    {url}: {fault}"),
        }
    }
    for probe in &tried.probes {
        let milliseconds = probe.elapsed.as_secs_f64() * 1000.0;
        match &probe.found {
            Err(error) => say!("  FAIL    no verdict: {}", chain(error)),
            Ok(score) if (*score >= FOUND) == probe.is_unsafe => {
                say!("  ok      {score:.4} in {milliseconds:.0} ms: {}", probe.text);
            }
            Ok(score) => say!(
                "  FAIL    {score:.4} in {milliseconds:.0} ms, and a model in order says otherwise: {}",
                probe.text
            ),
        }
    }
    let reached = tried.servers.iter().all(|(_, fault)| fault.is_none());
    reached && tried.probes.iter().all(is_as_expected)
}

fn is_as_expected(probe: &Probe) -> bool {
    probe.found.as_ref().is_ok_and(|score| (*score >= FOUND) == probe.is_unsafe)
}
