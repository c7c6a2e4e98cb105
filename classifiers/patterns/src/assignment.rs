//! Credentials without a format, known by the name they are given to: `password = "..."`.

use crate::bytes::{at, part, run};
use crate::checksum::entropy;
use crate::detector::Found;

/// Names of variables and fields that hold credentials, in lower case.
pub(crate) const NAMES: [&str; 16] = [
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "secret",
    "api_key",
    "api-key",
    "apikey",
    "access_key",
    "accesskey",
    "access-key",
    "account_key",
    "private_key",
    "auth_token",
    "access_token",
    "token",
];

/// The longest value that is read, in bytes.
const LONGEST: usize = 256;

/// The value that is assigned to the name in `from..to`, if it is a credential.
pub(crate) fn value(text: &[u8], (_, to): (usize, usize)) -> Option<Found> {
    // What follows belongs to the name: `secret_key`, `tokenId`.
    let name_end =
        run(text, to, 24, |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    let name_end = name_end + usize::from(is_quote(at(text, name_end)));
    let sign = run(text, name_end, 4, is_blank);
    let sign_end = run(text, sign, 2, |byte| matches!(byte, b':' | b'=' | b'>'));
    if sign_end == sign || part(text, sign, sign_end).starts_with(b"==") {
        return None;
    }
    let start = run(text, sign_end, 4, is_blank);
    if is_quote(at(text, start)) {
        return quoted(text, start);
    }
    bare(text, start)
}

fn quoted(text: &[u8], open: usize) -> Option<Found> {
    let quote = at(text, open);
    let inside = text.get(open + 1..)?;
    let length = inside.iter().take(LONGEST).position(|byte| *byte == quote || *byte == b'\n')?;
    let span = open + 1..open + 1 + length;
    let value = part(text, span.start, span.end);
    let one_word = value.iter().all(u8::is_ascii_graphic);
    let sound = at(text, span.end) == quote && value.len() >= 8 && one_word;
    if !sound || is_placeholder(value) || entropy(value) < 2.5 {
        return None;
    }
    Some((span, strength(value)?))
}

fn bare(text: &[u8], start: usize) -> Option<Found> {
    let end = run(text, start, LONGEST, |byte| {
        byte.is_ascii_graphic() && !b"\"'`,;()<>{}[]".contains(&byte)
    });
    let value = part(text, start, end);
    // A call, a path, an expression.
    let called = matches!(at(text, end), b'(' | b'[' | b'{' | b'<');
    let mixed = value.iter().any(u8::is_ascii_digit) && value.iter().any(u8::is_ascii_alphabetic);
    let dotted = value.iter().filter(|byte| **byte == b'.').count() > 1;
    if called || !mixed || dotted || value.len() < 12 || is_placeholder(value) {
        return None;
    }
    (entropy(value) >= 3.2).then_some((start..end, 0.75))
}

/// How sure it is that a quoted value is a credential.
fn strength(value: &[u8]) -> Option<f32> {
    let digits = value.iter().filter(|byte| byte.is_ascii_digit()).count();
    let upper = value.iter().any(u8::is_ascii_uppercase);
    let lower = value.iter().any(u8::is_ascii_lowercase);
    let signs = value.iter().any(|byte| byte.is_ascii_punctuation() && !b"_-.".contains(byte));
    let kinds = [digits > 0, upper, lower, signs].into_iter().filter(|kind| *kind).count();
    match kinds {
        0..=1 => None,
        _ if digits == 0 && !signs => None,
        _ if value.len() >= 16 && entropy(value) >= 3.5 && digits >= 2 => Some(0.92),
        _ => Some(0.75),
    }
}

const fn is_quote(byte: u8) -> bool {
    matches!(byte, b'"' | b'\'' | b'`')
}

const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// Whether `value` stands for a secret rather than being one.
pub(crate) fn is_placeholder(value: &[u8]) -> bool {
    const SIGNS: [&str; 20] = [
        "example",
        "your",
        "changeme",
        "change_me",
        "change-me",
        "placeholder",
        "xxxx",
        "****",
        "....",
        "dummy",
        "redacted",
        "insert",
        "${",
        "{{",
        "<",
        "$(",
        "process.env",
        "environ",
        "getenv",
        "%s",
    ];
    const WORDS: [&str; 9] =
        ["password", "passwd", "pass", "pwd", "secret", "token", "test", "user", "null"];
    let lower = value.to_ascii_lowercase();
    let said = |sign: &&str| memchr::memmem::find(&lower, sign.as_bytes()).is_some();
    SIGNS.iter().any(said) || WORDS.iter().any(|word| lower == word.as_bytes())
}
