//! How streamed answers are released.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::document::Node;
use crate::format::STREAMING;
use crate::reader::Reader;
use crate::{Streaming, StreamingMode};

use super::{units, words};

/// A window of fewer characters holds no sentence; one of more is a whole answer.
const WINDOWS: RangeInclusive<usize> = 50..=20_000;
/// Nothing is longer than this and still formed by accident of a cut.
const OVERLAPS: RangeInclusive<usize> = 0..=20_000;
/// Below this a window is judged for every token; above it people think that nothing comes.
const WAITS: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(30);
/// The longest secret that the shipped patterns find in one piece: a key of 4096 bits in PEM has about 3,300
/// characters, but its first line already gives it away; tokens have up to 500.
const LONGEST_SECRET: usize = 500;
/// What a large model writes in a second: 50 tokens of 4 characters.
const CHARACTERS_PER_SECOND: u128 = 200;

/// Reads `streaming`; what is not said is as in `base`.
pub(super) fn read(reader: &mut Reader<'_>, node: &Node, base: Streaming) -> Streaming {
    let mut streaming = base;
    let Some(fields) = reader.fields(node, &STREAMING) else { return streaming };
    if let Some(node) = fields.get("mode") {
        let modes = words(StreamingMode::ALL, StreamingMode::name);
        if let Some(mode) = reader.word(node, "`mode`", &modes) {
            streaming.mode = mode;
        }
        if streaming.mode == StreamingMode::Follow {
            reader
                .warning(node.at, "people see text before it is judged")
                .expected("what was sent cannot be taken back; `hold` keeps it until its verdict");
        }
    }
    if let Some(node) = fields.get("window") {
        let window = units::characters(reader, node, "`window`", WINDOWS);
        streaming.window = window.unwrap_or(streaming.window);
    }
    if let Some(node) = fields.get("overlap") {
        let overlap = units::characters(reader, node, "`overlap`", OVERLAPS);
        streaming.overlap = overlap.unwrap_or(streaming.overlap);
    }
    if let Some(node) = fields.get("max_wait") {
        let wait = units::duration(reader, node, "`max_wait`", WAITS);
        streaming.max_wait = wait.unwrap_or(streaming.max_wait);
    }
    report_sizes(reader, node, streaming);
    streaming
}

fn report_sizes(reader: &mut Reader<'_>, node: &Node, streaming: Streaming) {
    if streaming.mode == StreamingMode::Whole {
        return;
    }
    if streaming.overlap < LONGEST_SECRET {
        reader
            .warning(node.at, "the overlap is shorter than the longest secret that is looked for")
            .expected(format!(
                "half a key in each of two windows is none; at least {LONGEST_SECRET} chars"
            ));
    }
    let filled = streaming.max_wait.as_millis() * CHARACTERS_PER_SECOND / 1000;
    if filled * 10 < streaming.window as u128 {
        reader
            .warning(node.at, "windows will never be full before `max_wait`")
            .expected(format!(
                "50 tokens in a second fill about {filled} chars in {}ms",
                streaming.max_wait.as_millis()
            ))
            .help("a smaller window says what will happen");
    }
}
