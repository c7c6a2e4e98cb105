//! How well labelled code is judged:
//! `cargo run --release -p classifiers-code-shield --example measure -- FILE.jsonl.gz [--show missed|false]`
//!
//! Each line is an object with `text`, `insecure`, `cwe`, `code_lang` and `pair`. Rules were written while looking at two
//! thirds of the pairs; the last third, told apart by a hash of the pair's name, was held out. Then how long an answer of
//! 4 KB with each of these codes takes. With a folder in place of the file: the share of its source files in which
//! something is found.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a tool for developers: it stops where something is wrong"
)]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::time::Instant;

use classifiers_code_shield::{CodeShield, Language};

type Error = Box<dyn std::error::Error>;

/// Findings from here on count: `sensitivity: medium`.
const THRESHOLD: f32 = 0.7;

#[derive(Default)]
struct Counts {
    right: u32,
    missed: u32,
    wrong: u32,
    clean: u32,
}

fn main() -> Result<(), Error> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("which file?")?;
    let show = arguments.nth(1);
    let shield = CodeShield::new()?;
    if Path::new(&path).is_dir() {
        return folder(&shield, Path::new(&path), show.is_some());
    }
    let mut tables: BTreeMap<String, Counts> = BTreeMap::new();
    let mut answers = Vec::new();
    let lines = BufReader::new(flate2::read::GzDecoder::new(std::fs::File::open(path)?)).lines();
    for line in lines {
        let row: serde_json::Value = serde_json::from_str(&line?)?;
        let field = |name: &str| row[name].as_str().unwrap_or_default();
        let fenced = format!("```{}\n{}\n```", field("code_lang"), field("text"));
        answers.push(answer(field("code_lang"), field("text")));
        let found = shield.find(&fenced)?;
        let hit = found.iter().any(|weakness| weakness.score >= THRESHOLD);
        let insecure = row["insecure"].as_bool().unwrap_or_default();
        let held_out = hash(field("pair")).is_multiple_of(3);
        let set = if held_out { "held out" } else { "development" };
        let language = if field("code_lang") == "py" { "Python" } else { "C and C++" };
        for name in [
            set.to_owned(),
            format!("{set}, {language}"),
            format!("{set}, {language}, {}", field("cwe")),
        ] {
            let counts = tables.entry(name).or_default();
            match (insecure, hit) {
                (true, true) => counts.right += 1,
                (true, false) => counts.missed += 1,
                (false, true) => counts.wrong += 1,
                (false, false) => counts.clean += 1,
            }
        }
        let wanted = if insecure { "missed" } else { "false" };
        if show.as_deref() == Some(wanted) && insecure != hit && !held_out && language == "Python" {
            let what: Vec<_> =
                found.iter().map(|w| (&w.rule.id, &fenced[w.span.clone()])).collect();
            println!("=== {} {}\n{what:?}\n{}", field("pair"), field("cwe"), field("text"));
        }
    }
    println!(
        "| set | weak | found | false alarms on as many mended | precision | recall |\n|---|---|---|---|---|---|"
    );
    for (name, Counts { right, missed, wrong, .. }) in &tables {
        let precision = f64::from(*right) / f64::from((right + wrong).max(1));
        let recall = f64::from(*right) / f64::from((right + missed).max(1));
        println!(
            "| {name} | {} | {right} | {wrong} | {precision:.2} | {recall:.2} |",
            right + missed
        );
    }
    speed(&shield, &answers)
}

/// An answer of 4 KB: the code, over and over.
fn answer(language: &str, code: &str) -> String {
    let body: String = code.chars().chain(['\n']).cycle().take(4096).collect();
    format!("```{language}\n{body}\n```")
}

/// How long each takes, every pattern compiled; and a loop over its bytes beside it.
fn speed(shield: &CodeShield, answers: &[String]) -> Result<(), Error> {
    for name in ["all of the rules", "a loop over the bytes"] {
        let mut times = Vec::new();
        for round in 0..4 {
            for text in answers {
                let started = Instant::now();
                if name.starts_with("all") {
                    black_box(shield.find(black_box(text))?);
                } else {
                    black_box(text.bytes().fold(0u8, |sum, byte| sum.rotate_left(1) ^ byte));
                }
                // The first round compiles.
                if round > 0 {
                    times.push(started.elapsed().as_secs_f64() * 1e6);
                }
            }
        }
        times.sort_by(f64::total_cmp);
        let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
        println!(
            "{name}, {} answers of 4 KB, µs: median {:.0}, p99 {:.0}, worst {:.0}",
            answers.len(),
            at(0.5),
            at(0.99),
            at(1.0)
        );
    }
    Ok(())
}

/// A hash that does not change between versions of a library (FNV-1a).
fn hash(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    }) >> 8
}

fn folder(shield: &CodeShield, root: &Path, show: bool) -> Result<(), Error> {
    let (mut files, mut hits, mut folders) = (0u32, 0u32, vec![root.to_owned()]);
    let mut rules: BTreeMap<&str, u32> = BTreeMap::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
            let mut text = String::new();
            let head = std::fs::File::open(&path)?.take(8192).read_to_string(&mut text);
            if Language::of_name(ending).is_none() || head.is_err() {
                continue;
            }
            files += 1;
            let fenced = format!("```{ending}\n{text}\n```");
            let found = shield.find(&fenced)?;
            let found: Vec<_> = found.iter().filter(|w| w.score >= THRESHOLD).collect();
            hits += u32::from(!found.is_empty());
            for weakness in found {
                *rules.entry(&weakness.rule.id).or_default() += 1;
                if show {
                    println!("{}\t{:?}", weakness.rule.id, &fenced[weakness.span.clone()]);
                }
            }
        }
    }
    println!(
        "{files} files, the first 8 KiB of each; {hits} with a finding ({:.2} %)",
        f64::from(hits) / f64::from(files.max(1)) * 100.0
    );
    println!("{rules:?}");
    Ok(())
}
