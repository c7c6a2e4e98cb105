//! Prompt Guard as a program that `tools/compare.py` talks to: one JSON object a line in, one out.
//!
//! `{"single": TEXT, "runs": N}` → seconds of each run. `{"trace": [[TEXT, ...], ...]}` → seconds for all requests, one
//! after the other, each with its texts at once, as the proxy asks; verdicts are remembered. `{"soak": TEXT, "seconds": S, "callers": N}` → how
//! long callers waited, admitted and refused.

use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use classifiers_batching::{BatchLimits, VerdictCacheLayer};
use classifiers_core::{BoxClassify, ClassifyError, Direction, Passage, Role};
use classifiers_prompt_guard::{Options, PromptGuard};
use classifiers_text::ViewsLayer;
use serde_json::{Value, json};
use tower::{Layer, ServiceExt};

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    // `cargo bench` and `cargo test` run it without a model.
    let Some(folder) = std::env::var_os("PROMPT_GUARD").map(PathBuf::from) else {
        println!("tools/compare.py runs this; PROMPT_GUARD is the model's folder");
        return Ok(());
    };
    let number = |name: &str, default: usize| {
        std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
    };
    let deadline = Duration::from_millis(number("DEADLINE_MS", 600_000) as u64);
    let batches = BatchLimits { tokens: number("BATCH_TOKENS", 512), padding: 0.0, packed: false };
    let options = Options {
        threads: number("THREADS", 2),
        sessions: number("SESSIONS", 1),
        deadline,
        batches: Some(batches),
        ..Options::default()
    };
    let model = PromptGuard::load(&folder, options)?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let cached = VerdictCacheLayer::new(8192).layer(ViewsLayer.layer(model.clone()));
    let service = BoxClassify::new(cached);
    say(&json!({ "ready": model.id().to_string(), "memory_mb": memory() }))?;
    for line in std::io::stdin().lock().lines() {
        let asked: Value = serde_json::from_str(&line?)?;
        let answer = runtime.block_on(answer(&model, &service, &asked))?;
        say(&answer)?;
    }
    Ok(())
}

fn say(value: &Value) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{value}")?;
    Ok(out.flush()?)
}

/// Resident memory in MB.
fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = resident.and_then(|value| value.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.unwrap_or_default() / 1024
}

async fn answer(
    model: &PromptGuard,
    service: &BoxClassify,
    asked: &Value,
) -> Result<Value, Failure> {
    if let Some(text) = asked.get("single").and_then(Value::as_str) {
        let runs = asked.get("runs").and_then(Value::as_u64).unwrap_or(1);
        let mut seconds = Vec::new();
        for _ in 0..runs {
            let started = Instant::now();
            model.scores(text).await?;
            seconds.push(started.elapsed().as_secs_f64());
        }
        return Ok(json!({ "seconds": seconds, "memory_mb": memory() }));
    }
    if let Some(requests) = asked.get("trace").and_then(Value::as_array) {
        return trace(model, service, requests).await;
    }
    soak(model, asked).await
}

fn passage(text: &str) -> Passage {
    Passage::new(text, Role::User, Direction::Input, "/text")
}

async fn trace(
    model: &PromptGuard,
    service: &BoxClassify,
    requests: &[Value],
) -> Result<Value, Failure> {
    let before = model.counts();
    let started = Instant::now();
    for request in requests {
        let mut asked = tokio::task::JoinSet::new();
        for text in request.as_array().into_iter().flatten().filter_map(Value::as_str) {
            asked.spawn(service.clone().oneshot(passage(text)));
        }
        while let Some(verdict) = asked.join_next().await {
            verdict??;
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    let after = model.counts();
    Ok(json!({
        "seconds": seconds,
        "inputs": after.inputs - before.inputs,
        "batches": after.batches - before.batches,
        "tokens": after.tokens - before.tokens,
        "padding": after.padding - before.padding,
    }))
}

/// Callers that ask again as soon as they are answered, and a little later when they are refused.
async fn soak(model: &PromptGuard, asked: &Value) -> Result<Value, Failure> {
    let number = |name: &str| asked.get(name).and_then(Value::as_u64).unwrap_or(1);
    let text = asked.get("soak").and_then(Value::as_str).unwrap_or_default().to_owned();
    let end = Instant::now() + Duration::from_secs(number("seconds"));
    let pause = Duration::from_millis(number("pause_ms"));
    let before = memory();
    let mut callers = tokio::task::JoinSet::new();
    for caller in 0..number("callers") {
        let (model, text) = (model.clone(), text.clone());
        callers.spawn(async move {
            let (mut admitted, mut refused, mut late) = (Vec::new(), Vec::new(), 0u64);
            for round in 0u64.. {
                let started = Instant::now();
                if started >= end {
                    break;
                }
                let verdict =
                    model.clone().oneshot(passage(&format!("{caller} {round} {text}"))).await;
                let milliseconds = started.elapsed().as_secs_f64() * 1000.0;
                match verdict {
                    Ok(_) => admitted.push(milliseconds),
                    Err(ClassifyError::Overloaded) => refused.push(milliseconds),
                    Err(_) => late += 1,
                }
                tokio::time::sleep(pause).await;
            }
            (admitted, refused, late)
        });
    }
    let (mut admitted, mut refused, mut late) = (Vec::new(), Vec::new(), 0);
    while let Some(seen) = callers.join_next().await {
        let (a, r, l) = seen?;
        admitted.extend(a);
        refused.extend(r);
        late += l;
    }
    Ok(json!({
        "admitted": quantiles(admitted), "refused": quantiles(refused), "late": late,
        "memory_mb": [before, memory()],
    }))
}

fn quantiles(mut milliseconds: Vec<f64>) -> Value {
    milliseconds.sort_by(f64::total_cmp);
    let at = |share: f64| {
        let place = (milliseconds.len() as f64 * share) as usize;
        milliseconds.get(place.min(milliseconds.len().saturating_sub(1))).copied()
    };
    json!({ "count": milliseconds.len(), "p50_ms": at(0.5), "p99_ms": at(0.99), "max_ms": at(1.0) })
}
