//! What looking for disguises costs, on texts that have none and on texts that have one.

use std::sync::Arc;

use classifiers_text::views;
use divan::{Bencher, counter::BytesCount};

fn main() {
    divan::main();
}

const ENGLISH: &str = "The committee met on Tuesday to discuss the new budget for the library, which has grown by \
    about 4% since last year. Several members asked whether the opening hours could be extended, and Ms Lee said \
    that she would prepare a proposal before the next meeting. ";
const GERMAN: &str = "Der Ausschuss traf sich am Dienstag, um über den neuen Haushalt der Bücherei zu sprechen, der \
    seit dem letzten Jahr um etwa 4 % gewachsen ist. Mehrere Mitglieder fragten, ob die Öffnungszeiten länger sein \
    könnten. ";
const RUSSIAN: &str = "Комитет собрался во вторник, чтобы обсудить новый бюджет библиотеки, который вырос примерно на \
    четыре процента. Несколько членов спросили, можно ли продлить часы работы. ";
const CODE: &str = "fn mean(values: &[f64]) -> Option<f64> {\n    let count = values.len() as f64;\n    \
    (count > 0.0).then(|| values.iter().sum::<f64>() / count)\n}\n";

fn repeated(text: &str, bytes: usize) -> Arc<str> {
    let text = text.repeat(bytes / text.len() + 1);
    text.get(..text.floor_char_boundary(bytes)).unwrap_or_default().into()
}

fn look(bencher: Bencher<'_, '_>, text: &Arc<str>) {
    bencher.counter(BytesCount::of_str(text)).bench(|| views(divan::black_box(text)));
}

#[divan::bench(args = [1024, 16384])]
fn english(bencher: Bencher<'_, '_>, bytes: usize) {
    look(bencher, &repeated(ENGLISH, bytes));
}

#[divan::bench]
fn german(bencher: Bencher<'_, '_>) {
    look(bencher, &repeated(GERMAN, 1024));
}

#[divan::bench]
fn russian(bencher: Bencher<'_, '_>) {
    look(bencher, &repeated(RUSSIAN, 1024));
}

#[divan::bench]
fn source_code(bencher: Bencher<'_, '_>) {
    look(bencher, &repeated(CODE, 1024));
}

#[divan::bench]
fn rotated(bencher: Bencher<'_, '_>) {
    let turn = |c: char| match c {
        'a'..='m' => char::from(c as u8 + 13),
        'n'..='z' => char::from(c as u8 - 13),
        c => c,
    };
    look(bencher, &repeated(ENGLISH, 1024).chars().map(turn).collect::<String>().into());
}
