//! What views do to a classifier: false alarms on clean texts, and attacks found in every disguise.
//!
//! ```sh
//! zcat rows.jsonl.gz | cargo run --release -p classifiers-text --example measure
//! ```
//!
//! Each line is a JSON object with `text`, and `attack`, which is `benign`, `injection`, `jailbreak` or null.

#![allow(clippy::indexing_slicing, reason = "what is missing in a JSON object is null")]

#[path = "../tests/it/disguise.rs"]
mod disguise;

use std::io::BufRead;
use std::sync::Arc;

use classifiers_starter::Starter;
use classifiers_text::views;

/// From this score on the default policy blocks.
const THRESHOLD: f32 = 0.7;
/// So many attacks are disguised: each in every way.
const DISGUISED: usize = 200;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let starter = Starter::embedded()?;
    let score = |text: &str| {
        let [injection, jailbreak, ..] = starter.model().score(text, false).scores;
        injection.max(jailbreak)
    };
    let (mut clean, mut alarms, mut alarms_with_views, mut several, mut refused) = (0, 0, 0, 0, 0);
    let mut attacks = Vec::new();
    for line in std::io::stdin().lock().lines() {
        let row: serde_json::Value = serde_json::from_str(&line?)?;
        let text: Arc<str> = row["text"].as_str().unwrap_or_default().into();
        match row["attack"].as_str() {
            Some("benign") => {
                clean += 1;
                let plain = score(&text) >= THRESHOLD;
                alarms += usize::from(plain);
                let Ok(views) = views(&text) else {
                    refused += 1;
                    continue;
                };
                several += usize::from(views.len() > 1);
                let seen = views.iter().any(|view| score(view.text()) >= THRESHOLD);
                if seen && !plain && std::env::var_os("SHOW").is_some() {
                    let view = views.iter().find(|view| score(view.text()) >= THRESHOLD);
                    eprintln!(
                        "{:?} {}",
                        view.map(|view| view.steps().collect::<Vec<_>>()),
                        row["text"]
                    );
                }
                alarms_with_views += usize::from(seen);
            }
            Some(_)
                if attacks.len() < DISGUISED && text.len() < 400 && score(&text) >= THRESHOLD =>
            {
                attacks.push(text);
            }
            _ => {}
        }
    }
    let rate = |count: usize| 100.0 * count as f64 / clean as f64;
    println!("clean texts {clean}; with several views {:.2} %; refused {refused}", rate(several));
    println!("false alarms {:.3} %, with views {:.3} %", rate(alarms), rate(alarms_with_views));
    println!(
        "{} attacks that are found undisguised; found in disguise, without and with views:",
        attacks.len()
    );
    let groups = [&disguise::FAITHFUL[..], &disguise::ASCII, &disguise::LETTERS];
    let (mut total, mut before, mut after) = (0, 0, 0);
    for (name, disguise) in groups.into_iter().flatten() {
        let disguised: Vec<Arc<str>> = attacks.iter().map(|text| disguise(text).into()).collect();
        let found = disguised.iter().filter(|text| score(text) >= THRESHOLD).count();
        let seen = disguised.iter().filter(|text| {
            views(text).is_ok_and(|views| views.iter().any(|view| score(view.text()) >= THRESHOLD))
        });
        let seen = seen.count();
        (total, before, after) = (total + attacks.len(), before + found, after + seen);
        println!("  {name:<26} {found:>4} {seen:>4}");
    }
    println!("  all of {total:<19} {before:>4} {after:>4}");
    Ok(())
}
