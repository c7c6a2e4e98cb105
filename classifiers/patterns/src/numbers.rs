//! Numbers that belong to a person: cards, telephones, and the identifiers of states.

use std::ops::Range;

use crate::bytes::{at, before, part, run};
use crate::checksum::luhn;
use crate::context::{TELEPHONE, says};
use crate::detector::Found;
use crate::{national, words};

/// More digits than any of these numbers has.
const DIGITS: usize = 20;

/// More groups than any of these numbers is written in.
const GROUPS: usize = 8;

/// Digits in groups, as somebody wrote them.
#[derive(Debug, Default)]
pub(crate) struct Number {
    /// 0 to 9 each.
    pub(crate) digits: Vec<u8>,
    /// How many digits are in each group.
    pub(crate) groups: Vec<usize>,
    /// What stands between the groups, one byte for each gap: the first of it.
    pub(crate) gaps: Vec<u8>,
    pub(crate) span: Range<usize>,
    /// A plus sign stands before it.
    pub(crate) plus: bool,
    /// A bracket opens before it.
    pub(crate) bracket: bool,
}

/// Finds everything that begins at a word with a digit in it.
pub(crate) fn find(text: &[u8], found: &mut Vec<Found>) {
    if !text.iter().any(u8::is_ascii_digit) {
        return;
    }
    let mut place = 0;
    while let Some(word) = next_word(text, place) {
        let number =
            || is_number(part(text, word.start, word.end)).then(|| numbered(text, word.start))?;
        let hit = words::find(text, &word).or_else(number);
        place = hit.as_ref().map_or(word.end, |(span, _)| span.end.max(word.end));
        found.extend(hit);
    }
}

/// The next run of ASCII letters and digits with a digit in it, from `from` on.
fn next_word(text: &[u8], from: usize) -> Option<Range<usize>> {
    let rest = text.get(from..)?;
    let digit = from + rest.iter().position(u8::is_ascii_digit)?;
    let lead = part(text, from, digit).iter().rev().take_while(|byte| byte.is_ascii_alphanumeric());
    let start = digit - lead.count();
    let tail = text.get(digit..)?.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
    Some(start..digit + tail)
}

fn is_number(word: &[u8]) -> bool {
    word.len() <= DIGITS && word.iter().all(u8::is_ascii_digit)
}

/// The number that begins with the group of digits at `start`: the longest reading of it that means something.
fn numbered(text: &[u8], start: usize) -> Option<Found> {
    if matches!(before(text, start), b'_' | b'$' | b'#' | b'.') {
        return None;
    }
    let mut number = read(text, start);
    loop {
        if let Some(score) = meaning(text, &number) {
            return Some((number.span, score));
        }
        number.groups.pop().filter(|_| !number.groups.is_empty())?;
        number.gaps.pop();
        number.digits.truncate(number.groups.iter().sum());
        number.span.end = end_of(text, &number);
    }
}

fn read(text: &[u8], start: usize) -> Number {
    let lead = before(text, start);
    let plus = lead == b'+';
    let area = run(text, start, 6, |byte| byte.is_ascii_digit());
    let bracket = lead == b'(' && at(text, area) == b')';
    let from = start - usize::from(plus || bracket);
    let mut number = Number { span: from..start, plus, bracket, ..Number::default() };
    let mut place = start;
    while number.groups.len() < GROUPS {
        let digits = text.get(place..).unwrap_or_default().iter().take(DIGITS + 1);
        let digits: Vec<u8> =
            digits.take_while(|byte| byte.is_ascii_digit()).map(|byte| byte - b'0').collect();
        if digits.is_empty() || number.digits.len() + digits.len() > DIGITS {
            break;
        }
        place += digits.len();
        // A letter that touches it makes it something else.
        if at(text, place).is_ascii_alphabetic() || at(text, place) == b'_' {
            break;
        }
        if !number.groups.is_empty() {
            number.gaps.push(at(text, number.span.end));
        }
        number.groups.push(digits.len());
        number.digits.extend(digits);
        number.span.end = place;
        let gap = gap(text, place);
        if gap == 0 {
            break;
        }
        place += gap;
    }
    number
}

