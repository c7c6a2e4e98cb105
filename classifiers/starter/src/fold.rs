//! From characters to symbols: case, accents, look-alikes and hidden characters folded away.
//!
//! A light version of normalisation, done while reading: what a reader sees as the same letter becomes
//! the same 16-bit symbol, so that `Ｉｇｎоrе` and `ignore` are one word.

/// The script of a letter, as far as features differ by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Script {
    /// Latin and other alphabets whose words are separated by spaces.
    Spaced,
    /// Devanagari: spaced too, but counted apart.
    Devanagari,
    /// Thai: words are not separated.
    Thai,
    /// Chinese, Japanese, Korean: words are short and not separated.
    Ideographic,
}

/// What one character is to the features.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Folded {
    /// A letter, with its folded symbol.
    Letter(u16, Script),
    /// A letter that only looks like the ASCII letter it is folded to.
    LookAlike(u16),
    /// A decimal digit, as its ASCII symbol.
    Digit(u16),
    /// Blank, but no line break.
    Space,
    /// A line break.
    Newline,
    /// Anything else visible, as a symbol.
    Mark(u16),
    /// Invisible; ignored and counted.
    Hidden,
    /// A hidden tag character that spells an ASCII character.
    Tag(u8),
    /// A combining accent; ignored.
    Accent,
}

const LATIN_1: &[u8; 64] = b"aaaaaaaceeeeiiiidnooooo*ouuuuypsaaaaaaaceeeeiiiidnooooo/ouuuuypy";
const LATIN_A: &[u8; 128] = b"aaaaaaccccccccddddeeeeeeeeeegggggggghhhhiiiiiiiiiiiijjkkkllllllllll\
nnnnnnnnnoooooooorrrrrrssssssssttttttuuuuuuuuuuuuwwyyyzzzzzzs";

/// Folds one character.
#[inline]
pub(crate) fn fold(c: char) -> Folded {
    match c {
        'a'..='z' => Folded::Letter(c as u16, Script::Spaced),
        'A'..='Z' => Folded::Letter(c as u16 | 0x20, Script::Spaced),
        '0'..='9' => Folded::Digit(c as u16),
        ' ' | '\t' => Folded::Space,
        '\n' | '\r' => Folded::Newline,
        '\0'..='\u{1f}' | '\u{7f}' => Folded::Hidden,
        '!'..='~' => Folded::Mark(c as u16),
        _ => fold_wide(c),
    }
}

fn fold_wide(c: char) -> Folded {
    let code = u32::from(c);
    match code {
        0xAD | 0x34F | 0x61C | 0x115F | 0x1160 | 0x17B4 | 0x17B5 | 0x180B..=0x180F => {
            Folded::Hidden
        }
        0x200B..=0x200F | 0x202A..=0x202E | 0x2060..=0x206F => Folded::Hidden,
        0x3164 | 0xFE00..=0xFE0F | 0xFEFF | 0xFFA0 | 0xE0100..=0xE01EF => Folded::Hidden,
        0xE0000..=0xE007F => tag(code),
        0x80..=0xBF => fold_latin_marks(code),
        0xC0..=0x17F => fold_latin(code),
        0x300..=0x36F | 0x1AB0..=0x1AFF | 0x1DC0..=0x1DFF | 0x20D0..=0x20FF => Folded::Accent,
        0x370..=0x52F => fold_look_alike(c, code),
        0x900..=0x963 | 0x970..=0x97F => Folded::Letter(low(code), Script::Devanagari),
        0x966..=0x96F => digit(code - 0x966),
        0x964 | 0x965 => Folded::Mark(u16::from(b'.')),
        0xE01..=0xE4E => Folded::Letter(low(code), Script::Thai),
        0xE50..=0xE59 => digit(code - 0xE50),
        0x2028 | 0x2029 => Folded::Newline,
        0x1680 | 0x2000..=0x200A | 0x202F | 0x205F | 0x3000 => Folded::Space,
        0x2010..=0x2015 => Folded::Mark(u16::from(b'-')),
        0x2018..=0x201B => Folded::Mark(u16::from(b'\'')),
        0x201C..=0x201F => Folded::Mark(u16::from(b'"')),
        0x3001 | 0x3002 => Folded::Mark(u16::from(b'.')),
        0x2460..=0x24FF => fold_circled(code),
        0x3040..=0x30FF | 0x3400..=0x9FFF | 0xAC00..=0xD7AF => {
            Folded::Letter(low(code), Script::Ideographic)
        }
        0xFF01..=0xFF5E => fold_fullwidth(code - 0xFEE0),
        0x1D400..=0x1D7FF => fold_mathematical(code - 0x1D400),
        0x1F130..=0x1F149 => Folded::LookAlike(low(code - 0x1F130) + 0x61),
        _ if c.is_alphabetic() => lower(c),
        _ if c.is_whitespace() => Folded::Space,
        _ => Folded::Mark(low(code)),
    }
}

/// The low 16 bits: symbols need not be unique beyond the basic plane.
fn low(code: u32) -> u16 {
    (code & 0xFFFF) as u16
}

fn digit(value: u32) -> Folded {
    Folded::Digit(low(value) + 0x30)
}

