//! Reading and writing the text of a query.

use std::fmt::{self, Write};

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::query::{Field, Moment, Order, Query, Term, Test};

/// Longest filter that is read, in bytes.
const FILTER_BYTES: usize = 4096;
/// Most conditions of one filter.
const TERMS: usize = 64;

/// Why a text is no filter: what is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} (at character {at} of the filter)")]
pub struct FilterError {
    /// Character where it begins, counted from 1.
    pub at: usize,
    /// What is wrong and what would be right.
    pub message: String,
}

/// One word of a filter: what stands before its quotes, and where it begins.
struct Word {
    at: usize,
    /// Its characters, and whether each was quoted or escaped.
    chars: Vec<(char, bool)>,
}

/// Reads a filter.
pub(crate) fn parse(text: &str) -> Result<Query, FilterError> {
    if text.len() > FILTER_BYTES {
        return Err(error(1, format!("a filter has at most {FILTER_BYTES} bytes")));
    }
    let words = words(text)?;
    if words.len() > TERMS {
        return Err(error(1, format!("a filter has at most {TERMS} terms")));
    }
    let terms = words.into_iter().map(term).collect::<Result<_, _>>()?;
    Ok(Query { terms })
}

fn error(at: usize, message: impl Into<String>) -> FilterError {
    FilterError { at, message: message.into() }
}

/// Splits at blanks outside quotes.
fn words(text: &str) -> Result<Vec<Word>, FilterError> {
    let mut words = Vec::new();
    let mut word: Option<Word> = None;
    let mut quote = None;
    let mut chars = text.chars().enumerate();
    while let Some((index, c)) = chars.next() {
        if quote.is_none() && c.is_whitespace() {
            words.extend(word.take());
            continue;
        }
        let word = word.get_or_insert_with(|| Word { at: index + 1, chars: Vec::new() });
        match c {
            '"' if quote.is_some() => quote = None,
            '"' => {
                quote = Some(index + 1);
                // Marks the word as quoted even where nothing is between the quotes.
                word.chars.push(('\0', true));
            }
            '\\' => match chars.next() {
                Some((_, escaped)) => word.chars.push((escaped, true)),
                None => return Err(error(index + 1, "nothing follows the `\\`")),
            },
            c => word.chars.push((c, quote.is_some())),
        }
    }
    match quote {
        Some(at) => Err(error(at, "this quote is not closed")),
        None => {
            words.extend(word);
            Ok(words)
        }
    }
}

fn term(mut word: Word) -> Result<Term, FilterError> {
    let exclude = word.chars.first() == Some(&('-', false));
    if exclude {
        word.chars.remove(0);
        word.at += 1;
    }
    if word.chars.is_empty() {
        return Err(error(word.at, "nothing follows the `-`"));
    }
    let split = word.chars.iter().position(|(c, quoted)| !quoted && matches!(c, ':' | '<' | '>'));
    let test = match split {
        None => Test::Text(words_of_text(&word)?),
        Some(split) => {
            let value = word.chars.split_off(split);
            let name: String = word.chars.iter().map(|(c, _)| *c).collect();
            named(&name, &value, word.at)?
        }
    };
    Ok(Term { exclude, test })
}

fn words_of_text(word: &Word) -> Result<String, FilterError> {
    let text = plain(&word.chars);
    match text.chars().any(char::is_alphanumeric) {
        true => Ok(text),
        false => Err(error(word.at, "there is no word to look for")),
    }
}

fn plain(chars: &[(char, bool)]) -> String {
    chars.iter().map(|(c, _)| *c).filter(|c| *c != '\0').collect()
}

/// A term with a name: `value` begins with the sign behind it.
fn named(name: &str, value: &[(char, bool)], at: usize) -> Result<Test, FilterError> {
    let Some(((sign, _), rest)) = value.split_first() else {
        return Err(error(at, "this term is not finished"));
    };
    let (place, text) = (at + name.chars().count() + 1, plain(rest));
    if *sign != ':' {
        return score(name, *sign, &text, at);
    }
    match name {
        "since" => Ok(Test::Since(moment(&text, place)?)),
        "until" => Ok(Test::Until(moment(&text, place)?)),
        "sample" => share(&text, place),
        "text" => Ok(Test::Text(words_of_text(&Word { at: place, chars: rest.to_vec() })?)),
        "score" => Err(error(at, "write `score>0.8`, or `score.hate>=0.5` for one category")),
        _ => match Field::by_name(name) {
            Some(field) => Ok(Test::Is(field, values(rest, place)?)),
            None => Err(unknown(name, at)),
        },
    }
}

fn unknown(name: &str, at: usize) -> FilterError {
    let mut names: Vec<&str> = Field::ALL.iter().map(|field| field.name()).collect();
    names.extend(["since", "until", "text", "score", "sample"]);
    error(at, format!("there is no field `{name}`; there are {}", names.join(", ")))
}

