//! Words that are base64, base32, base58, base85, hexadecimal or binary; uuencoded lines.

use std::ops::Range;
use std::sync::LazyLock;

use data_encoding::{BASE32_NOPAD, Encoding, HEXLOWER_PERMISSIVE, Specification};

use super::readable;
use crate::mapped::Mapped;

/// A shorter word says too little, and could be anything.
const SHORTEST: usize = 10;
/// Base58 costs the square of its length.
const LONGEST_BASE58: usize = 600;

/// Base64 without padding, whatever its last bits are.
static BASE64: LazyLock<Option<Encoding>> = LazyLock::new(|| {
    let mut base64 = Specification::new();
    base64.symbols.push_str("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");
    base64.check_trailing_bits = false;
    base64.translate.from.push_str("-_");
    base64.translate.to.push_str("+/");
    base64.encoding().ok()
});

/// With encoded words decoded where they stand.
pub(crate) fn encoded(text: &str) -> Option<Mapped> {
    let mut out = Mapped::like(text);
    let (mut start, mut copied) = (0, 0);
    // Lines that were tried together are not tried again from each of them on.
    let mut tried = 0;
    while let Some(rest) = text.get(start..).filter(|rest| !rest.is_empty()) {
        let word = rest.split(char::is_whitespace).next().unwrap_or_default();
        let mut end = start + word.len();
        let mut found = Vec::new();
        if start >= tried && word.len() >= NARROWEST {
            let (lines, plain) = wrapped(rest);
            tried = start + lines;
            if let Some(plain) = plain {
                end = start + lines;
                found.push((plain, 0..lines));
            }
        }
        if found.is_empty() {
            found = decode(word);
        }
        for (plain, range) in found {
            let place = start + range.start..start + range.end;
            out.copy(text, copied..place.start);
            out.put(&plain, place.clone());
            copied = place.end;
        }
        start = end + text.get(end..).and_then(|s| s.chars().next()).map_or(1, char::len_utf8);
    }
    out.copy(text, copied..text.len());
    Some(out)
}

/// Lines of encoded text are no narrower.
const NARROWEST: usize = 40;

/// Lines of equal length, the last one shorter, that are one long piece of base64: how long they are together, and
/// what they say if there are several.
fn wrapped(text: &str) -> (usize, Option<String>) {
    let mut joined = String::new();
    let (mut len, mut width) = (0, 0);
    for line in text.split_inclusive('\n') {
        let digits = line.trim_end();
        let is_base64 = digits.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/-_=".contains(&b));
        width = if width == 0 { digits.len() } else { width };
        if !is_base64 || digits.is_empty() || digits.len() > width {
            break;
        }
        joined.push_str(digits);
        len += line.len();
        if digits.len() < width {
            break;
        }
    }
    let end = text.get(..len).unwrap_or_default().trim_end().len();
    (end, if joined.len() > width { base64(&joined) } else { None })
}

/// What the parts of a word between punctuation say, or else the word as a whole, each with its place in the word.
fn decode(word: &str) -> Vec<(String, Range<usize>)> {
    if word.len() < SHORTEST {
        return Vec::new();
    }
    let mut found = Vec::new();
    for part in parts(word, 0..word.len(), "+/-_=") {
        match word.get(part.clone()).and_then(decode_part) {
            Some(plain) => found.push((plain, part)),
            // What stands between slashes may be an address with something encoded in it.
            None => found
                .extend(parts(word, part, "=").filter_map(|part| {
                    Some((word.get(part.clone()).and_then(decode_part)?, part))
                })),
        }
    }
    if found.is_empty() {
        let whole = ascii85(word).or_else(|| base85(word));
        found.extend(whole.map(|plain| (plain, 0..word.len())));
    }
    found
}

/// The parts of `word[within]` that are letters, digits and `also`, and long enough.
fn parts<'w>(
    word: &'w str,
    within: Range<usize>,
    also: &'w str,
) -> impl Iterator<Item = Range<usize>> + use<'w> {
    let mut start = within.start;
    let inner = word.get(within).unwrap_or_default();
    let ends = move |c: char| !c.is_ascii_alphanumeric() && !also.contains(c);
    inner.split_inclusive(ends).filter_map(move |piece| {
        let part = start..start + piece.trim_end_matches(ends).len();
        start += piece.len();
        (part.len() >= SHORTEST).then_some(part)
    })
}

