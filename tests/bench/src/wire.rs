//! As much of HTTP/1.1 as both ends of the benchmark need: where a message ends.

use memchr::{memchr_iter, memmem};

/// How far a message has come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    /// More must come.
    Partial,
    /// The first `.0` bytes are the message.
    Whole(usize),
    /// Its head gives no length.
    Unknown,
}

/// Looks at the message that `bytes` start with.
pub(crate) fn frame(bytes: &[u8]) -> Frame {
    let Some(end) = memmem::find(bytes, b"\r\n\r\n") else { return Frame::Partial };
    let Some(body) = bytes.get(..end).and_then(content_length) else { return Frame::Unknown };
    let length = end + 4 + body;
    if bytes.len() >= length { Frame::Whole(length) } else { Frame::Partial }
}

/// Whether a response begins as one with status 200.
pub(crate) fn is_ok(response: &[u8]) -> bool {
    response.starts_with(b"HTTP/1.1 200 ")
}

fn content_length(head: &[u8]) -> Option<usize> {
    const NAME: &[u8] = b"content-length:";
    memchr_iter(b'\n', head)
        .filter_map(|newline| head.get(newline + 1..))
        .find(|line| line.get(..NAME.len()).is_some_and(|name| name.eq_ignore_ascii_case(NAME)))
        .and_then(|line| {
            let value = line.get(NAME.len()..)?;
            let digits = value.iter().skip_while(|byte| **byte == b' ');
            let digits = digits.take_while(|byte| byte.is_ascii_digit());
            Some(digits.fold(0, |number, digit| number * 10 + usize::from(digit - b'0')))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_ends_where_its_head_says() {
        let cases: &[(&str, Frame)] = &[
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", Frame::Whole(40)),
            ("HTTP/1.1 200 OK\r\ncontent-length:2\r\n\r\nok and more", Frame::Whole(39)),
            ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok", Frame::Partial),
            ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n", Frame::Partial),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", Frame::Unknown),
        ];
        for (text, expected) in cases {
            assert_eq!(frame(text.as_bytes()), *expected, "{text}");
        }
    }
}