fn tag(code: u32) -> Folded {
    match u8::try_from(code - 0xE0000) {
        Ok(byte) if (0x20..0x7F).contains(&byte) => Folded::Tag(byte),
        _ => Folded::Hidden,
    }
}

fn lower(c: char) -> Folded {
    let code = c.to_lowercase().next().map_or(u32::from(c), u32::from);
    // Symbols 0 and 1 mean "nothing" and "edge of a word".
    Folded::Letter(low(code).max(2), Script::Spaced)
}

fn fold_latin_marks(code: u32) -> Folded {
    match code {
        0x85 => Folded::Newline,
        0xA0 => Folded::Space,
        0xAA | 0xBA | 0xB5 => Folded::Letter(low(code), Script::Spaced),
        0x80..=0x9F => Folded::Hidden,
        _ => Folded::Mark(low(code)),
    }
}

fn fold_latin(code: u32) -> Folded {
    let index = code as usize;
    let base = LATIN_1.get(index.wrapping_sub(0xC0)).or(LATIN_A.get(index.wrapping_sub(0x100)));
    match base {
        Some(&byte) if byte.is_ascii_lowercase() => Folded::Letter(u16::from(byte), Script::Spaced),
        _ => Folded::Mark(low(code)),
    }
}

/// Greek and Cyrillic letters that are drawn like Latin ones.
fn fold_look_alike(c: char, code: u32) -> Folded {
    let lowered = c.to_lowercase().next().unwrap_or(c);
    let latin = match lowered {
        'а' | 'α' => b'a',
        'в' | 'β' => b'b',
        'с' | 'ϲ' => b'c',
        'ԁ' => b'd',
        'е' | 'ε' | 'ё' => b'e',
        'һ' | 'н' => b'h',
        'і' | 'ι' | 'ї' => b'i',
        'ј' => b'j',
        'к' | 'κ' => b'k',
        'м' => b'm',
        'ո' | 'η' => b'n',
        'о' | 'ο' => b'o',
        'р' | 'ρ' => b'p',
        'ѕ' => b's',
        'т' | 'τ' => b't',
        'υ' => b'u',
        'ν' => b'v',
        'х' | 'χ' => b'x',
        'у' | 'γ' => b'y',
        _ if lowered.is_alphabetic() => {
            return Folded::Letter(low(u32::from(lowered)), Script::Spaced);
        }
        _ => return Folded::Mark(low(code)),
    };
    Folded::LookAlike(u16::from(latin))
}

fn fold_circled(code: u32) -> Folded {
    match code {
        0x249C..=0x24B5 => Folded::LookAlike(low(code - 0x249C) + 0x61),
        0x24B6..=0x24CF => Folded::LookAlike(low(code - 0x24B6) + 0x61),
        0x24D0..=0x24E9 => Folded::LookAlike(low(code - 0x24D0) + 0x61),
        0x2460..=0x2468 => digit(code - 0x2460 + 1),
        _ => Folded::Mark(low(code)),
    }
}

fn fold_fullwidth(ascii: u32) -> Folded {
    match u8::try_from(ascii) {
        Ok(byte) if byte.is_ascii_alphabetic() => {
            Folded::LookAlike(u16::from(byte.to_ascii_lowercase()))
        }
        Ok(byte) if byte.is_ascii_digit() => Folded::Digit(u16::from(byte)),
        _ => Folded::Mark(low(ascii)),
    }
}

fn fold_mathematical(offset: u32) -> Folded {
    match offset {
        0..=0x2A3 => Folded::LookAlike(low(offset % 52 % 26) + 0x61),
        0x3CE..=0x3FF => digit((offset - 0x3CE) % 10),
        _ => Folded::Mark(low(offset)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(text: &str) -> String {
        text.chars()
            .filter_map(|c| match fold(c) {
                Folded::Letter(s, _) | Folded::LookAlike(s) | Folded::Digit(s) => {
                    char::from_u32(u32::from(s))
                }
                Folded::Tag(byte) => Some(char::from(byte)),
                Folded::Hidden | Folded::Accent => None,
                Folded::Space | Folded::Newline => Some(' '),
                Folded::Mark(s) => char::from_u32(u32::from(s)),
            })
            .collect()
    }

    #[test]
    fn what_looks_alike_is_alike() {
        for disguised in [
            "IGNORE",
            "Ｉｇｎｏｒｅ",
            "іgnоrе",
            "𝐢𝐠𝐧𝐨𝐫𝐞",
            "ⓘⓖⓝⓞⓡⓔ",
            "ig\u{200b}no\u{ad}re",
            "i\u{301}gnore",
            "ígñörê",
            "\u{e0069}\u{e0067}\u{e006e}\u{e006f}\u{e0072}\u{e0065}",
        ] {
            assert_eq!(folded(disguised), "ignore", "{disguised}");
        }
    }

    #[test]
    fn thai_and_hindi_keep_their_letters() {
        assert_eq!(folded("ที่ดี"), "ที่ดี");
        assert_eq!(folded("हिन्दी।"), "हिन्दी.");
        assert_eq!(folded("Straße Ærø Ñandú"), "strase aro nandu");
    }
}
