//! One KiB of text without anything to find, beside what reading it costs at the very least: a search for one byte.
//! `cargo bench -p classifiers-patterns`

#![allow(
    clippy::unwrap_used,
    clippy::let_underscore_must_use,
    reason = "a benchmark stops where something is wrong"
)]

use classifiers_patterns::Patterns;
use divan::counter::BytesCount;
use divan::{Bencher, black_box};

fn main() {
    divan::main();
}

const PROSE: &str = "The committee met on Tuesday and talked about the new library. Nobody knew how many rooms it has. ";
const NUMBERS: &str = "In 2019 some 1,200 of 4,500 rooms (27 %) were empty; on 12.05.2020 it was 17.5 % and 3 of 10. ";

fn text(piece: &str) -> String {
    piece.chars().cycle().take(1024).collect()
}

#[divan::bench(args = [PROSE, NUMBERS])]
fn patterns(bencher: Bencher, piece: &str) {
    let (patterns, text) = (Patterns::new(), text(piece));
    bencher.counter(BytesCount::of_str(&text)).bench_local(|| patterns.find(black_box(&text)));
}

#[divan::bench(args = [PROSE, NUMBERS])]
fn one_byte(bencher: Bencher, piece: &str) {
    let text = text(piece);
    bencher
        .counter(BytesCount::of_str(&text))
        .bench_local(|| black_box(&text).as_bytes().contains(&0));
}
