//! What a verdict is asked for.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use classifiers_core::Passage;

/// Texts of a stream that are to be judged together. Handing it back to
/// [`StreamGuard::clear`](crate::StreamGuard::clear) is the only way to let them go; dropping it holds them for ever.
///
/// A passage is a stretch of a channel's text. One that does not begin where the channel does has the stretch after its
/// pointer, such as `/choices/0/message/content#800..1600`, in bytes.
#[derive(Debug)]
#[must_use = "what is never cleared is never released"]
pub struct Examination {
    pub(crate) passages: Vec<Passage>,
    pub(crate) parts: Vec<Part>,
    /// When it was asked for.
    pub(crate) asked: Duration,
    /// When the oldest text in it came that no verdict covers.
    pub(crate) oldest: Duration,
}

/// One stretch of one text.
#[derive(Debug)]
pub(crate) struct Part {
    /// Which text.
    pub(crate) text: usize,
    pub(crate) span: Range<usize>,
    /// The pointer of the passage, and that of the channel.
    pub(crate) at: Arc<str>,
    pub(crate) channel: Arc<str>,
}

impl Examination {
    /// Nothing to judge: for an answer that says nothing, which is decided about too.
    pub const fn empty() -> Self {
        Self {
            passages: Vec::new(),
            parts: Vec::new(),
            asked: Duration::ZERO,
            oldest: Duration::ZERO,
        }
    }

    /// When it was asked for, since the beginning of the stream.
    #[must_use]
    pub const fn asked(&self) -> Duration {
        self.asked
    }

    /// When the oldest text in it came that no verdict covers, since the beginning of the stream.
    #[must_use]
    pub const fn oldest(&self) -> Duration {
        self.oldest
    }

    /// The texts to judge.
    #[must_use]
    pub fn passages(&self) -> &[Passage] {
        &self.passages
    }

    /// Where `span` of the passage at `at` lies in the answer: the pointer of the channel, and the bytes of all that it
    /// said. None for a passage that does not stand in the answer as it is.
    #[must_use]
    pub fn place(&self, at: &str, span: &Range<usize>) -> Option<(Arc<str>, Range<usize>)> {
        let (part, place) = self.part(at, span)?;
        Some((Arc::clone(&part.channel), place))
    }

    pub(crate) fn part(&self, at: &str, span: &Range<usize>) -> Option<(&Part, Range<usize>)> {
        let part = self.parts.iter().find(|part| &*part.at == at)?;
        let place = part.span.start + span.start..part.span.start + span.end;
        let passage = self.passages.iter().find(|passage| &*passage.origin.at == at)?;
        passage.text.get(span.clone())?;
        Some((part, place))
    }
}
