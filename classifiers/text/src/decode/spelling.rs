//! Letters spelled in Morse code, in Braille, or by the words of the spelling alphabet.

use std::ops::Range;

use crate::mapped::Mapped;
use crate::words::{Reading, readings};

const MORSE: [(&str, char); 36] = [
    (".-", 'a'),
    ("-...", 'b'),
    ("-.-.", 'c'),
    ("-..", 'd'),
    (".", 'e'),
    ("..-.", 'f'),
    ("--.", 'g'),
    ("....", 'h'),
    ("..", 'i'),
    (".---", 'j'),
    ("-.-", 'k'),
    (".-..", 'l'),
    ("--", 'm'),
    ("-.", 'n'),
    ("---", 'o'),
    (".--.", 'p'),
    ("--.-", 'q'),
    (".-.", 'r'),
    ("...", 's'),
    ("-", 't'),
    ("..-", 'u'),
    ("...-", 'v'),
    (".--", 'w'),
    ("-..-", 'x'),
    ("-.--", 'y'),
    ("--..", 'z'),
    ("-----", '0'),
    (".----", '1'),
    ("..---", '2'),
    ("...--", '3'),
    ("....-", '4'),
    (".....", '5'),
    ("-....", '6'),
    ("--...", '7'),
    ("---..", '8'),
    ("----.", '9'),
];

/// The Braille letters `a` to `z` as dots of a cell.
const BRAILLE: &str = "⠁⠃⠉⠙⠑⠋⠛⠓⠊⠚⠅⠇⠍⠝⠕⠏⠟⠗⠎⠞⠥⠧⠺⠭⠽⠵";
/// Fewer letters than this are an ellipsis, a bullet or a list of airlines.
const FEWEST: usize = 4;

/// With whatever is spelled letter by letter written as text.
pub(crate) fn spelling(text: &str) -> Option<Mapped> {
    let mut out = Mapped::like(text);
    let mut row = Vec::new();
    let mut copied = 0;
    let mut start = 0;
    for piece in text.split_inclusive([' ', '\n', '\t']) {
        let word = piece.trim_end();
        let place = start..start + word.len();
        let gap = start + word.len()..start + piece.len();
        start = gap.end;
        match letters(word) {
            Some(letters) => row.push(Spelled { letters, place, gap }),
            None if word.is_empty() && !row.is_empty() => {
                row.push(Spelled { letters: String::new(), place, gap });
            }
            None => write(text, std::mem::take(&mut row), &mut copied, &mut out),
        }
    }
    write(text, row, &mut copied, &mut out);
    out.copy(text, copied..text.len());
    Some(out)
}

/// A word that stands for letters, and the white space after it.
struct Spelled {
    letters: String,
    place: Range<usize>,
    gap: Range<usize>,
}

fn letters(word: &str) -> Option<String> {
    if matches!(word, "/" | "|") {
        return Some(" ".to_owned());
    }
    let morse = MORSE.iter().find(|(code, _)| *code == word).map(|(_, letter)| letter.to_string());
    morse.or_else(|| braille(word)).or_else(|| phonetic(word))
}

fn braille(word: &str) -> Option<String> {
    let letter = |c: char| match c {
        '\u{2800}' => Some(' '),
        c => {
            let place = BRAILLE.chars().position(|cell| cell == c)?;
            char::from_u32(u32::from('a') + u32::try_from(place).ok()?)
        }
    };
    (!word.is_empty()).then(|| word.chars().map(letter).collect()).flatten()
}

fn phonetic(word: &str) -> Option<String> {
    let letters: Vec<u8> = word.bytes().filter(u8::is_ascii_alphabetic).collect();
    let plain = word.trim_end_matches([',', '.']);
    let known = plain.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'-')
        && readings(&letters).any(|reading| reading == Reading::Spelling);
    let first = word.chars().next().filter(|_| known)?;
    Some(first.to_ascii_lowercase().to_string())
}

fn write(text: &str, row: Vec<Spelled>, copied: &mut usize, out: &mut Mapped) {
    let spelled: usize = row.iter().map(|spelled| spelled.letters.trim().chars().count()).sum();
    let (Some(first), Some(last)) = (row.first(), row.last()) else { return };
    if spelled < FEWEST {
        return;
    }
    out.copy(text, *copied..first.place.start);
    let end = last.gap.end;
    let in_braille = |word: &Spelled| word.letters.len() > 1;
    let whole = row.iter().any(in_braille);
    for word in &row {
        out.put(&word.letters, word.place.clone());
        // Words in Braille are parted as in print, other letters by a longer gap.
        if whole || word.letters.is_empty() || text.get(word.gap.clone()) == Some("\n") {
            out.copy(text, word.gap.clone());
        } else {
            out.skip();
        }
    }
    *copied = end;
}