fn decode_part(part: &str) -> Option<String> {
    [binary, hex, base32, base64, base58].into_iter().find_map(|decoder| decoder(part))
}

fn binary(word: &str) -> Option<String> {
    if word.len() < 32 || !word.len().is_multiple_of(8) {
        return None;
    }
    let byte = |digits: &[u8]| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 2).ok();
    readable(word.as_bytes().chunks_exact(8).map(byte).collect::<Option<_>>()?)
}

fn hex(word: &str) -> Option<String> {
    let word = word.strip_prefix("0x").unwrap_or(word);
    readable(HEXLOWER_PERMISSIVE.decode(word.as_bytes()).ok()?)
}

fn base32(word: &str) -> Option<String> {
    let word = word.trim_end_matches('=').to_ascii_uppercase();
    readable(BASE32_NOPAD.decode(word.as_bytes()).ok()?)
}

fn base64(word: &str) -> Option<String> {
    let word = word.trim_end_matches('=');
    readable(BASE64.as_ref()?.decode(word.as_bytes()).ok()?)
}

fn base58(word: &str) -> Option<String> {
    if word.len() > LONGEST_BASE58 {
        return None;
    }
    readable(bs58::decode(word).into_vec().ok()?)
}

/// Adobe's alphabet, with `z` for four zeros and between `<~` and `~>` or not.
fn ascii85(word: &str) -> Option<String> {
    let word = word.strip_prefix("<~").unwrap_or(word);
    let word = word.strip_suffix("~>").unwrap_or(word);
    groups_of_five(word, |byte| byte.checked_sub(b'!').filter(|value| *value < 85))
}

/// The alphabet of Git and Python.
fn base85(word: &str) -> Option<String> {
    const DIGITS: &[u8] =
        b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~";
    groups_of_five(word, |byte| {
        DIGITS.iter().position(|digit| *digit == byte).and_then(|value| u8::try_from(value).ok())
    })
}

fn groups_of_five(word: &str, digit: impl Fn(u8) -> Option<u8>) -> Option<String> {
    if word.len() < SHORTEST {
        return None;
    }
    let digits: Vec<u8> = word.bytes().map(digit).collect::<Option<_>>()?;
    let mut bytes = Vec::with_capacity(digits.len());
    for group in digits.chunks(5) {
        let mut padded = group.iter().copied().chain(std::iter::repeat(84)).take(5);
        let value = padded
            .try_fold(0u32, |value, digit| value.checked_mul(85)?.checked_add(u32::from(digit)))?;
        bytes.extend(value.to_be_bytes().into_iter().take(group.len() - 1));
    }
    readable(bytes)
}

/// What uuencoded lines say, without the rest.
pub(crate) fn uuencoded(text: &str) -> Option<Mapped> {
    let mut bytes = Vec::new();
    let mut place: Option<Range<usize>> = None;
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let at = start..start + line.len();
        start = at.end;
        match uuencoded_line(line.trim_end_matches(['\n', '\r'])) {
            Some(decoded) => {
                bytes.extend(decoded);
                place = Some(place.map_or(at.clone(), |place| place.start..at.end));
            }
            None if bytes.is_empty() || line.trim() == "end" => {}
            None => break,
        }
    }
    let mut out = Mapped::default();
    out.put(&readable(bytes)?, place?);
    Some(out)
}

fn uuencoded_line(line: &str) -> Option<Vec<u8>> {
    let value = |byte: u8| byte.checked_sub(b' ').filter(|value| *value <= 64).map(|v| v & 63);
    let (length, digits) = line.as_bytes().split_first()?;
    let length = usize::from(value(*length)?);
    let wanted = length.div_ceil(3) * 4;
    if length == 0 || digits.len() > wanted || digits.len() + 3 < wanted {
        return None;
    }
    let mut bytes = Vec::with_capacity(length);
    for group in digits.chunks(4) {
        let padded = group.iter().copied().chain(std::iter::repeat(b' ')).take(4);
        let word =
            padded.map(value).try_fold(0u32, |word, six| Some(word << 6 | u32::from(six?)))?;
        let [_, quads @ ..] = word.to_be_bytes();
        bytes.extend(quads);
    }
    bytes.truncate(length);
    Some(bytes)
}
