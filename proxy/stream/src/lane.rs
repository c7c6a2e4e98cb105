//! What waits to leave, choice by choice.

use std::collections::VecDeque;

use proxy_dialects::{Block, CutChoice, Frame, Transcript};

use crate::text::Text;

/// A chunk without its text, and where that is.
#[derive(Debug)]
pub(crate) struct Held {
    /// Its place among all chunks of the answer.
    pub(crate) number: u64,
    pub(crate) frame: Frame,
    /// For each text in it: which, and how many bytes of it.
    pub(crate) pieces: Vec<(usize, usize)>,
    /// The same for the texts that these are joined in: they must be judged, too, before it leaves.
    pub(crate) joined: Vec<(usize, usize)>,
    /// How many bytes of the stream it came in.
    pub(crate) size: usize,
}

/// The chunks of one choice, in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Lane {
    pub(crate) frames: VecDeque<Held>,
    /// The texts of this choice.
    pub(crate) texts: Vec<usize>,
    /// Its finish reason has come.
    pub(crate) finished: bool,
    /// Some of it has left.
    pub(crate) begun: bool,
    /// All of it has left, the finish reason too.
    pub(crate) over: bool,
    /// The block of which the beginning has left, and not the end; and the first of which nothing has.
    blocks: (Option<u64>, u64),
}

impl Lane {
    /// The number of the first chunk, if all of its text may leave.
    pub(crate) fn ready(&self, texts: &[Text]) -> Option<u64> {
        let first = self.frames.front()?;
        let clear = |pieces: &[(usize, usize)]| {
            pieces.iter().enumerate().all(|(place, &(text, length))| {
                let earlier = pieces.iter().take(place).filter(|piece| piece.0 == text);
                let before = earlier.map(|piece| piece.1).sum();
                texts.get(text).is_some_and(|text| text.has_cleared(before, length))
            })
        };
        (clear(&first.pieces) && clear(&first.joined)).then_some(first.number)
    }

    /// What is held of `text` is from now on judged as the text `joined` too.
    pub(crate) fn join(&mut self, text: usize, joined: usize) {
        for held in &mut self.frames {
            let own = held.pieces.iter().filter(|piece| piece.0 == text);
            held.joined.extend(own.map(|&(_, length)| (joined, length)));
        }
    }

    /// How it stands when the answer is cut off here.
    pub(crate) fn cut(&self) -> CutChoice {
        let (open, next) = self.blocks;
        CutChoice { begun: self.begun, open, next, ..CutChoice::default() }
    }

    /// Takes the first chunk, with its text back in its place; none unless all of that may leave.
    pub(crate) fn take(
        &mut self,
        texts: &mut [Text],
        transcript: &mut Transcript,
    ) -> Option<Released> {
        self.ready(texts)?;
        let Held { frame, pieces, joined, size, .. } = self.frames.pop_front()?;
        self.begun = true;
        self.over |= frame.ends_choice();
        self.blocks = match frame.block() {
            Some(Block::Opens(block)) => (Some(block), self.blocks.1.max(block + 1)),
            Some(Block::Closes(_)) => (None, self.blocks.1),
            Some(Block::Answer { .. } | Block::Grows) | None => self.blocks,
        };
        for (text, length) in joined {
            texts.get_mut(text)?.take(length)?;
        }
        let cleared = pieces.iter().map(|&(text, length)| texts.get_mut(text)?.take(length));
        let cleared: Option<Vec<_>> = cleared.collect();
        Some(Released { data: transcript.write(frame, cleared?), size })
    }
}

/// An event's data, and what its chunk took.
pub(crate) struct Released {
    pub(crate) data: Vec<u8>,
    pub(crate) size: usize,
}
