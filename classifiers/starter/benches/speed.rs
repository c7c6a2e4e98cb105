//! Microseconds per KiB of text the model has not seen: `cargo bench -p classifiers-starter`.
//!
//! Every sample is another text, so that nothing but the words of the language is ever warm.

#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a benchmark may stop")]

use std::cell::Cell;

use classifiers_starter::Starter;
use divan::Bencher;
use divan::counter::BytesCount;

const KIB: usize = 1024;

fn main() {
    divan::main();
}

/// A stream of pseudo-random numbers.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(0x1405_7B7E_F767_814F);
        (self.0 >> 33) as usize % limit
    }
}

const ENGLISH: &str = "the of and to in that was for with his they this have from one had word but not \
what all were when your can said there use each which she how their will other about out many then them \
these some her would make like him into time has look two more write see number way could people than \
first water been call who oil now find long down day did get come made may part over new sound take only \
little work know place year live back give most very after thing our just name good sentence man think \
say great where help through much before line right too mean old any same tell boy follow came want show \
also around form three small set put end does another well large must big even such because turn here why \
ask went men read need land different home move try kind hand picture again change off play spell air \
away animal house point page letter mother answer found study still learn should world";

/// Text of `words` with some words nobody has seen.
fn prose(words: &str, seed: usize) -> String {
    let words: Vec<&str> = words.split_whitespace().collect();
    let mut random = Random(seed as u64 + 1);
    let mut text = String::new();
    while text.len() < KIB {
        match random.below(12) {
            0 => {
                text.push_str(&format!("{}{}", words[random.below(words.len())], random.below(999)))
            }
            1 => text.push_str(". "),
            _ => text.push_str(words[random.below(words.len())]),
        }
        text.push(' ');
    }
    text
}

fn thai(seed: usize) -> String {
    let mut random = Random(seed as u64 + 1);
    let letters: Vec<char> = "กขคงจชดตทนบปพมยรลวสหอะาิีุูเแโไ่้".chars().collect();
    let mut text = String::new();
    while text.len() < KIB {
        text.push(letters[random.below(letters.len())]);
        if random.below(25) == 0 {
            text.push(' ');
        }
    }
    text
}

fn code(seed: usize) -> String {
    let mut random = Random(seed as u64 + 1);
    let mut text = String::new();
    while text.len() < KIB {
        let (a, b) = (random.below(9999), random.below(9999));
        text.push_str(&format!("    let value_{a} = compute(&input[{b}], \"k{a}\")?; // {b:x}\n"));
    }
    text
}

/// No word twice, nothing cached, as many features as a byte can have.
fn hostile(seed: usize) -> String {
    let mut random = Random(seed as u64 + 1);
    let mut text = String::new();
    while text.len() < KIB {
        for _ in 0..12 {
            text.push(char::from(b'a' + random.below(26) as u8));
        }
        text.push(' ');
    }
    text
}

fn unseen(bencher: Bencher<'_, '_>, tool: bool, make: impl Fn(usize) -> String + Sync) {
    let starter = Starter::embedded().expect("weights");
    let seed = Cell::new(0);
    bencher
        .with_inputs(|| {
            seed.set(seed.get() + 1);
            make(seed.get())
        })
        .input_counter(BytesCount::of_str::<String>)
        .bench_local_values(|text| starter.model().score(&text, tool));
}

#[divan::bench]
fn english(bencher: Bencher<'_, '_>) {
    unseen(bencher, false, |seed| prose(ENGLISH, seed));
}

#[divan::bench]
fn english_from_a_tool(bencher: Bencher<'_, '_>) {
    unseen(bencher, true, |seed| prose(ENGLISH, seed));
}

#[divan::bench]
fn thai_letters(bencher: Bencher<'_, '_>) {
    unseen(bencher, false, thai);
}

#[divan::bench]
fn source_code(bencher: Bencher<'_, '_>) {
    unseen(bencher, false, code);
}

#[divan::bench]
fn hostile_letters(bencher: Bencher<'_, '_>) {
    unseen(bencher, false, hostile);
}

#[divan::bench]
fn start(bencher: Bencher<'_, '_>) {
    bencher.bench_local(|| Starter::embedded().expect("weights"));
}

#[divan::bench]
fn sixteen_kib(bencher: Bencher<'_, '_>) {
    let make = |seed: usize| (0..16).map(|part| prose(ENGLISH, seed * 16 + part)).collect();
    unseen(bencher, false, make);
}
