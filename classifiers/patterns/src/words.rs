//! Identifiers of letters and digits: bank accounts, tax and insurance numbers.

use std::ops::Range;

use crate::bytes::{at, before, part};
use crate::checksum::mod_97;
use crate::detector::Found;

/// Longest of them: an IBAN has at most 34 letters and digits.
const LONGEST: usize = 34;

/// What the word at `word` is, if it is one of them.
pub(crate) fn find(text: &[u8], word: &Range<usize>) -> Option<Found> {
    if word.len() > LONGEST || before(text, word.start) == b'_' || at(text, word.end) == b'_' {
        return None;
    }
    let said = part(text, word.start, word.end);
    let score = match said.len() {
        16 if is_italian(said) => Some(0.95),
        18 if is_mexican(said) => Some(0.95),
        10 if is_indian_tax(said) => Some(0.9),
        9 if is_british(said) || is_spanish(said) => Some(0.93),
        _ => None,
    };
    score.map(|score| (word.clone(), score)).or_else(|| iban(text, word.start))
}

/// An international bank account number, in one piece or in groups (ISO 13616).
fn iban(text: &[u8], start: usize) -> Option<Found> {
    let [a, b, c, d] = *part(text, start, start + 4).as_array::<4>()?;
    let form = [a, b].iter().all(u8::is_ascii_uppercase) && [c, d].iter().all(u8::is_ascii_digit);
    let length = LENGTHS.iter().find(|(country, _)| form && country.as_bytes() == [a, b])?.1;
    let mut letters = Vec::with_capacity(length);
    let mut place = start;
    while letters.len() < length {
        let byte = at(text, place);
        match byte {
            b'A'..=b'Z' | b'0'..=b'9' => letters.push(byte),
            b' ' | b'-' if letters.len().is_multiple_of(4) => {}
            _ => return None,
        }
        place += 1;
    }
    let ends = !at(text, place).is_ascii_alphanumeric();
    (ends && mod_97(&letters)).then_some((start..place, 0.98))
}

/// Lengths by country, from the SWIFT registry.
const LENGTHS: [(&str, usize); 40] = [
    ("AD", 24),
    ("AE", 23),
    ("AT", 20),
    ("BE", 16),
    ("BG", 22),
    ("BR", 29),
    ("CH", 21),
    ("CY", 28),
    ("CZ", 24),
    ("DE", 22),
    ("DK", 18),
    ("EE", 20),
    ("ES", 24),
    ("FI", 18),
    ("FR", 27),
    ("GB", 22),
    ("GR", 27),
    ("HR", 21),
    ("HU", 28),
    ("IE", 22),
    ("IL", 23),
    ("IS", 26),
    ("IT", 27),
    ("LI", 21),
    ("LT", 20),
    ("LU", 20),
    ("LV", 21),
    ("MC", 27),
    ("MT", 31),
    ("NL", 18),
    ("NO", 15),
    ("PL", 28),
    ("PT", 25),
    ("RO", 24),
    ("SA", 24),
    ("SE", 24),
    ("SI", 19),
    ("SK", 24),
    ("SM", 27),
    ("TR", 26),
];

/// Whether `said` has the form `shape`: `A` for a letter, `9` for a digit.
fn has_form(said: &[u8], shape: &str) -> bool {
    said.len() == shape.len()
        && said.iter().zip(shape.bytes()).all(|(byte, kind)| match kind {
            b'A' => byte.is_ascii_uppercase(),
            _ => byte.is_ascii_digit(),
        })
}

/// Italy's codice fiscale: the last letter is a sum over the others, those in odd places by a table of their own.
/// Digits that were replaced by letters because two people would have the same are not read.
fn is_italian(said: &[u8]) -> bool {
    const ODD: [u32; 26] = [
        1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24,
        23,
    ];
    let upper = said.to_ascii_uppercase();
    if !has_form(&upper, "AAAAAA99A99A999A") {
        return false;
    }
    let Some((check, rest)) = upper.split_last() else { return false };
    let sum: u32 = rest
        .iter()
        .enumerate()
        .map(|(place, byte)| {
            let worth = if byte.is_ascii_digit() { byte - b'0' } else { byte - b'A' };
            let odd = place % 2 == 0;
            if odd { ODD.get(usize::from(worth)).copied().unwrap_or(0) } else { u32::from(worth) }
        })
        .sum();
    u32::from(check - b'A') == sum % 26
}

/// Mexico's CURP: birth date, sex, and a check digit to 10.
fn is_mexican(said: &[u8]) -> bool {
    let form = has_form(part(said, 0, 10), "AAAA999999") && matches!(at(said, 10), b'H' | b'M');
    let worth = |byte: u8| match byte {
        b'0'..=b'9' => u32::from(byte - b'0'),
        // The letter after N has its own place in the Spanish alphabet.
        b'A'..=b'N' => u32::from(byte - b'A') + 10,
        _ => u32::from(byte.wrapping_sub(b'A')) + 11,
    };
    let letters = said.iter().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    let sum: u32 = said.iter().take(17).zip((2..=18u32).rev()).map(|(b, w)| worth(*b) * w).sum();
    form && letters && at(said, 17) == b'0' + u8::try_from((10 - sum % 10) % 10).unwrap_or(0)
}

/// India's permanent account number: the fourth letter says whose it is. `P` is a person.
fn is_indian_tax(said: &[u8]) -> bool {
    has_form(said, "AAAAA9999A") && at(said, 3) == b'P'
}

/// The United Kingdom's national insurance number, without the letters that are never given out.
fn is_british(said: &[u8]) -> bool {
    let (first, second) = (at(said, 0), at(said, 1));
    let refused = [b"BG", b"GB", b"KN", b"NK", b"NT", b"TN", b"ZZ"];
    has_form(said, "AA999999A")
        && !b"DFIQUV".contains(&first)
        && !b"DFIOQUV".contains(&second)
        && !refused.iter().any(|pair| **pair == [first, second])
        && matches!(at(said, 8), b'A'..=b'D')
}

/// Spain's DNI and NIE: the letter is the number's rest to 23.
fn is_spanish(said: &[u8]) -> bool {
    const LETTERS: &[u8; 23] = b"TRWAGMYFPDXBNJZSQVHLCKE";
    let first = match at(said, 0) {
        b'X' => b'0',
        b'Y' => b'1',
        b'Z' => b'2',
        digit => digit,
    };
    let digits = std::iter::once(first).chain(part(said, 1, 8).iter().copied());
    if !digits.clone().all(|byte| byte.is_ascii_digit()) {
        return false;
    }
    let number = digits.fold(0usize, |number, digit| number * 10 + usize::from(digit - b'0'));
    LETTERS.get(number % 23) == Some(&at(said, 8))
}