/// The values between commas. A `*` that was quoted is kept apart from one that stands for anything.
fn values(chars: &[(char, bool)], at: usize) -> Result<Vec<String>, FilterError> {
    let mut values = vec![String::new()];
    for (c, quoted) in chars.iter().filter(|(c, _)| *c != '\0') {
        let Some(value) = values.last_mut() else { break };
        match (c, quoted) {
            (',', false) => values.push(String::new()),
            ('*' | '\\', true) => value.extend(['\\', *c]),
            (c, _) => value.push(*c),
        }
    }
    match values.iter().any(String::is_empty) {
        true => Err(error(at, "a value is missing here; for decisions without one write `none`")),
        false => Ok(values),
    }
}

fn score(name: &str, sign: char, rest: &str, at: usize) -> Result<Test, FilterError> {
    let category = match name.split_once('.') {
        None if name == "score" => None,
        Some(("score", category)) if !category.is_empty() => Some(category.to_owned()),
        _ => return Err(error(at, "only `score` or `score.CATEGORY` can be compared")),
    };
    let (order, number) = match (sign, rest.strip_prefix('=')) {
        ('>', None) => (Order::Above, rest),
        ('>', Some(number)) => (Order::AtLeast, number),
        (_, None) => (Order::Below, rest),
        (_, Some(number)) => (Order::AtMost, number),
    };
    match number.parse::<f32>() {
        Ok(than) if (0.0..=1.0).contains(&than) => Ok(Test::Score { category, order, than }),
        _ => Err(error(at, "a score is compared with a number from 0 to 1, as in `score>0.8`")),
    }
}

fn share(text: &str, at: usize) -> Result<Test, FilterError> {
    let percent = text.strip_suffix('%').and_then(|number| number.parse::<f64>().ok());
    match percent {
        Some(percent) if (0.0..=100.0).contains(&percent) => Ok(Test::Sample(percent)),
        _ => Err(error(at, "a sample is a share such as 10% or 0.5%")),
    }
}

const TIMES: &str = "a time is like 24h, 30m, 7d, 2026-11-22 or 2026-11-22T06:03:28Z";

fn moment(text: &str, at: usize) -> Result<Moment, FilterError> {
    ago(text)
        .map(Moment::Ago)
        .or_else(|| text.parse().ok().map(Moment::At))
        .or_else(|| {
            let date: Date = text.parse().ok()?;
            Some(Moment::At(date.to_zoned(TimeZone::UTC).ok()?.timestamp()))
        })
        .ok_or_else(|| error(at, TIMES))
}

/// Seconds of each unit of an age, largest first.
const UNITS: &[(char, i64)] = &[('w', 604_800), ('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];

fn ago(text: &str) -> Option<SignedDuration> {
    let (_, seconds) = UNITS.iter().find(|(unit, _)| text.ends_with(*unit))?;
    let number = text.get(..text.len().checked_sub(1)?)?;
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let all = number.parse::<i64>().ok()?.checked_mul(*seconds)?;
    Some(SignedDuration::from_secs(all))
}

/// Writes a query so that [`parse`] reads the same again.
pub(crate) fn print(query: &Query, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (index, Term { exclude, test }) in query.terms.iter().enumerate() {
        if index > 0 {
            f.write_char(' ')?;
        }
        if *exclude {
            f.write_char('-')?;
        }
        print_test(test, f)?;
    }
    Ok(())
}

fn print_test(test: &Test, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match test {
        Test::Is(field, values) => {
            write!(f, "{}:", field.name())?;
            for (index, value) in values.iter().enumerate() {
                let comma = if index > 0 { "," } else { "" };
                write!(f, "{comma}{}", written(value))?;
            }
            Ok(())
        }
        Test::Score { category, order, than } => {
            let category = category.as_deref().map(|name| format!(".{name}")).unwrap_or_default();
            write!(f, "score{category}{}{than}", order.sign())
        }
        Test::Sample(share) => write!(f, "sample:{share}%"),
        Test::Since(moment) => write!(f, "since:{}", Shown(*moment)),
        Test::Until(moment) => write!(f, "until:{}", Shown(*moment)),
        Test::Text(text) => write!(f, "\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")),
    }
}

/// A value with its specials escaped; those of `*` and `\` are in it already.
fn written(value: &str) -> String {
    let mut written = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => written.extend(['\\', chars.next().unwrap_or('\\')]),
            '"' | ',' => written.extend(['\\', c]),
            c if c.is_whitespace() => written.extend(['\\', c]),
            c => written.push(c),
        }
    }
    written
}

/// `value` as a field's value that stands for nothing but itself.
pub(crate) fn literal(value: &str) -> String {
    value.replace('\\', "\\\\").replace('*', "\\*")
}

struct Shown(Moment);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Moment::At(time) => write_time(time, f),
            Moment::Ago(span) => {
                let seconds = span.as_secs();
                let fits = |(_, unit): &&(char, i64)| seconds % unit == 0 && seconds >= *unit;
                let (unit, size) = UNITS.iter().find(fits).copied().unwrap_or(('s', 1));
                write!(f, "{}{unit}", seconds / size)
            }
        }
    }
}

fn write_time(time: Timestamp, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "{time}")
}
