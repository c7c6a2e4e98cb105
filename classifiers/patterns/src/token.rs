//! Credentials with a form of their own. Each is given where its anchor begins and ends.

use data_encoding::BASE64URL_NOPAD;

use crate::assignment::is_placeholder;
use crate::bytes::{at, before, is_word, part, run};
use crate::checksum::entropy;
use crate::detector::Found;
use crate::secrets::is_url_64;

/// The longest segment of a token that is followed, in bytes.
const SEGMENT: usize = 2048;

/// Three segments in base 64, the first of them a JSON object that names an algorithm (RFC 7519).
pub(crate) fn json_web_token(text: &[u8], from: usize, _: usize) -> Option<Found> {
    if is_url_64(before(text, from))
        || before(text, from) == b'.'
        || part(text, from, from + 3) != b"eyJ"
    {
        return None;
    }
    let head = run(text, from, SEGMENT, is_url_64);
    let json = BASE64URL_NOPAD.decode(part(text, from, head)).ok()?;
    let names_one = memchr::memmem::find(&json, b"\"alg\"").is_some();
    let claims = run(text, head + 1, SEGMENT, is_url_64);
    let end = run(text, claims + 1, SEGMENT, is_url_64);
    let dots = at(text, head) == b'.' && at(text, claims) == b'.';
    (names_one && dots && claims > head + 1 && end >= claims + 21).then_some((from..end, 0.97))
}

/// A private key in PEM (RFC 7468), to its end line, or as far as its letters go: half a key is one too.
pub(crate) fn private_key(text: &[u8], from: usize, to: usize) -> Option<Found> {
    let label_end =
        run(text, to, 64, |byte| byte.is_ascii_uppercase() || matches!(byte, b' ' | b'0'..=b'9'));
    let label = part(text, to, label_end);
    let private = label.ends_with(b"PRIVATE KEY") || label.ends_with(b"PRIVATE KEY BLOCK");
    if !private || part(text, label_end, label_end + 5) != b"-----" {
        return None;
    }
    let body = label_end + 5;
    // The body has no hyphen, so the next block is never part of it: all blocks together are read once.
    let end = run(text, body, usize::MAX, is_pem);
    let letters = part(text, body, end).iter().filter(|byte| byte.is_ascii_alphanumeric()).count();
    let closing = part(text, end, text.len().min(end + 128));
    let closed = closing.starts_with(b"-----END ");
    let closing = memchr::memmem::find(closing.get(9..).unwrap_or_default(), b"-----");
    let blanks =
        || part(text, body, end).iter().rev().take_while(|byte| byte.is_ascii_whitespace());
    let cut_off = end - blanks().count();
    let end = closing.filter(|_| closed).map_or(cut_off, |at| end + 9 + at + 5);
    (letters >= 32).then_some((from..end, 0.99))
}

/// Base 64, blanks, and the headers of old encrypted keys; line ends may be escaped, as in JSON.
fn is_pem(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'+' | b'/' | b'=' | b'\n' | b'\r' | b' ' | b'\t' | b'\\' | b':' | b',')
}

/// The password in `scheme://user:password@host`.
pub(crate) fn password_in_url(text: &[u8], from: usize, to: usize) -> Option<Found> {
    if !before(text, from).is_ascii_alphanumeric() {
        return None;
    }
    let user = run(text, to, 128, |byte| byte.is_ascii_alphanumeric() || b"._%+-~".contains(&byte));
    if at(text, user) != b':' {
        return None;
    }
    let is_password = |byte: u8| byte.is_ascii_graphic() && !b"/@\"'`<>:?#\\".contains(&byte);
    let end = run(text, user + 1, 256, is_password);
    let password = part(text, user + 1, end);
    let host = at(text, end + 1);
    let at_a_host =
        at(text, end) == b'@' && (host.is_ascii_alphanumeric() || b"[${".contains(&host));
    (at_a_host && password.len() >= 3 && !is_placeholder(password)).then_some((user + 1..end, 0.95))
}

/// What follows `Bearer`, where it is as mixed as a token.
pub(crate) fn bearer(text: &[u8], from: usize, to: usize) -> Option<Found> {
    let end = run(text, to, 512, |byte| {
        is_url_64(byte) || matches!(byte, b'.' | b'~' | b'+' | b'/' | b'=')
    });
    let token = part(text, to, end);
    let mixed = token.iter().any(u8::is_ascii_digit) && entropy(token) >= 3.5;
    let begins = !is_word(before(text, from));
    (begins && token.len() >= 20 && mixed && !is_placeholder(token)).then_some((to..end, 0.93))
}

/// `SG.`, 22 letters, a dot, 43 letters.
pub(crate) fn sendgrid(text: &[u8], from: usize, to: usize) -> Option<Found> {
    let middle = run(text, to, 23, is_url_64);
    let end = run(text, middle + 1, 44, is_url_64);
    let form = middle - to == 22 && at(text, middle) == b'.' && end - middle == 44;
    let begins = !is_word(before(text, from)) && part(text, from, to) == b"SG.";
    (form && begins).then_some((from..end, 0.99))
}

/// Three letters, a digit, `Q~`, and 31 to 34 letters more.
pub(crate) fn azure_client_secret(text: &[u8], from: usize, to: usize) -> Option<Found> {
    let is_letter = |byte: u8| is_url_64(byte) || matches!(byte, b'.' | b'~');
    let start = from.checked_sub(4)?;
    let head = part(text, start, from);
    let form = head.iter().all(|byte| is_letter(*byte)) && before(text, from).is_ascii_digit();
    let end = run(text, to, 35, is_letter);
    let length = (31..=34).contains(&(end - to));
    (form && length && part(text, from, to) == b"Q~" && !is_letter(before(text, start)))
        .then_some((start..end, 0.97))
}
