//! How much of a stream is held, and for how long.

use std::time::Duration;

/// When a streamed answer leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Text leaves when it was judged together with what follows it.
    Hold,
    /// Text leaves before its verdict, up to [`Settings::ahead`] characters of it. A violation is cut off, and its
    /// beginning has left.
    Follow,
    /// Nothing leaves before all of the answer was judged.
    Whole,
}

/// What a policy says about streamed answers. Lengths are in characters, because tokens differ between models.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Settings {
    /// When text leaves.
    pub mode: Mode,
    /// So much new text of a channel is judged at a time.
    pub window: usize,
    /// So much text before a window is judged again with it, and held until then: what a violation of up to this
    /// length is made of never leaves, wherever windows begin.
    pub overlap: usize,
    /// New text shorter than a window is judged after this long, where that lets some of it go.
    pub max_wait: Duration,
}

/// What a stream is held back at most, as long as classifiers answer and the client reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Characters of one channel that are held, beyond the one piece that came last. None where all of it is held.
    pub characters: Option<usize>,
    /// Time from the arrival of a character that `overlap` others have followed (or that its channel ended with) until
    /// it is cleared. None where that takes until the end of the answer.
    pub time: Option<Duration>,
}

/// The upstream is read on while text is being judged, until so many windows of a channel wait.
pub(crate) const BACKLOG: usize = 8;

impl Default for Settings {
    /// A hundred tokens or so at a time, each judged with the hundred before it. Slow models are let through in
    /// steps that a reader hardly notices.
    fn default() -> Self {
        Self { mode: Mode::Hold, window: 400, overlap: 400, max_wait: Duration::from_millis(400) }
    }
}

impl Settings {
    /// How many characters of a channel leave before their verdict: none, except in [`Mode::Follow`] two windows, the
    /// one that is being judged and the one that arrives meanwhile.
    #[must_use]
    pub const fn ahead(&self) -> usize {
        match self.mode {
            Mode::Follow => 2 * self.window,
            Mode::Hold | Mode::Whole => 0,
        }
    }

    /// How much and how long is held at most, where every verdict takes at most `verdict`.
    #[must_use]
    pub fn bounds(&self, verdict: Duration) -> Bounds {
        match self.mode {
            Mode::Whole => Bounds { characters: None, time: None },
            Mode::Hold | Mode::Follow => Bounds {
                characters: Some(self.overlap + (BACKLOG + 1) * self.window),
                // The verdict that is under way, then its own.
                time: Some(self.max_wait + 2 * verdict),
            },
        }
    }
}
