//! Reading server-sent events by the rules of the WHATWG HTML standard, section 9.2.6.

/// The stream cannot be read on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SseError {
    /// An event grew beyond the limit, in bytes.
    #[error("an event is larger than {0} bytes")]
    TooLarge(usize),
    /// The bytes are not UTF-8.
    #[error("an event is not valid UTF-8")]
    NotUtf8,
}

/// Turns bytes, however they are cut, into the data of events.
///
/// Lines end with CR, LF or CRLF; one byte order mark at the start is ignored; several `data` lines of an event
/// are joined by a line feed; comments, other fields and events without data are passed over.
#[derive(Debug)]
pub struct SseDecoder {
    limit: usize,
    line: Vec<u8>,
    data: Option<Vec<u8>>,
    after_cr: bool,
    at_start: bool,
}

impl SseDecoder {
    /// A decoder that refuses events of more than `limit` bytes.
    #[must_use]
    pub const fn new(limit: usize) -> Self {
        Self { limit, line: Vec::new(), data: None, after_cr: false, at_start: true }
    }

    /// Takes the next bytes; the data of each event that they complete is added to `events`, also where an error
    /// follows.
    ///
    /// # Errors
    /// When an event is too large or not UTF-8. Nothing more may be fed after that.
    pub fn feed(&mut self, bytes: &[u8], events: &mut Vec<String>) -> Result<(), SseError> {
        let mut rest = bytes;
        while let Some(&first) = rest.first() {
            if std::mem::take(&mut self.after_cr) && first == b'\n' {
                rest = rest.get(1..).unwrap_or_default();
                continue;
            }
            let Some(end) = memchr::memchr2(b'\r', b'\n', rest) else {
                self.grow(rest)?;
                break;
            };
            let (line, tail) = rest.split_at(end);
            self.grow(line)?;
            self.after_cr = tail.first() == Some(&b'\r');
            rest = tail.get(1..).unwrap_or_default();
            events.extend(self.end_line()?);
        }
        Ok(())
    }

    /// Bytes of an unfinished event.
    #[must_use]
    pub const fn pending(&self) -> usize {
        let data = match &self.data {
            Some(data) => data.len(),
            None => 0,
        };
        data + self.line.len()
    }

    /// Whether bytes of an unfinished event are left.
    #[must_use]
    pub const fn is_mid_event(&self) -> bool {
        self.data.is_some() || !self.line.is_empty()
    }

    fn grow(&mut self, bytes: &[u8]) -> Result<(), SseError> {
        if self.pending() + bytes.len() > self.limit {
            return Err(SseError::TooLarge(self.limit));
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    fn end_line(&mut self) -> Result<Option<String>, SseError> {
        let mut line = std::mem::take(&mut self.line);
        if std::mem::take(&mut self.at_start) && line.starts_with(b"\xef\xbb\xbf") {
            line.drain(..3);
        }
        if line.is_empty() {
            let data = self.data.take();
            return data.map(String::from_utf8).transpose().map_err(|_| SseError::NotUtf8);
        }
        if let Some(value) = data_value(&line) {
            match &mut self.data {
                Some(data) => {
                    data.push(b'\n');
                    data.extend_from_slice(value);
                }
                None => self.data = Some(value.to_vec()),
            }
        }
        Ok(None)
    }
}

/// The value of a `data` line, without the one space that may follow the colon.
fn data_value(line: &[u8]) -> Option<&[u8]> {
    let rest = line.strip_prefix(b"data")?;
    match rest.split_first() {
        None => Some(b""),
        Some((b':', value)) => Some(value.strip_prefix(b" ").unwrap_or(value)),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode(pieces: &[&[u8]]) -> Vec<String> {
        let mut decoder = SseDecoder::new(1 << 20);
        let mut events = Vec::new();
        pieces.iter().for_each(|piece| decoder.feed(piece, &mut events).unwrap());
        events
    }

    #[test]
    fn every_form_of_the_standard_is_read() {
        let cases: &[(&str, &[&str])] = &[
            ("data: a\n\ndata: b\n\n", &["a", "b"]),
            ("data: a\r\n\r\ndata: b\r\r", &["a", "b"]),
            ("\u{feff}data: a\n\n", &["a"]),
            ("\u{feff}\u{feff}data: a\n\n", &[]),
            ("data:a\ndata: b\ndata\ndata:  c\n\n", &["a\nb\n\n c"]),
            (
                ": comment\nid: 1\nevent: x\nretry: 5\ndata: a\nDATA: b\ndatax: c\n data: d\n\n",
                &["a"],
            ),
            ("event: x\n\n\n\ndata: a", &[]),
        ];
        for (text, expected) in cases {
            assert_eq!(decode(&[text.as_bytes()]), *expected, "{text:?}");
        }
    }

    #[test]
    fn too_much_and_not_text_are_errors() {
        let feed = |limit: usize, bytes: &[u8]| {
            let mut events = Vec::new();
            let fed = SseDecoder::new(limit).feed(bytes, &mut events);
            (fed, events)
        };
        assert_eq!(feed(8, b"data: 1234567"), (Err(SseError::TooLarge(8)), vec![]));
        let before = vec!["a".to_owned()];
        assert_eq!(feed(64, b"data: a\n\ndata: \xff\n\n"), (Err(SseError::NotUtf8), before));
    }

    proptest! {
        #[test]
        fn the_events_do_not_depend_on_how_the_bytes_are_cut(
            lines in prop::collection::vec("(data: [a-zé]{0,4}|: x|id: 1|)(\r\n|\n|\r)", 0..12),
            cuts in prop::collection::vec(0usize..200, 0..8),
        ) {
            let text = lines.concat();
            let whole = decode(&[text.as_bytes()]);
            let bytes = text.as_bytes();
            let mut at: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
            at.extend([0, bytes.len()]);
            at.sort_unstable();
            let pieces: Vec<&[u8]> = at.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
            prop_assert_eq!(&decode(&pieces), &whole);
            let single: Vec<&[u8]> = bytes.chunks(1).collect();
            prop_assert_eq!(&decode(&single), &whole);
        }
    }
}
