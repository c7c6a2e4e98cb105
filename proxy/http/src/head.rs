//! What the head of an HTTP/1.1 request may look like.

use http::{Method, Uri};
use proxy_stack::HttpFault;

/// More headers than any client sends.
const HEADERS: usize = 100;
/// The longest request target, in bytes; the paths served here are short.
const TARGET_BYTES: usize = 8 * 1024;

/// A petabyte has sixteen.
const LENGTH_DIGITS: usize = 15;

/// How the end of a body is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Length {
    /// There is no body.
    None,
    /// It has this many bytes.
    Bytes(u64),
    /// It comes in chunks.
    Chunked,
}

/// Checks a whole `head`, up to and with the empty line. Its lines are known to end in CR LF.
pub(crate) fn check(head: &[u8]) -> Result<Length, HttpFault> {
    let mut lines =
        head.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let line = RequestLine::parse(lines.next().unwrap_or_default())?;
    let mut fields = Fields::default();
    for (count, line) in lines.take_while(|line| !line.is_empty()).enumerate() {
        if count >= HEADERS {
            return Err(HttpFault::HeadTooLarge);
        }
        let (name, value) = field(line)?;
        fields.note(name, value)?;
    }
    fields.length(line.old)
}

/// The method and the target of `head`, if its first line is there and can be read.
pub(crate) fn recognise(head: &[u8]) -> Option<(Method, Uri)> {
    let line = head.split(|byte| *byte == b'\n').next()?.strip_suffix(b"\r")?;
    RequestLine::parse(line).ok().map(|line| (line.method, line.target))
}

struct RequestLine {
    method: Method,
    target: Uri,
    /// Whether this is HTTP/1.0.
    old: bool,
}

impl RequestLine {
    fn parse(line: &[u8]) -> Result<Self, HttpFault> {
        let malformed = HttpFault::Malformed("the request line must be `METHOD target HTTP/1.1`");
        let mut words = line.split(|byte| *byte == b' ');
        let (Some(method), Some(target), Some(version), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(malformed);
        };
        if target.len() > TARGET_BYTES {
            return Err(HttpFault::HeadTooLarge);
        }
        // A fragment is the client's own business; libraries drop it in silence.
        if !target.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'#') {
            return Err(HttpFault::Malformed(
                "the request target has characters that no target has",
            ));
        }
        Ok(Self {
            method: Method::from_bytes(method).map_err(|_| malformed)?,
            target: Uri::try_from(target).map_err(|_| malformed)?,
            old: match version {
                b"HTTP/1.1" => false,
                b"HTTP/1.0" => true,
                _ => return Err(malformed),
            },
        })
    }
}

fn field(line: &[u8]) -> Result<(&[u8], &[u8]), HttpFault> {
    let colon = line.iter().position(|byte| *byte == b':');
    let (name, value) = colon
        .and_then(|at| Some((line.get(..at)?, line.get(at + 1..)?)))
        .ok_or(HttpFault::Malformed("a header line has no colon"))?;
    if name.is_empty() || !name.iter().all(|byte| is_token(*byte)) {
        return Err(HttpFault::Malformed("a header name has characters that no name has"));
    }
    if !value.iter().all(|byte| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f)) {
        return Err(HttpFault::Malformed("a header value has control characters"));
    }
    Ok((name, value.trim_ascii()))
}

/// What decides where a request ends and whom it is for.
#[derive(Default)]
struct Fields {
    hosts: usize,
    length: Option<u64>,
    chunked: bool,
}

impl Fields {
    fn note(&mut self, name: &[u8], value: &[u8]) -> Result<(), HttpFault> {
        const AMBIGUOUS: HttpFault = HttpFault::Malformed("the length of the body is ambiguous");
        if name.eq_ignore_ascii_case(b"host") {
            self.hosts += 1;
        } else if name.eq_ignore_ascii_case(b"content-length") {
            let length = digits(value).ok_or(AMBIGUOUS)?;
            if self.chunked || self.length.replace(length).is_some() {
                return Err(AMBIGUOUS);
            }
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            let again = std::mem::replace(&mut self.chunked, true);
            if again || self.length.is_some() || !value.eq_ignore_ascii_case(b"chunked") {
                return Err(AMBIGUOUS);
            }
        }
        Ok(())
    }

    /// The length of the body. HTTP/1.0 (`old`) knows no chunks and need not name a host.
    fn length(&self, old: bool) -> Result<Length, HttpFault> {
        if self.hosts > 1 || (self.hosts == 0 && !old) {
            return Err(HttpFault::Malformed("there must be exactly one Host header"));
        }
        match (self.chunked, self.length) {
            (true, _) if old => Err(HttpFault::Malformed("HTTP/1.0 has no transfer encodings")),
            (true, _) => Ok(Length::Chunked),
            (false, Some(length)) => Ok(Length::Bytes(length)),
            (false, None) => Ok(Length::None),
        }
    }
}

/// A length as it must be written: digits and nothing else, and no more of them than make sense.
fn digits(value: &[u8]) -> Option<u64> {
    let plain = value.len() <= LENGTH_DIGITS && value.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(value).ok().filter(|_| plain)?.parse().ok()
}

/// Whether `byte` may stand in a method or a header's name (RFC 9110, `tchar`).
pub(crate) const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}
