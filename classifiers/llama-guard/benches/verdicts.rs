//! Times what `tools/compare.py` asks for: a worker that reads JSON lines and answers with seconds.
//!
//! A line is `{"folder": "..."}` to load a model (besides `threads`, `device`, `keeps_prefixes`),
//! `{"turns": [["user", "..."], ...]}` to judge a conversation, or `{"batch": [[...], ...]}` for several at once. The model may have
//! random weights: that it gives no verdict then costs the same time.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a benchmark may stop")]

use std::io::{BufRead, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use classifiers_llama_guard::{LlamaGuard, Options, Speaker, Turn};
use futures_util::future::join_all;
use serde_json::{Value, json};

fn turns(asked: &Value) -> Vec<Turn> {
    let turns = asked.as_array().unwrap().iter();
    turns
        .map(|turn| {
            let speaker = if turn[0] == "user" { Speaker::User } else { Speaker::Agent };
            Turn::new(speaker, turn[1].as_str().unwrap())
        })
        .collect()
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let mut guard: Option<LlamaGuard> = None;
    for line in std::io::stdin().lock().lines() {
        let asked: Value = serde_json::from_str(&line.unwrap()).unwrap();
        let started = Instant::now();
        if let Some(folder) = asked["folder"].as_str() {
            let threads = asked["threads"].as_u64().map(|count| count as usize);
            let device = asked["device"].as_str().map(|device| device.parse().unwrap());
            let options = Options {
                self_test: false,
                threads,
                device: device.unwrap_or_default(),
                keeps_prefixes: asked["keeps_prefixes"].as_bool().unwrap_or(true),
                deadline: Duration::from_secs(3600),
                ..Options::default()
            };
            guard = Some(LlamaGuard::load(Path::new(folder), &options).unwrap());
        } else {
            // With random weights there is no verdict, after the same work.
            let guard = guard.as_ref().unwrap();
            let one = [asked["turns"].clone()];
            let asked = asked["batch"].as_array().map_or(&one[..], Vec::as_slice);
            let conversations: Vec<Vec<Turn>> = asked.iter().map(turns).collect();
            runtime.block_on(join_all(conversations.iter().map(|turns| guard.judge(turns))));
        }
        let elapsed = started.elapsed().as_secs_f64();
        println!("{}", json!({ "seconds": elapsed }));
        std::io::stdout().flush().unwrap();
    }
}
