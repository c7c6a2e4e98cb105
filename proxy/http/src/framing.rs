//! Where HTTP/1.1 messages begin and end, without input or output of its own.

use memchr::memchr;
use proxy_stack::HttpFault;

use crate::head::{self, Length};

/// The largest head of a request, in bytes.
pub(crate) const HEAD_BYTES: usize = 64 * 1024;
/// The longest line that announces a chunk: 16 hexadecimal digits and the line's end.
const CHUNK_LINE_BYTES: usize = 18;

/// Follows one connection's requests from the first byte on, and vouches for those that have one reading only.
///
/// Stricter than RFC 9112: what the RFC lets a recipient mend (a bare line feed, a folded line, both lengths at
/// once, a length said twice) is a fault, and so are chunk extensions and trailers, which nothing here needs.
#[derive(Debug, Default)]
pub struct Framing {
    state: State,
    /// Within a head: where the current line begins, and how far it was looked at.
    line: usize,
    seen: usize,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Head,
    /// So many bytes of a body, and whether they are a chunk.
    Data { left: u64, chunk: bool },
    /// The line that announces a chunk.
    ChunkLine,
    /// The line break after a chunk's data.
    ChunkEnd,
    /// The empty line after the last chunk.
    LastEnd,
}

impl Framing {
    /// How many bytes at the front of `bytes` can be relied on: a whole head, or some of a body. 0 means that more
    /// is needed; what was counted must not be shown again.
    ///
    /// # Errors
    /// When what comes next is not a plain request. Then nothing after it can be relied on.
    pub fn clear(&mut self, bytes: &[u8]) -> Result<usize, HttpFault> {
        match self.state {
            State::Head => self.head(bytes),
            State::Data { left, chunk } => Ok(self.data(left, chunk, bytes.len())),
            State::ChunkLine => self.chunk_line(bytes),
            State::ChunkEnd => self.line_break(bytes, State::ChunkLine),
            State::LastEnd => self.line_break(bytes, State::Head),
        }
    }

    /// Whether a head comes next.
    #[must_use]
    pub fn at_head(&self) -> bool {
        matches!(self.state, State::Head)
    }

    fn head(&mut self, bytes: &[u8]) -> Result<usize, HttpFault> {
        if bytes.first().is_some_and(|byte| !head::is_token(*byte)) {
            return Err(HttpFault::Malformed("the request does not begin with a method"));
        }
        let Some(end) = self.head_end(bytes)? else { return Ok(0) };
        let length = head::check(bytes.get(..end).unwrap_or_default())?;
        (self.line, self.seen) = (0, 0);
        self.state = match length {
            Length::None | Length::Bytes(0) => State::Head,
            Length::Bytes(left) => State::Data { left, chunk: false },
            Length::Chunked => State::ChunkLine,
        };
        Ok(end)
    }

    /// The end of the empty line that ends a head. Lines are looked at as they come, so that a head with the wrong
    /// line ends is not waited for.
    fn head_end(&mut self, bytes: &[u8]) -> Result<Option<usize>, HttpFault> {
        while let Some(found) = memchr(b'\n', bytes.get(self.seen..).unwrap_or_default()) {
            let end = self.seen + found;
            match bytes.get(self.line..end) {
                Some(b"\r") => return Ok(Some(end + 1)),
                Some([.., b'\r']) => {}
                _ => return Err(HttpFault::Malformed("lines must end in CR LF")),
            }
            (self.line, self.seen) = (end + 1, end + 1);
            if self.line > HEAD_BYTES {
                return Err(HttpFault::HeadTooLarge);
            }
        }
        self.seen = bytes.len();
        if bytes.len() > HEAD_BYTES { Err(HttpFault::HeadTooLarge) } else { Ok(None) }
    }

    fn data(&mut self, left: u64, chunk: bool, there: usize) -> usize {
        let take = usize::try_from(left).unwrap_or(usize::MAX).min(there);
        self.state = match (left - take as u64, chunk) {
            (0, false) => State::Head,
            (0, true) => State::ChunkEnd,
            (left, chunk) => State::Data { left, chunk },
        };
        take
    }

    fn chunk_line(&mut self, bytes: &[u8]) -> Result<usize, HttpFault> {
        let unclear = HttpFault::Malformed("a chunk of the body does not begin with its length");
        // Not farther, or it would depend on how much has come what is too long.
        let line = bytes.get(..CHUNK_LINE_BYTES).unwrap_or(bytes);
        let Some(end) = memchr(b'\n', line) else {
            return if bytes.len() < CHUNK_LINE_BYTES { Ok(0) } else { Err(unclear) };
        };
        let digits = bytes.get(..end).and_then(|line| line.strip_suffix(b"\r")).ok_or(unclear)?;
        let digits = std::str::from_utf8(digits).map_err(|_| unclear)?;
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(unclear);
        }
        self.state = match u64::from_str_radix(digits, 16).map_err(|_| unclear)? {
            0 => State::LastEnd,
            left => State::Data { left, chunk: true },
        };
        Ok(end + 1)
    }

    fn line_break(&mut self, bytes: &[u8], next: State) -> Result<usize, HttpFault> {
        match bytes {
            [] | [b'\r'] => Ok(0),
            [b'\r', b'\n', ..] => {
                self.state = next;
                Ok(2)
            }
            _ => Err(HttpFault::Malformed(match self.state {
                State::LastEnd => "the body must not have trailers",
                _ => "a chunk of the body does not end where it should",
            })),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Everything that is vouched for when `bytes` come in pieces of `size`, and the fault, if one is found.
    fn clear(bytes: &[u8], size: usize) -> (usize, Option<HttpFault>) {
        let (mut framing, mut from) = (Framing::default(), 0);
        for to in (0..=bytes.len()).step_by(size).chain([bytes.len()]) {
            loop {
                match framing.clear(&bytes[from..to]) {
                    Ok(0) => break,
                    Ok(count) => from += count,
                    Err(fault) => return (from, Some(fault)),
                }
            }
        }
        (from, None)
    }

    #[test]
    fn messages_are_found_however_they_are_cut() {
        let two = b"POST /a HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n\
            POST /b HTTP/1.1\r\nHost:x\r\nContent-Length: 3\r\n\r\n\r\n\rGET /c HTTP/1.0\r\n\r\n";
        let smuggled = [&two[..], b"GET /d HTTP/1.1\nhost: x\n\n"].concat();
        for size in 1..two.len() {
            assert_eq!(clear(two, size), (two.len(), None), "in pieces of {size}");
            let (cleared, fault) = clear(&smuggled, size);
            assert_eq!(cleared, two.len(), "in pieces of {size}");
            assert_eq!(fault, Some(HttpFault::Malformed("lines must end in CR LF")));
        }
    }
}
