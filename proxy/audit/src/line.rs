//! The frame around a record: sequence number, chain and hash.
//!
//! A line ends in two fields of fixed length, `prev` and `hash`, so both writer and verifier find
//! the hashed bytes by counting from the end, without a second look at the JSON.

use std::fmt;
use std::str::FromStr;

use crate::fault::Problem;
use crate::hex;

/// Version of the line format, the field `v`.
pub(crate) const VERSION: u32 = 1;

/// Longest line that is written or read, in bytes. The limits on texts and lists keep records far
/// below it; it bounds the memory of whoever reads a damaged file.
pub(crate) const LINE_BYTES: usize = 16 << 20;

/// What a frame adds to a body at most, in bytes: `v`, `seq`, `prev`, `hash` and the newline.
pub(crate) const FRAME_BYTES: usize = 256;

const PREV: &[u8] = b",\"prev\":\"";
const HASH: &[u8] = b",\"hash\":\"";
/// `b3:` and 64 hexadecimal digits.
const DIGEST_BYTES: usize = 67;
/// The hash field and the closing brace.
const HASH_FIELD_BYTES: usize = HASH.len() + DIGEST_BYTES + 2;

/// The BLAKE3 hash of a line, written `b3:` and 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The `prev` of the very first record: BLAKE3 of the ASCII text `portcullis audit journal v1`.
    pub const GENESIS: Self = Self([
        0x82, 0x28, 0x1a, 0x2e, 0xc2, 0x01, 0x61, 0xd5, 0x4b, 0x0a, 0xf4, 0xf2, 0x96, 0x06, 0xf2,
        0x64, 0xfb, 0x19, 0x3e, 0x3a, 0x67, 0x14, 0x3b, 0x1a, 0x99, 0xc0, 0x0f, 0x38, 0x86, 0x81,
        0xa6, 0x57,
    ]);

    /// The hash of several pieces, back to back.
    pub(crate) fn of_parts(parts: &[&[u8]]) -> Self {
        let mut hasher = blake3::Hasher::new();
        for part in parts {
            hasher.update(part);
        }
        Self(*hasher.finalize().as_bytes())
    }

    pub(crate) const fn bytes(&self) -> &[u8] {
        &self.0
    }

    fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }

    fn text(&self) -> [u8; DIGEST_BYTES] {
        const fn digit(value: u8) -> u8 {
            if value < 10 { b'0' + value } else { b'a' + value - 10 }
        }
        let mut text = *b"b3:0000000000000000000000000000000000000000000000000000000000000000";
        let (_, digits) = text.split_at_mut(3);
        for (pair, byte) in digits.as_chunks_mut::<2>().0.iter_mut().zip(self.0) {
            *pair = [digit(byte >> 4), digit(byte & 15)];
        }
        text
    }

    fn parse(text: &[u8]) -> Option<Self> {
        let digits = text.strip_prefix(b"b3:")?;
        hex::decode(digits).map(Self)
    }
}

impl FromStr for Digest {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        Self::parse(text.as_bytes()).ok_or(Problem::NotARecord)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(str::from_utf8(&self.text()).unwrap_or_default())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A place in the chain: the last record written or read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    /// Its sequence number; 0 before the first record.
    pub(crate) seq: u64,
    /// Its hash.
    pub(crate) hash: Digest,
}

impl Head {
    pub(crate) const GENESIS: Self = Self { seq: 0, hash: Digest::GENESIS };

    /// Appends the next line to `out`: the frame around `body`, which is the inside of a JSON
    /// object, without its braces.
    pub(crate) fn write(&mut self, out: &mut Vec<u8>, body: &[u8]) {
        let start = out.len();
        out.extend_from_slice(b"{\"v\":");
        out.extend_from_slice(itoa::Buffer::new().format(VERSION).as_bytes());
        out.extend_from_slice(b",\"seq\":");
        out.extend_from_slice(itoa::Buffer::new().format(self.seq + 1).as_bytes());
        out.push(b',');
        out.extend_from_slice(body);
        out.extend_from_slice(PREV);
        out.extend_from_slice(&self.hash.text());
        out.push(b'"');
        let hash = Digest::of(out.get(start..).unwrap_or_default());
        out.extend_from_slice(HASH);
        out.extend_from_slice(&hash.text());
        out.extend_from_slice(b"\"}\n");
        *self = Self { seq: self.seq + 1, hash };
    }
}

/// The two digests of a line, after its hash was found to be right.
pub(crate) struct Links {
    pub(crate) prev: Digest,
    pub(crate) hash: Digest,
}

/// Reads the frame of a line (without its newline) and recomputes its hash.
pub(crate) fn check(line: &[u8]) -> Result<Links, Problem> {
    let hashed = line.len().checked_sub(HASH_FIELD_BYTES).ok_or(Problem::NotARecord)?;
    let (hashed, field) = line.split_at_checked(hashed).ok_or(Problem::NotARecord)?;
    let hash = field
        .strip_prefix(HASH)
        .and_then(|rest| rest.strip_suffix(b"\"}"))
        .and_then(Digest::parse)
        .ok_or(Problem::NotARecord)?;
    if Digest::of(hashed) != hash {
        return Err(Problem::Changed);
    }
    let prev = hashed
        .strip_suffix(b"\"")
        .and_then(|rest| rest.split_at_checked(rest.len().checked_sub(DIGEST_BYTES)?))
        .filter(|(before, _)| before.ends_with(PREV))
        .and_then(|(_, digest)| Digest::parse(digest))
        .ok_or(Problem::NotARecord)?;
    Ok(Links { prev, hash })
}

#[cfg(test)]
mod tests {
    use super::{Digest, Head, check};

    #[test]
    fn the_genesis_value_is_what_its_documentation_says() {
        assert_eq!(Digest::of(b"portcullis audit journal v1"), Digest::GENESIS);
    }

    #[test]
    fn a_line_that_is_written_checks_and_links_to_the_one_before() {
        let mut out = Vec::new();
        let mut head = Head::GENESIS;
        head.write(&mut out, b"\"kind\":\"a\"");
        let first = head;
        head.write(&mut out, b"\"kind\":\"b\"");
        let lines: Vec<&[u8]> = out.trim_ascii_end().split(|byte| *byte == b'\n').collect();
        let links: Vec<_> = lines.iter().filter_map(|line| check(line).ok()).collect();
        assert_eq!(links[0].prev, Digest::GENESIS);
        assert_eq!((links[1].prev, links[0].hash), (first.hash, first.hash));
        assert_eq!((head.seq, head.hash), (2, links[1].hash));
    }
}
