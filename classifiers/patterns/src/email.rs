//! E-mail addresses.

use crate::bytes::{at, part, run};
use crate::detector::Found;

/// The longest local part (RFC 5321, 4.5.3.1.1) and domain, in bytes.
const LOCAL: usize = 64;
const DOMAIN: usize = 253;

/// Names that are set aside for examples (RFC 2606, RFC 6761): nobody is behind them.
const RESERVED: [&[u8]; 7] = [
    b"example.com",
    b"example.org",
    b"example.net",
    b".example",
    b".test",
    b".invalid",
    b".localhost",
];

/// Finds the addresses of `text`.
pub(crate) fn find(text: &[u8], found: &mut Vec<Found>) {
    for sign in memchr::memchr_iter(b'@', text) {
        let local = part(text, sign.saturating_sub(LOCAL), sign);
        let length = local.iter().rev().take_while(|byte| is_local(**byte)).count();
        let start = sign - length;
        // A dot that begins it ended the sentence before.
        let start = run(text, start, length, |byte| matches!(byte, b'.' | b'-' | b'+'));
        let Some(end) = domain(text, sign + 1) else { continue };
        if start < sign && at(text, sign.saturating_sub(1)) != b'.' {
            found.push((start..end, 0.95));
        }
    }
}

const fn is_local(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'%' | b'+' | b'-')
}

/// Where the domain that begins at `from` ends, if it is one where somebody may be.
fn domain(text: &[u8], from: usize) -> Option<usize> {
    let is_domain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    let mut end = run(text, from, DOMAIN, is_domain);
    while end > from && !at(text, end - 1).is_ascii_alphanumeric() {
        end -= 1;
    }
    let domain = part(text, from, end).to_ascii_lowercase();
    let dot = memchr::memrchr(b'.', &domain)?;
    let top = domain.get(dot + 1..)?;
    let sound = top.len() >= 2 && top.iter().all(u8::is_ascii_alphabetic);
    let empty_label = domain.split(|byte| *byte == b'.').any(<[u8]>::is_empty);
    // `user@2x.png` is the name of a picture.
    let file =
        matches!(top, b"png" | b"jpg" | b"jpeg" | b"gif" | b"svg" | b"webp" | b"js" | b"css");
    let reserved = RESERVED.iter().any(|name| domain.ends_with(name));
    (sound && !empty_label && !file && !reserved).then_some(end)
}
