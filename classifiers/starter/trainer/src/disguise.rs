//! Ways to write a text that a model reads and a word list does not.

#![expect(clippy::indexing_slicing, reason = "random places below the length of constant lists")]

use crate::random::Random;

/// `text` in one of several encodings.
pub(crate) fn encoded(text: &str, random: &mut Random) -> String {
    match random.below(9) {
        0 | 1 => base64(text.as_bytes()),
        2 => rot13(text),
        3 | 4 => leet(text, random),
        5 => percent(text),
        6 => text.chars().filter(|c| !"aeiouAEIOU".contains(*c)).collect(),
        7 => spaced(text),
        _ => text.bytes().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(" "),
    }
}

/// What optimised suffixes are made of.
const TOKENS: [&str; 40] = [
    "describing",
    ".\\",
    "similarlyNow",
    "write",
    "oppositeley",
    ".](",
    "Me",
    "giving",
    "**ONE",
    "please",
    "?",
    "revert",
    "\\!--Two",
    "==",
    "interface",
    "Manuel",
    "WITH",
    "{{",
    "}};",
    "||",
    "!!",
    "sentences",
    ":)ish",
    "<?",
    "INST",
    "tutorial",
    "//",
    "Bonus",
    "mkdir",
    "Sure",
    "${",
    "lyrics",
    "^^",
    "[/",
    "verbatim",
    "_",
    "~~",
    "steps",
    "\")",
    "Begin",
];

/// `text` followed by tokens that make no sense, as optimisers find them.
pub(crate) fn with_suffix(text: &str, random: &mut Random) -> String {
    let mut out = text.to_owned();
    for _ in 0..12 + random.below(14) {
        if random.below(3) > 0 {
            out.push(' ');
        }
        if random.below(4) == 0 {
            out.push_str(&nonsense(random));
        } else {
            out.push_str(TOKENS[random.below(TOKENS.len())]);
        }
    }
    out
}

fn nonsense(random: &mut Random) -> String {
    let letters = b"etaoinshrdlcumwfgypbvkjxqzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    (0..3 + random.below(6)).map(|_| char::from(letters[random.below(letters.len())])).collect()
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let at = |i: usize| u32::from(chunk.get(i).copied().unwrap_or(0));
        let word = at(0) << 16 | at(1) << 8 | at(2);
        for digit in 0..4 {
            if digit <= chunk.len() {
                out.push(char::from(DIGITS[(word >> (18 - 6 * digit) & 63) as usize]));
            } else {
                out.push('=');
            }
        }
    }
    out
}

fn rot13(text: &str) -> String {
    let turn = |c: char, first: u8| char::from((c as u8 - first + 13) % 26 + first);
    text.chars()
        .map(|c| match c {
            'a'..='z' => turn(c, b'a'),
            'A'..='Z' => turn(c, b'A'),
            _ => c,
        })
        .collect()
}

fn leet(text: &str, random: &mut Random) -> String {
    text.chars()
        .map(|c| match (c.to_ascii_lowercase(), random.below(8)) {
            (_, 0) => c,
            ('a', 1..=4) => '@',
            ('a', _) => '4',
            ('e', _) => '3',
            ('i', 1..=4) => '!',
            ('i', _) => '1',
            ('o', _) => '0',
            ('s', 1..=5) => '$',
            ('s', _) => '5',
            ('t', _) => '7',
            _ => c,
        })
        .collect()
}

fn percent(text: &str) -> String {
    text.bytes()
        .map(|b| {
            if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") }
        })
        .collect()
}

fn spaced(text: &str) -> String {
    text.chars().flat_map(|c| [c, ' ']).collect()
}
