//! However bytes are cut, the decoder finds the events that the standard says are there.

use proxy_stream::{SseDecoder, SseError};

const LIMIT: usize = 64;

type Decoded = (Vec<String>, Result<(), SseError>);

/// The first byte says how the others are cut.
pub fn check(bytes: &[u8]) {
    let Some((&size, bytes)) = bytes.split_first() else { return };
    let whole = decode(bytes, bytes.len().max(1));
    assert_eq!(decode(bytes, usize::from(size) % 16 + 1), whole);
    assert_eq!(decode(bytes, 1), whole);
    if whole.1 != Err(SseError::TooLarge(LIMIT)) {
        assert_eq!(by_the_book(bytes), whole);
    }
}

fn decode(bytes: &[u8], size: usize) -> Decoded {
    let (mut decoder, mut events) = (SseDecoder::new(LIMIT), Vec::new());
    let fed = bytes.chunks(size).try_for_each(|piece| decoder.feed(piece, &mut events));
    (events, fed)
}

/// WHATWG HTML, 9.2.6, step by step over all the bytes at once.
fn by_the_book(bytes: &[u8]) -> Decoded {
    let mut rest = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let (mut events, mut data) = (Vec::new(), None::<Vec<u8>>);
    while let Some(end) = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n')) {
        let (line, tail) = rest.split_at(end);
        rest = tail.strip_prefix(b"\r\n").unwrap_or(&tail[1..]);
        if line.is_empty() {
            match data.take().map(String::from_utf8) {
                Some(Ok(event)) => events.push(event),
                Some(Err(_)) => return (events, Err(SseError::NotUtf8)),
                None => {}
            }
            continue;
        }
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let (field, value) = line.split_at(colon);
        let value = value.strip_prefix(b":").unwrap_or(value);
        let value = value.strip_prefix(b" ").unwrap_or(value);
        if field == b"data" {
            match &mut data {
                Some(data) => data.extend([b"\n", value].concat()),
                None => data = Some(value.to_vec()),
            }
        }
    }
    (events, Ok(()))
}
