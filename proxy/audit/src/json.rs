//! Writing JSON that stays on one line and shows what it holds.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::Formatter;

/// Compact JSON in which characters that break lines or deceive a terminal are escaped as well:
/// DEL and the C1 controls, U+2028/2029, zero-width, direction-changing and tag characters. A model
/// name chosen by a client can then not hide in, or rewrite, what a reviewer sees.
struct Plain;

impl Formatter for Plain {
    fn write_string_fragment<W>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()>
    where
        W: ?Sized + Write,
    {
        // Without an early exit this compiles to a few vector instructions.
        let plain = fragment.bytes().fold(true, |plain, byte| plain & (byte < 0x7f));
        if plain {
            return writer.write_all(fragment.as_bytes());
        }
        let mut buffer = [0; 4];
        for character in fragment.chars() {
            if is_deceptive(character) {
                let mut units = [0; 2];
                for unit in character.encode_utf16(&mut units) {
                    write!(writer, "\\u{unit:04x}")?;
                }
            } else {
                writer.write_all(character.encode_utf8(&mut buffer).as_bytes())?;
            }
        }
        Ok(())
    }
}

fn is_deceptive(character: char) -> bool {
    matches!(
        character,
        '\u{7f}'..='\u{9f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

/// Appends `value` to `out`.
///
/// # Errors
/// Only what the value's own serialisation raises; a buffer takes everything.
pub(crate) fn write(out: &mut Vec<u8>, value: &impl Serialize) -> serde_json::Result<()> {
    value.serialize(&mut serde_json::Serializer::with_formatter(out, Plain))
}

/// Appends `text` as a string.
pub(crate) fn write_string(out: &mut Vec<u8>, text: &str) {
    write(out, &text).unwrap_or_else(|_| out.extend_from_slice(b"null"));
}

/// Appends a finite `value`.
pub(crate) fn write_number(out: &mut Vec<u8>, value: f32) {
    write(out, &value).unwrap_or_else(|_| out.extend_from_slice(b"null"));
}

/// Times are written as RFC 3339 in UTC with milliseconds: `2026-11-22T06:03:28.112Z`.
pub(crate) mod time {
    use jiff::Timestamp;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<S: Serializer>(
        time: &Timestamp,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{time:.3}"))
    }

    /// A time as it is written.
    pub(crate) fn text(time: &Timestamp) -> String {
        format!("{time:.3}")
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Timestamp, D::Error> {
        std::borrow::Cow::<str>::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_string_stays_on_one_line_and_shows_what_it_holds() {
        for (text, written) in [
            ("plain", r#""plain""#),
            ("a\"b\\c\nd\r\t\0", r#""a\"b\\c\nd\r\t\u0000""#),
            ("é €😀", r#""é €😀""#),
            ("\u{7f}\u{85}\u{9b}31m", r#""\u007f\u0085\u009b31m""#),
            ("a\u{2028}b\u{2029}c", r#""a\u2028b\u2029c""#),
            ("\u{202e}txt\u{200b}", r#""\u202etxt\u200b""#),
            ("\u{e0041}x", r#""\udb40\udc41x""#),
        ] {
            let mut out = Vec::new();
            super::write(&mut out, &text).expect("a string is serialised");
            assert_eq!(std::str::from_utf8(&out), Ok(written));
            assert_eq!(serde_json::from_slice::<String>(&out).expect("it is JSON"), text);
        }
    }
}