/// How many bytes stand between two groups of digits: none if nothing may.
fn gap(text: &[u8], place: usize) -> usize {
    match (at(text, place), at(text, place + 1)) {
        (b')', b' ' | b'-') | (b' ', b'(') => 2,
        (b' ' | b'-' | b'.' | b'/' | b')', next) if next.is_ascii_digit() => 1,
        _ => 0,
    }
}

/// Where the groups that are left end.
fn end_of(text: &[u8], number: &Number) -> usize {
    let mut digits = number.digits.len();
    let mut place = number.span.start;
    while digits > 0 {
        digits -= usize::from(at(text, place).is_ascii_digit());
        place += 1;
    }
    place
}

/// How sure it is that `number` belongs to a person; nothing if it does not.
fn meaning(text: &[u8], number: &Number) -> Option<f32> {
    if number.groups.is_empty() {
        return None;
    }
    card(number).or_else(|| national::number(text, number)).or_else(|| telephone(text, number))
}

/// Payment cards: issuer, length, Luhn.
fn card(number: &Number) -> Option<f32> {
    let written = matches!(
        number.groups.as_slice(),
        [14..=16] | [19] | [4, 4, 4, 4] | [4, 6, 5] | [4, 6, 4] | [4, 4, 4, 4, 3]
    );
    let same = number.gaps.windows(2).all(|pair| pair.first() == pair.last());
    let gaps = same && number.gaps.first().is_none_or(|gap| matches!(gap, b' ' | b'-'));
    let first = |count| number.digits.iter().take(count).fold(0u32, |n, d| n * 10 + u32::from(*d));
    let length = number.digits.len();
    let issued = match (first(1), first(2), first(4)) {
        (4, ..) => length == 16 || length == 19,
        (_, 51..=55, _) | (.., 2221..=2720) | (.., 6011) | (_, 65, _) | (_, 35, _) => length == 16,
        (_, 62, _) => matches!(length, 16 | 19),
        (_, 34 | 37, _) => length == 15,
        (_, 30 | 36 | 38 | 39, _) => length == 14,
        _ => false,
    };
    // Sixteen times the same digit pair is no card.
    let varied = number.digits.windows(2).filter(|pair| pair.first() != pair.last()).count() >= 1;
    (written && gaps && issued && varied && !number.plus && luhn(&number.digits)).then_some(0.97)
}

fn telephone(text: &[u8], number: &Number) -> Option<f32> {
    let digits = number.digits.as_slice();
    // A date is no number to call.
    let dates = number.gaps.contains(&b'/') && number.groups.len() <= 3
        || matches!(number.groups.as_slice(), [4, 2, 2, ..] | [2, 2, 4, ..]);
    if number.plus {
        let long = (8..=15).contains(&digits.len()) && digits.first() != Some(&0);
        let written = number.groups.len() > 1 || digits.len() >= 10;
        return (long && written).then_some(0.92);
    }
    let dashed = number.gaps.iter().all(|gap| matches!(gap, b'-' | b'.' | b')' | b' '));
    // North America: neither area nor exchange begins with 0 or 1.
    let american = |skip: usize| {
        let place = |at: usize| digits.get(skip + at).is_some_and(|digit| *digit >= 2);
        place(0) && place(3) && digits.len() == 10 + skip
    };
    let grouped = match number.groups.as_slice() {
        [3, 3, 4] if american(0) && dashed => !number.gaps.contains(&b' ') || number.bracket,
        [1, 3, 3, 4] if digits.first() == Some(&1) && american(1) && dashed => true,
        // France: five pairs, all with the same sign between them.
        [2, 2, 2, 2, 2] if matches!(digits, [0, 1..=9, ..]) => {
            number.gaps.windows(2).all(|pair| pair.first() == pair.last())
                && !number.gaps.contains(&b'/')
        }
        _ => false,
    };
    if grouped {
        return Some(0.92);
    }
    let varied = digits.windows(2).any(|pair| pair.first() != pair.last());
    let long = (7..=13).contains(&digits.len()) && varied && !dates;
    (long && says(text, number.span.start, TELEPHONE)).then_some(0.9)
}
