//! Identifiers that states give to people, where they are written in digits alone.
//!
//! Checks as published by the authorities; the English names are those of Wikipedia's "National identification number".

use crate::checksum::{falling_sum, mod_11_10, value, verhoeff};
use crate::context::says;
use crate::numbers::Number;

/// Found by form and checksum alone.
const BY_FORM: f32 = 0.93;
/// Announced by a word too.
const NAMED: f32 = 0.95;

/// How sure it is that `number` is one of them.
pub(crate) fn number(text: &[u8], number: &Number) -> Option<f32> {
    if number.plus || number.bracket {
        return None;
    }
    let said = |words: &[&str]| says(text, number.span.start, words);
    let digits = number.digits.as_slice();
    let gaps = number.gaps.as_slice();
    let groups = number.groups.as_slice();
    let written = |bare: usize, shape: &[usize]| groups == [bare] || groups == shape;
    // Where it is written in groups that nothing else is written in, the form says enough.
    let by = |written, by_form, words: &[&str], sound: fn(&[u8]) -> bool| {
        let score = if by_form { BY_FORM } else { NAMED };
        (written && sound(digits) && (by_form || said(words))).then_some(score)
    };
    let grouped = groups.len() > 1;
    let american = ["ssn", "social security"];
    by(written(9, &[3, 2, 4]), gaps == b"--", &american, is_social_security)
        .or_else(|| by(written(12, &[4, 4, 4]), grouped, &AADHAAR, is_aadhaar))
        .or_else(|| {
            let parted = written(15, &[1, 2, 2, 2, 3, 3, 2]) || groups == [13, 2];
            by(parted, true, &[], is_french)
        })
        .or_else(|| by(written(11, &[3, 3, 3, 2]), gaps == b"..-", &["cpf"], is_brazilian))
        .or_else(|| by(written(11, &[2, 3, 3, 3]), false, &GERMAN, is_german))
        .or_else(|| by(written(9, &[3, 3, 3]), false, &PORTUGUESE, is_portuguese))
        .or_else(|| by(written(13, &[1, 4, 5, 2, 1]), grouped, &THAI, is_thai))
        .or_else(|| by(written(10, &[3, 3, 4]), false, &["nhs"], is_british_health))
}

const AADHAAR: [&str; 3] = ["aadhaar", "aadhar", "आधार"];
const GERMAN: [&str; 5] = ["steuer", "idnr", "id-nr", "tax", "tin"];
const PORTUGUESE: [&str; 3] = ["nif", "contribuinte", "fiscal"];
const THAI: [&str; 4] = ["thai", "บัตร", "ประชาชน", "ประจำตัว"];

/// United States: never given out are area 000, 666 and 900 to 999, group 00 and serial 0000 (SSA, 2011).
fn is_social_security(digits: &[u8]) -> bool {
    let part = |from, to| value(digits.get(from..to).unwrap_or_default());
    !matches!(part(0, 3), 0 | 666 | 900..) && part(3, 5) != 0 && part(5, 9) != 0
}

/// India: twelve digits, the first not 0 or 1, Verhoeff.
fn is_aadhaar(digits: &[u8]) -> bool {
    digits.len() == 12 && digits.first().is_some_and(|first| *first >= 2) && verhoeff(digits)
}

/// France: sex, year, month, place, order; two digits to 97. Corsica's letters are not read.
fn is_french(digits: &[u8]) -> bool {
    let (Some(birth), Some(key)) = (digits.get(..13), digits.get(13..15)) else { return false };
    let month = value(digits.get(3..5).unwrap_or_default());
    matches!(digits.first(), Some(1..=2))
        && matches!(month, 1..=12 | 20 | 30..=42)
        && 97 - value(birth) % 97 == value(key)
}

/// Brazil: two check digits over what is before them.
fn is_brazilian(digits: &[u8]) -> bool {
    let check = |length: usize| {
        let sum = falling_sum(digits.get(..length).unwrap_or_default(), length as u32 + 1);
        let expected = sum * 10 % 11 % 10;
        digits.get(length).is_some_and(|digit| u32::from(*digit) == expected)
    };
    let varied = digits.windows(2).any(|pair| pair.first() != pair.last());
    digits.len() == 11 && varied && check(9) && check(10)
}

/// Germany: the first is not 0, one digit of the first ten is there two or three times, MOD 11,10.
fn is_german(digits: &[u8]) -> bool {
    let first = digits.get(..10).unwrap_or_default();
    let times = |digit: u8| first.iter().filter(|other| **other == digit).count();
    let most = (0..10).map(times).max().unwrap_or(0);
    digits.len() == 11 && digits.first() != Some(&0) && (2..=3).contains(&most) && mod_11_10(digits)
}

/// Portugal: weights 9 to 2, check digit to 11.
fn is_portuguese(digits: &[u8]) -> bool {
    let rest = falling_sum(digits.get(..8).unwrap_or_default(), 9) % 11;
    let expected = if rest < 2 { 0 } else { 11 - rest };
    matches!(digits.first(), Some(1..=3 | 5..=9))
        && digits.get(8).is_some_and(|digit| u32::from(*digit) == expected)
}

/// Thailand: weights 13 to 2, check digit to 11.
fn is_thai(digits: &[u8]) -> bool {
    let sum = falling_sum(digits.get(..12).unwrap_or_default(), 13);
    matches!(digits.first(), Some(1..=8))
        && digits.get(12).is_some_and(|digit| u32::from(*digit) == (11 - sum % 11) % 10)
}

/// England's health service: weights 10 to 2, check digit to 11.
fn is_british_health(digits: &[u8]) -> bool {
    let expected = (11 - falling_sum(digits.get(..9).unwrap_or_default(), 10) % 11) % 11;
    digits.get(9).is_some_and(|digit| u32::from(*digit) == expected)
}
