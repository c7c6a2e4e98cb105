//! Ways to write a text that can be undone.

#![allow(dead_code, reason = "each user of this file needs some of it")]
#![allow(clippy::indexing_slicing, clippy::string_slice, clippy::unwrap_used, reason = "test data")]

use data_encoding::{BASE32, BASE64, BASE64URL_NOPAD, HEXLOWER};

/// A name, and what it makes of a text.
pub(crate) type Disguise = (&'static str, fn(&str) -> String);

/// Those that keep every character of any text.
pub(crate) const FAITHFUL: [Disguise; 36] = [
    ("zero width", |t| between(t, "\u{200b}")),
    ("soft hyphens", |t| between(t, "\u{ad}")),
    ("joiners", |t| between(t, "\u{200d}")),
    ("non-joiners", |t| between(t, "\u{200c}")),
    ("word joiners", |t| between(t, "\u{2060}")),
    ("byte order marks", |t| between(t, "\u{feff}")),
    ("invisible times", |t| between(t, "\u{2062}")),
    ("Hangul fillers", |t| between(t, "\u{3164}")),
    ("variation selectors", |t| between(t, "\u{fe0f}")),
    ("tags between", |t| between(t, "\u{e0041}")),
    ("controls", |t| between(t, "\u{1}")),
    ("tags", |t| t.chars().filter_map(|c| char::from_u32(0xE0000 + u32::from(c))).collect()),
    ("tags after a greeting", |t| {
        let tags = t.chars().filter_map(|c| char::from_u32(0xE0000 + u32::from(c)));
        format!("Hello there! {}", tags.collect::<String>())
    }),
    ("selectors as bytes", |t| {
        let selector = |b: u8| match u32::from(b) {
            b @ 0..16 => char::from_u32(0xFE00 + b),
            b => char::from_u32(0xE0100 + b - 16),
        };
        format!("\u{1f600}{}", t.bytes().filter_map(selector).collect::<String>())
    }),
    ("sneaky bits", |t| bits(t, '\u{2062}', '\u{2064}')),
    ("zero width bits", |t| format!("hi{}", bits(t, '\u{200b}', '\u{200c}'))),
    ("backspaces", |t| t.chars().map(|c| format!("x\u{8}{c}")).collect()),
    ("deletions", |t| t.chars().map(|c| format!("{c}q\u{7f}")).collect()),
    ("right to left", |t| format!("\u{202e}{}\u{202c}", t.chars().rev().collect::<String>())),
    ("swaps", |t| {
        let chars: Vec<char> = t.chars().collect();
        let swap = |pair: &[char]| match pair {
            [a, b] if a.is_alphabetic() && b.is_alphabetic() => {
                format!(
                    "\u{202d}\u{2066}\u{202e}\u{2066}{b}\u{2069}\u{2066}{a}\u{2069}\u{202c}\u{2069}\u{202c}"
                )
            }
            other => other.iter().collect(),
        };
        chars.chunks(2).map(swap).collect()
    }),
    ("base64", |t| BASE64.encode(t.as_bytes())),
    ("base64 for addresses", |t| BASE64URL_NOPAD.encode(t.as_bytes())),
    ("base64 in lines", |t| {
        let lines = BASE64.encode(t.as_bytes());
        let lines = lines.as_bytes().chunks(60).map(String::from_utf8_lossy);
        lines.collect::<Vec<_>>().join("\n")
    }),
    ("base64 twice", |t| BASE64.encode(BASE64.encode(t.as_bytes()).as_bytes())),
    ("base32", |t| BASE32.encode(t.as_bytes())),
    ("base58", |t| bs58::encode(t).into_string()),
    ("base85 of Adobe", |t| base85(t, |d| b'!' + d)),
    ("base85 of Git", |t| {
        base85(t, |d| {
            b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~"
                [usize::from(d)]
        })
    }),
    ("hexadecimal", |t| HEXLOWER.encode(t.as_bytes())),
    ("hexadecimal bytes", |t| listed(t, |b| format!("{b:02X}"))),
    ("binary", |t| listed(t, |b| format!("{b:08b}"))),
    ("octal", |t| listed(t, |b| format!("{b:03o}"))),
    ("decimal", |t| listed(t, |b| format!("{b},"))),
    ("code points", |t| {
        t.chars().map(|c| format!("U+{:04X}", u32::from(c))).collect::<Vec<_>>().join(" ")
    }),
    ("uuencode", uuencode),
    ("mail header", |t| format!("=?utf-8?B?{}?=", BASE64.encode(t.as_bytes()))),
];

/// Those that keep every ASCII text.
pub(crate) const ASCII: [Disguise; 27] = [
    ("percent", |t| each_byte(t, |b| format!("%{b:02X}"))),
    ("form", |t| {
        let form = |b: u8| match b {
            b' ' => "+".to_owned(),
            b if b.is_ascii_alphanumeric() => char::from(b).to_string(),
            b => format!("%{b:02X}"),
        };
        each_byte(t, form)
    }),
    ("HTML decimal", |t| t.chars().map(|c| format!("&#{};", u32::from(c))).collect()),
    ("HTML hexadecimal", |t| t.chars().map(|c| format!("&#x{:X};", u32::from(c))).collect()),
    ("HTML without semicolons", |t| t.chars().map(|c| format!("&#{:07}", u32::from(c))).collect()),
    ("backslash u", |t| t.encode_utf16().map(|u| format!("\\u{u:04x}")).collect()),
    ("backslash u braces", |t| t.chars().map(|c| format!("\\u{{{:x}}}", u32::from(c))).collect()),
    ("backslash U", |t| t.chars().map(|c| format!("\\U{:08x}", u32::from(c))).collect()),
    ("backslash x", |t| each_byte(t, |b| format!("\\x{b:02x}"))),
    ("backslash octal", |t| each_byte(t, |b| format!("\\{b:03o}"))),
    ("quoted-printable", |t| each_byte(t, |b| format!("={b:02X}"))),
    ("full width", |t| graphic(t, 0xFEE0)),
    ("bold", |t| letters(t, 0x1D400, 0x1D41A)),
    ("script", |t| letters(t, 0x1D4D0, 0x1D4EA)),
    ("typewriter", |t| letters(t, 0x1D670, 0x1D68A)),
    ("circled", |t| letters(t, 0x24B6, 0x24D0)),
    ("stroked", |t| t.chars().flat_map(|c| [c, '\u{336}']).collect()),
    ("zalgo", |t| {
        t.chars().flat_map(|c| [c, '\u{301}', '\u{317}', '\u{33f}', '\u{489}']).collect()
    }),
    ("Cyrillic and Greek", |t| {
        mapped(t, "aceijopsxyABCEHIKMOPSTXYNZ", "асеіјорѕхуАВСЕНІКМОРЅТХУΝΖ")
    }),
    ("letter spacing", |t| between(t, " ")),
    ("dots", |t| between(t, ".")),
    ("dashes", |t| between(t, "-")),
    ("underscores", |t| between(t, "_")),
    ("a letter a line", |t| between(t, "\n")),
    ("letter spacing, wide words", |t| spaced_words(t, " ", "  ")),
    ("dashes in words", |t| spaced_words(t, "*", " ")),
    ("backwards", |t| t.chars().rev().collect()),
];

/// Those that keep the letters.
pub(crate) const LETTERS: [Disguise; 8] = [
    ("ROT13", |t| shifted(t, 13)),
    ("Caesar 3", |t| shifted(t, 3)),
    ("Caesar 20", |t| shifted(t, 20)),
    ("atbash", |t| t.chars().map(|c| turned(c, |l| 25 - l)).collect()),
    ("words backwards", |t| {
        let word = |w: &str| w.chars().rev().collect::<String>();
        t.split_inclusive(|c: char| !c.is_alphanumeric())
            .map(|piece| {
                let letters = piece.trim_end_matches(|c: char| !c.is_alphanumeric());
                word(letters) + &piece[letters.len()..]
            })
            .collect()
    }),
    ("leet", |t| mapped(t, "aeiost", "431057")),
    ("leet marks", |t| mapped(t, "aeiost", "@3!0$7")),
    ("leet with l", |t| mapped(t, "aelos", "43105")),
];

/// Those that keep small letters and spaces alone.
pub(crate) const PLAINEST: [Disguise; 6] = [
    ("morse", |t| {
        let codes = [
            ".-", "-...", "-.-.", "-..", ".", "..-.", "--.", "....", "..", ".---", "-.-", ".-..",
            "--", "-.", "---", ".--.", "--.-", ".-.", "...", "-", "..-", "...-", ".--", "-..-",
            "-.--", "--..",
        ];
        by_letter(t, |letter| codes[letter].to_owned(), " ", " / ")
    }),
    ("Braille", |t| {
        let cells: Vec<char> = "⠁⠃⠉⠙⠑⠋⠛⠓⠊⠚⠅⠇⠍⠝⠕⠏⠟⠗⠎⠞⠥⠧⠺⠭⠽⠵".chars().collect();
        by_letter(t, |letter| cells[letter].to_string(), "", " ")
    }),
    ("spelling alphabet", |t| {
        let words = "Alpha Bravo Charlie Delta Echo Foxtrot Golf Hotel India Juliett Kilo Lima Mike November Oscar \
                     Papa Quebec Romeo Sierra Tango Uniform Victor Whiskey X-ray Yankee Zulu";
        let words: Vec<&str> = words.split_whitespace().collect();
        by_letter(t, |letter| words[letter].to_owned(), " ", " / ")
    }),
    ("capitals", |t| {
        let random = |(i, c): (usize, char)| if i % 2 == 0 { c.to_ascii_uppercase() } else { c };
        t.chars().enumerate().map(random).collect()
    }),
    ("upside down", |t| {
        let letters = "ɐqɔpǝɟƃɥᴉɾʞlɯuodbɹsʇnʌʍxʎz";
        let flipped = mapped(t, "abcdefghijklmnopqrstuvwxyz", letters);
        flipped.chars().rev().collect()
    }),
    ("small capitals", |t| mapped(t, "abcdefghijklmnoprtuvwyz", "ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘʀᴛᴜᴠᴡʏᴢ")),
];

fn between(text: &str, separator: &str) -> String {
    let chars: Vec<String> = text.chars().map(String::from).collect();
    chars.join(separator)
}

fn spaced_words(text: &str, letter: &str, word: &str) -> String {
    text.split(' ').map(|w| between(w, letter)).collect::<Vec<_>>().join(word)
}

fn each_byte(text: &str, write: impl Fn(u8) -> String) -> String {
    text.bytes().map(write).collect()
}

fn listed(text: &str, write: impl Fn(u8) -> String) -> String {
    text.bytes().map(write).collect::<Vec<_>>().join(" ").trim_end_matches(',').to_owned()
}

fn bits(text: &str, zero: char, one: char) -> String {
    let bit = |byte: u8| (0..8).rev().map(move |place| byte >> place & 1);
    text.bytes().flat_map(bit).map(|bit| if bit == 0 { zero } else { one }).collect()
}

fn mapped(text: &str, from: &str, to: &str) -> String {
    let map: Vec<(char, char)> = from.chars().zip(to.chars()).collect();
    text.chars().map(|c| map.iter().find(|(from, _)| *from == c).map_or(c, |(_, to)| *to)).collect()
}

fn graphic(text: &str, offset: u32) -> String {
    text.chars().map(|c| if c.is_ascii_graphic() { moved(c, offset) } else { c }).collect()
}

fn moved(c: char, offset: u32) -> char {
    char::from_u32(u32::from(c) + offset).unwrap()
}

fn letters(text: &str, upper: u32, lower: u32) -> String {
    text.chars()
        .map(|c| match c {
            'A'..='Z' => moved(c, upper - 65),
            'a'..='z' => moved(c, lower - 97),
            c => c,
        })
        .collect()
}

fn turned(c: char, turn: impl Fn(u8) -> u8) -> char {
    let first = if c.is_ascii_lowercase() { b'a' } else { b'A' };
    if c.is_ascii_alphabetic() { char::from(first + turn(c as u8 - first)) } else { c }
}

fn shifted(text: &str, by: u8) -> String {
    text.chars().map(|c| turned(c, |letter| (letter + by) % 26)).collect()
}

fn by_letter(text: &str, write: impl Fn(usize) -> String, letter: &str, word: &str) -> String {
    let spell =
        |w: &str| w.bytes().map(|b| write(usize::from(b - b'a'))).collect::<Vec<_>>().join(letter);
    text.split(' ').map(spell).collect::<Vec<_>>().join(word)
}

fn base85(text: &str, digit: impl Fn(u8) -> u8) -> String {
    let mut out = String::new();
    for group in text.as_bytes().chunks(4) {
        let mut padded = [0; 4];
        padded[..group.len()].copy_from_slice(group);
        let mut value = u32::from_be_bytes(padded);
        let mut digits = [0; 5];
        for place in digits.iter_mut().rev() {
            *place = (value % 85) as u8;
            value /= 85;
        }
        out.extend(digits[..=group.len()].iter().map(|d| char::from(digit(*d))));
    }
    out
}

fn uuencode(text: &str) -> String {
    let mut out = String::from("begin 644 note.txt\n");
    for line in text.as_bytes().chunks(45) {
        out.push(char::from(b' ' + line.len() as u8));
        for group in line.chunks(3) {
            let byte = |place| u32::from(group.get(place).copied().unwrap_or(0));
            let word = byte(0) << 16 | byte(1) << 8 | byte(2);
            for place in 0..4 {
                let six = (word >> (18 - 6 * place) & 63) as u8;
                out.push(if six == 0 { '`' } else { char::from(b' ' + six) });
            }
        }
        out.push('\n');
    }
    out + "`\nend\n"
}
