//! Escape sequences: percent, HTML, backslash, quoted-printable, and encoded words of mail headers.

use data_encoding::BASE64;

use crate::mapped::Mapped;

/// Whether an escape sequence begins at `at`: a generous look.
pub(crate) fn escape_at(word: &[u8], at: usize) -> bool {
    let rest = word.get(at..).unwrap_or_default();
    match rest {
        [b'%' | b'=', a, b, ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => true,
        [b'=', b'?', ..] => true,
        [b'&', b'#', ..] => true,
        [b'&', a, ..] if a.is_ascii_alphabetic() => rest.iter().take(33).any(|b| *b == b';'),
        [b'\\', b'x' | b'u' | b'U' | b'0'..=b'7', ..] => true,
        _ => false,
    }
}

/// With all escape sequences resolved where they stand.
pub(crate) fn escapes(text: &str) -> Option<Mapped> {
    let mut out = Mapped::like(text);
    let quoted_printable = is_quoted_printable(text);
    let (mut form, mut word_end) = (false, 0);
    let mut plain_from = 0;
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        if at >= word_end {
            let word = rest.split(char::is_whitespace).next().unwrap_or_default();
            (form, word_end) = (is_form(word), at + word.len() + 1);
        }
        let found = match rest.as_bytes().first() {
            Some(b'%') => bytes(rest, |rest| hex_after(rest, "%")),
            Some(b'&') => entity(rest),
            Some(b'\\') => backslash(rest),
            Some(b'=') if rest.starts_with("=?") => encoded_word(rest),
            Some(b'=') if quoted_printable => {
                soft_break(rest).or_else(|| bytes(rest, |rest| hex_after(rest, "=")))
            }
            Some(b'+') if form => Some((" ".to_owned(), 1)),
            _ => None,
        };
        let step = rest.chars().next().map_or(1, char::len_utf8);
        if let Some((plain, len)) = found {
            out.copy(text, plain_from..at);
            out.put(&plain, at..at + len);
            at += len;
            plain_from = at;
        } else {
            at += step;
        }
    }
    out.copy(text, plain_from..text.len());
    Some(out)
}

/// What an escape sequence stands for, and how long it is.
type Found = Option<(String, usize)>;

/// Escaped bytes in a row, as text: those that are no UTF-8 are taken as Latin-1.
fn bytes(text: &str, one: fn(&str) -> Option<(u8, usize)>) -> Found {
    let mut bytes = Vec::new();
    let mut len = 0;
    while let Some((byte, used)) = text.get(len..).and_then(one) {
        bytes.push(byte);
        len += used;
    }
    if bytes.is_empty() {
        return None;
    }
    let plain = String::from_utf8(bytes)
        .unwrap_or_else(|error| error.into_bytes().into_iter().map(char::from).collect());
    Some((plain, len))
}

fn hex_after(text: &str, prefix: &str) -> Option<(u8, usize)> {
    let digits = text.strip_prefix(prefix)?.get(..2)?;
    let byte = u8::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with('+'))?;
    Some((byte, prefix.len() + 2))
}

fn octal(text: &str) -> Option<(u8, usize)> {
    let digits = text.strip_prefix('\\')?.get(..3)?;
    let all = digits.bytes().all(|digit| matches!(digit, b'0'..=b'7'));
    Some((u8::from_str_radix(digits, 8).ok().filter(|_| all)?, 4))
}

fn entity(text: &str) -> Found {
    let end = text.bytes().take(34).position(|byte| byte == b';');
    let named = |entity: &str| {
        let plain = html_escape::decode_html_entities(entity);
        (plain != entity).then(|| (plain.into_owned(), entity.len()))
    };
    if let Some(found) = end.and_then(|end| text.get(..=end)).and_then(named) {
        return Some(found);
    }
    // Browsers take numbers without the semicolon.
    let number = text.strip_prefix("&#")?;
    let (radix, digits) = match number.strip_prefix(['x', 'X']) {
        Some(digits) => (16, digits),
        None => (10, number),
    };
    let len = digits.bytes().take(8).take_while(|digit| char::from(*digit).is_digit(radix)).count();
    let code = u32::from_str_radix(digits.get(..len)?, radix).ok()?;
    let used = text.len() - digits.len() + len;
    Some((char::from_u32(code)?.to_string(), used))
}

