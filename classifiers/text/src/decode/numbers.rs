//! Characters written as numbers in a row.

use std::ops::Range;

use super::readable;
use crate::mapped::Mapped;

/// Fewer numbers in a row than this say too little.
const FEWEST: usize = 4;

/// With bytes written as seven or eight binary digits read.
pub(crate) fn binary(text: &str) -> Option<Mapped> {
    numbers(text, |word| {
        let digits = word.strip_prefix("0b").unwrap_or(word);
        matches!(digits.len(), 7 | 8).then(|| u32::from_str_radix(digits, 2).ok()).flatten()
    })
}

/// With bytes written as two hexadecimal digits read, and characters written as `U+0069`.
pub(crate) fn hexadecimal(text: &str) -> Option<Mapped> {
    numbers(text, |word| {
        if let Some(digits) = word.strip_prefix("U+").or_else(|| word.strip_prefix("u+")) {
            return u32::from_str_radix(digits, 16).ok();
        }
        let digits = ["0x", "0X", "\\x"].iter().find_map(|prefix| word.strip_prefix(*prefix));
        let digits = digits.unwrap_or(word);
        (digits.len() == 2).then(|| u32::from_str_radix(digits, 16).ok()).flatten()
    })
}

/// With characters written as decimal numbers read.
pub(crate) fn decimal(text: &str) -> Option<Mapped> {
    numbers(text, |word| (2..=6).contains(&word.len()).then(|| word.parse().ok()).flatten())
}

/// With bytes written as octal numbers read.
pub(crate) fn octal(text: &str) -> Option<Mapped> {
    numbers(text, |word| {
        let digits = word.strip_prefix("0o").unwrap_or(word);
        (2..=3).contains(&digits.len()).then(|| u32::from_str_radix(digits, 8).ok()).flatten()
    })
}

/// Reads each row of numbers that make a readable text.
fn numbers(text: &str, value: fn(&str) -> Option<u32>) -> Option<Mapped> {
    let mut out = Mapped::like(text);
    let mut row: Vec<(u32, Range<usize>)> = Vec::new();
    let mut copied = 0;
    let mut start = 0;
    for piece in text.split_inclusive([' ', ',', '\n', '\t', '\r', ';']) {
        let word = piece.trim_end_matches([' ', ',', '\n', '\t', '\r', ';']);
        let place = start..start + word.len();
        start += piece.len();
        match value(word) {
            Some(value) => row.push((value, place)),
            // A row goes on after `, `.
            None if word.is_empty() => {}
            None => read(text, std::mem::take(&mut row), &mut copied, &mut out),
        }
    }
    read(text, row, &mut copied, &mut out);
    out.copy(text, copied..text.len());
    Some(out)
}

fn read(text: &str, row: Vec<(u32, Range<usize>)>, copied: &mut usize, out: &mut Mapped) {
    let (Some((_, first)), Some((_, last))) = (row.first(), row.last()) else { return };
    let place = first.start..last.end;
    if row.len() < FEWEST {
        return;
    }
    let values = || row.iter().map(|(value, _)| *value);
    let bytes: Option<Vec<u8>> = values().map(|value| u8::try_from(value).ok()).collect();
    let chars = || values().map(char::from_u32).collect::<Option<String>>();
    let Some(plain) =
        bytes.and_then(readable).or_else(|| chars().map(String::into_bytes).and_then(readable))
    else {
        return;
    };
    out.copy(text, *copied..place.start);
    if plain.chars().count() == row.len() {
        row.iter().zip(plain.chars()).for_each(|((_, place), c)| out.put_char(c, place.clone()));
    } else {
        out.put(&plain, place.clone());
    }
    *copied = place.end;
}
