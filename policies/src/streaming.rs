//! How a streamed answer is released.

use std::fmt;
use std::time::Duration;

/// How a streamed answer is released to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Streaming {
    /// Whether text waits for its verdict.
    pub mode: StreamingMode,
    /// How much text is judged at a time, in characters (Unicode scalar values).
    pub window: usize,
    /// How much of the text before a window is judged with it, in characters. What is formed across two
    /// windows is found as long as it is not longer than this.
    pub overlap: usize,
    /// How long text may wait for a window to fill before it is judged as it is.
    pub max_wait: Duration,
}

/// Whether the text of a streamed answer waits for its verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum StreamingMode {
    /// A window leaves when it is judged: nobody sees text without a verdict on it.
    #[default]
    Hold,
    /// Text flows, and checks trail behind it: what was sent before a verdict cannot be taken back.
    Follow,
    /// The answer leaves when all of it is judged.
    Whole,
}

impl Streaming {
    /// What a policy that says nothing about it means.
    ///
    /// Characters, because tokens differ from model to model. An answer lags behind the model by the overlap: 500
    /// characters are two or three seconds of a large model's speech, and as long as the longest secret that is
    /// looked for in one piece.
    pub const DEFAULT: Self = Self {
        mode: StreamingMode::Hold,
        window: 400,
        overlap: 500,
        max_wait: Duration::from_millis(400),
    };
}

impl Default for Streaming {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl StreamingMode {
    /// Every mode.
    pub const ALL: [Self; 3] = [Self::Hold, Self::Follow, Self::Whole];

    /// The name used in policies and records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hold => "hold",
            Self::Follow => "follow",
            Self::Whole => "whole",
        }
    }
}

impl fmt::Display for StreamingMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
