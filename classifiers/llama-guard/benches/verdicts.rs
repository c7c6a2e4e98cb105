//! Times what `tools/compare.py` asks for: a worker that reads JSON lines and answers with seconds.
//!
//! A line is `{"folder": "..."}` to load a model, or `{"turns": [["user", "..."], ...]}` to judge. The model may have
//! random weights: that it gives no verdict then costs the same time.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a benchmark may stop")]

use std::io::{BufRead, Write};
use std::path::Path;
use std::time::Instant;

use classifiers_llama_guard::{LlamaGuard, Options, Speaker, Turn};
use serde_json::{Value, json};

fn turns(asked: &Value) -> Vec<Turn> {
    let turns = asked["turns"].as_array().unwrap().iter();
    turns
        .map(|turn| {
            let speaker = if turn[0] == "user" { Speaker::User } else { Speaker::Agent };
            Turn::new(speaker, turn[1].as_str().unwrap())
        })
        .collect()
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let mut guard = None;
    for line in std::io::stdin().lock().lines() {
        let asked: Value = serde_json::from_str(&line.unwrap()).unwrap();
        let started = Instant::now();
        if let Some(folder) = asked["folder"].as_str() {
            let threads = asked["threads"].as_u64().map(|count| count as usize);
            let options = Options { self_test: false, threads, ..Options::default() };
            guard = Some(LlamaGuard::load(Path::new(folder), &options).unwrap());
        } else {
            // With random weights there is no verdict, after the same work.
            drop(runtime.block_on(guard.as_ref().unwrap().judge(&turns(&asked))));
        }
        let elapsed = started.elapsed().as_secs_f64();
        println!("{}", json!({ "seconds": elapsed }));
        std::io::stdout().flush().unwrap();
    }
}
