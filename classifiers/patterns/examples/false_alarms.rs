//! What is found in texts that nobody expects secrets or personal data in:
//! `cargo run --release -p classifiers-patterns --example false_alarms -- FILE.jsonl.gz`
//!
//! Each line is an object with a `text`. Prints the share of texts with a finding of each category, by threshold, and
//! with `--show` what was found.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a tool for developers: it stops where something is wrong"
)]

use std::io::{BufRead, BufReader};

use classifiers_core::Category;
use classifiers_patterns::Patterns;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().ok_or("which file?")?;
    let show = arguments.next().is_some();
    let patterns = Patterns::new();
    let lines = BufReader::new(flate2::read::GzDecoder::new(std::fs::File::open(file)?)).lines();
    let (mut texts, mut hits) = (0u32, [[0u32; 3]; 2]);
    for line in lines {
        let row: serde_json::Value = serde_json::from_str(&line?)?;
        let Some(text) = row.get("text").and_then(|text| text.as_str()) else { continue };
        texts += 1;
        let found = patterns.find(text);
        for (category, hits) in
            [Category::Secrets, Category::PersonalData].into_iter().zip(&mut hits)
        {
            let scores = found.iter().filter(|f| f.category == category).map(|f| f.score);
            let best = scores.fold(0.0, f32::max);
            for (threshold, hits) in [0.9, 0.7, 0.4].into_iter().zip(hits) {
                *hits += u32::from(best >= threshold);
            }
        }
        if show {
            for finding in &found {
                if let Some(what) = finding.span.clone().and_then(|span| text.get(span)) {
                    println!("{}\t{}\t{what:?}", finding.category, finding.score);
                }
            }
        }
    }
    println!("{texts} texts; with a finding at 0.9, 0.7, 0.4 and more:");
    println!("secrets {:?}", hits[0]);
    println!("personal_data {:?}", hits[1]);
    Ok(())
}
