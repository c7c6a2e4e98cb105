//! Text written in another notation: escapes, numbers, base64 and its relatives, spelling alphabets.

mod escapes;
mod numbers;
mod runs;
mod spelling;

pub(crate) use escapes::{escape_at, escapes};
pub(crate) use numbers::{binary, decimal, hexadecimal, octal};
pub(crate) use runs::{encoded, uuencoded};
pub(crate) use spelling::spelling;

/// The text that `bytes` are, if they are something that was written to be read.
fn readable(bytes: Vec<u8>) -> Option<String> {
    let text = String::from_utf8(bytes).ok()?;
    let (mut all, mut plain) = (0, 0);
    for c in text.chars() {
        if c.is_control() && !c.is_whitespace() {
            return None;
        }
        all += 1;
        plain += usize::from(c.is_alphanumeric() || c == ' ' || c == '\n');
    }
    (all >= 4 && plain * 2 >= all).then_some(text)
}
