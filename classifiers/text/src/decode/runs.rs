//! Words that are base64, base32, base58, base85, hexadecimal or binary; uuencoded lines.

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
    let mut start = 0;
    let mut copied = 0;
    while let Some(rest) = text.get(start..).filter(|rest| !rest.is_empty()) {
        let word = rest.split(char::is_whitespace).next().unwrap_or_default();
        if let Some((plain, range)) = wrapped(rest).or_else(|| decode(word)) {
            let place = start + range.start..start + range.end;
            out.copy(text, copied..place.start);
            out.put(&plain, place.clone());
            copied = place.end;
            start = copied;
        } else {
            start += word.len();
            start += text.get(start..).and_then(|s| s.chars().next()).map_or(1, char::len_utf8);
        }
    }
    out.copy(text, copied..text.len());
    Some(out)
}

type Found = Option<(String, std::ops::Range<usize>)>;

/// Lines of equal length, the last one shorter, that are one long piece of base64.
fn wrapped(text: &str) -> Found {
    let mut joined = String::new();
    let mut len = 0;
    let mut width = None;
    for line in text.split_inclusive('\n') {
        let digits = line.trim_end();
        let is_base64 = digits.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/-_=".contains(&b));
        let width = *width.get_or_insert(digits.len());
        if !is_base64 || digits.is_empty() || digits.len() > width || width < 40 {
            break;
        }
        joined.push_str(digits);
        len += line.len();
        if digits.len() < width {
            break;
        }
    }
    let end = text.get(..len)?.trim_end().len();
    if joined.len() <= width? {
        return None;
    }
    Some((base64(&joined)?, 0..end))
}

/// A word, or its longest part without punctuation around it, decoded.
fn decode(word: &str) -> Found {
    if word.len() < SHORTEST {
        return None;
    }
    let whole = |decoder: fn(&str) -> Option<String>| Some((decoder(word)?, 0..word.len()));
    let parts = [
        |c: char| !c.is_ascii_alphanumeric() && !"+/-_=".contains(c),
        |c: char| !c.is_ascii_alphanumeric() && !"=".contains(c),
    ];
    parts
        .into_iter()
        .find_map(|delimiter| {
            word.split(delimiter).filter(|part| part.len() >= SHORTEST).find_map(|part| {
                let start = part.as_ptr() as usize - word.as_ptr() as usize;
                let decoders = [binary, hex, base32, base64, base58];
                let plain = decoders.into_iter().find_map(|decoder| decoder(part))?;
                Some((plain, start..start + part.len()))
            })
        })
        .or_else(|| whole(ascii85))
        .or_else(|| whole(base85))
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
    let mut place: Option<std::ops::Range<usize>> = None;
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