fn backslash(text: &str) -> Found {
    if let Some(found) = bytes(text, |rest| hex_after(rest, "\\x")).or_else(|| bytes(text, octal)) {
        return Some(found);
    }
    if let Some(braced) = text.strip_prefix("\\u{") {
        let digits = braced.get(..braced.bytes().take(9).position(|byte| byte == b'}')?)?;
        let c = char::from_u32(u32::from_str_radix(digits, 16).ok()?)?;
        return Some((c.to_string(), digits.len() + 4));
    }
    if let Some(digits) = text.strip_prefix("\\U").and_then(|rest| rest.get(..8)) {
        let c = char::from_u32(u32::from_str_radix(digits, 16).ok()?)?;
        return Some((c.to_string(), 10));
    }
    utf16(text)
}

/// `\u0069`, in a row: two may be one character.
fn utf16(text: &str) -> Found {
    let mut units = Vec::new();
    while let Some(unit) = text.get(units.len() * 6..).and_then(unit) {
        units.push(unit);
    }
    let len = units.len() * 6;
    (len > 0).then(|| (String::from_utf16_lossy(&units), len))
}

fn unit(text: &str) -> Option<u16> {
    u16::from_str_radix(text.strip_prefix("\\u")?.get(..4)?, 16).ok()
}

/// Whether `=69` is an escape here: it must occur more than twice, so that `a=42` is none.
fn is_quoted_printable(text: &str) -> bool {
    text.match_indices('=')
        .filter(|(at, _)| {
            text.get(*at..)
                .is_some_and(|rest| hex_after(rest, "=").is_some() || soft_break(rest).is_some())
        })
        .nth(2)
        .is_some()
}

fn soft_break(text: &str) -> Found {
    ["=\r\n", "=\n"]
        .iter()
        .find(|end| text.starts_with(**end))
        .map(|end| (String::new(), end.len()))
}

/// Whether `+` is a space in this word: in what a form sends, where other characters are escaped.
fn is_form(word: &str) -> bool {
    word.contains('%') && word.contains('+')
}

/// Encoded words of mail headers are shorter by far; where one ends is not looked for further away than this.
const LONGEST_WORD: usize = 2048;

/// `=?utf-8?B?...?=` and `=?utf-8?Q?...?=`; the character set is taken to be UTF-8.
fn encoded_word(text: &str) -> Found {
    let text = text.get(..text.floor_char_boundary(LONGEST_WORD)).unwrap_or(text);
    let body = text.strip_prefix("=?")?;
    let (charset, body) = body.split_once('?')?;
    let (kind, body) = body.split_once('?')?;
    let (body, _) = body.split_once("?=")?;
    let len = "=?".len() + charset.len() + 1 + kind.len() + 1 + body.len() + "?=".len();
    let plain = match kind {
        "B" | "b" => String::from_utf8(BASE64.decode(body.as_bytes()).ok()?).ok()?,
        "Q" | "q" => quoted(&body.replace('_', " ")),
        _ => return None,
    };
    Some((plain, len))
}

fn quoted(body: &str) -> String {
    let mut plain = String::new();
    let mut at = 0;
    while let Some(rest) = body.get(at..).filter(|rest| !rest.is_empty()) {
        let (part, len) = bytes(rest, |rest| hex_after(rest, "=")).unwrap_or_else(|| {
            let c = rest.chars().next().unwrap_or_default();
            (c.to_string(), c.len_utf8())
        });
        plain.push_str(&part);
        at += len;
    }
    plain
}
