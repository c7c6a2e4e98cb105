//! Segment files: their names, and reading them line by line.

use std::io::{self, BufRead, BufReader, Read};

use crate::line::LINE_BYTES;

/// Read buffer, in bytes: large enough that system calls do not count.
const BUFFER_BYTES: usize = 1 << 20;

const SUFFIX: &str = ".jsonl";
/// Width of the number in a name: every `u64` fits, so names sort as numbers do.
const WIDTH: usize = 20;

/// The name of the segment whose first record has this number.
pub(crate) fn name(first: u64) -> String {
    format!("{first:0WIDTH$}{SUFFIX}")
}

/// The number of the first record, from a segment's name. `None` for any other file.
pub(crate) fn first(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(SUFFIX)?;
    let plain = digits.len() == WIDTH && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}

/// The segments among these files, oldest first.
pub(crate) fn sorted(files: Vec<String>) -> Vec<String> {
    let mut segments: Vec<String> =
        files.into_iter().filter(|file| first(file).is_some()).collect();
    segments.sort_unstable();
    segments
}

/// What a file yields next.
pub(crate) enum Piece<'a> {
    /// A line, without its newline.
    Line(&'a [u8]),
    /// What stands after the last newline; the file ends here.
    Torn(&'a [u8]),
    /// A line longer than [`LINE_BYTES`].
    TooLong,
    /// The end, right after a newline.
    End,
}

/// The lines of one segment, with their places. Memory is bounded by the longest line.
pub(crate) struct Lines {
    source: BufReader<Box<dyn Read + Send>>,
    buffer: Vec<u8>,
    /// Number of the last line that was returned, counted from 1.
    pub(crate) line: u64,
    /// First byte of that line.
    pub(crate) offset: u64,
    next: u64,
}

impl Lines {
    /// Reads from `source`, which begins at byte `offset` of its segment.
    pub(crate) fn new(source: Box<dyn Read + Send>, offset: u64) -> Self {
        let source = BufReader::with_capacity(BUFFER_BYTES, source);
        Self { source, buffer: Vec::new(), line: 0, offset, next: offset }
    }

    /// The line that was returned last, without its newline.
    pub(crate) fn last(&self) -> &[u8] {
        self.buffer.strip_suffix(b"\n").unwrap_or(&self.buffer)
    }

    pub(crate) fn next(&mut self) -> io::Result<Piece<'_>> {
        self.buffer.clear();
        let limit = LINE_BYTES as u64 + 1;
        let read = self.source.by_ref().take(limit).read_until(b'\n', &mut self.buffer)? as u64;
        self.offset = self.next;
        self.next += read;
        self.line += 1;
        Ok(match self.buffer.strip_suffix(b"\n") {
            Some(line) => Piece::Line(line),
            None if read == 0 => Piece::End,
            None if read == limit => Piece::TooLong,
            None => Piece::Torn(&self.buffer),
        })
    }
}
