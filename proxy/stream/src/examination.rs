//! What a verdict is asked for.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use classifiers_core::Passage;

/// Texts of a stream that are to be judged together. Handing it back to
/// [`StreamGuard::clear`](crate::StreamGuard::clear) is the only way to let them go; dropping it holds them for ever.
///
/// A passage is a stretch of a channel's text, or of several that clients show as one (`/content/text#joined`). One that does not begin where the channel does has the stretch after its
/// pointer, such as `/choices/0/message/content#800..1600`, in bytes.
#[derive(Debug)]
#[must_use = "what is never cleared is never released"]
pub struct Examination {
    pub(crate) passages: Vec<Passage>,
    /// Which stretches of which texts are read.
    pub(crate) readings: Vec<(usize, Range<usize>)>,
    /// Where the passages stand in the answer.
    pub(crate) parts: Vec<Part>,
    /// When it was asked for.
    pub(crate) asked: Duration,
    /// When the oldest text in it came that no verdict covers.
    pub(crate) oldest: Duration,
}

/// Where a stretch of a passage stands in the answer.
#[derive(Debug)]
pub(crate) struct Part {
    /// The pointer of the passage, and which bytes of it.
    pub(crate) at: Arc<str>,
    pub(crate) within: Range<usize>,
    /// In which text they stand, and from where on.
    pub(crate) text: usize,
    pub(crate) start: usize,
    pub(crate) channel: Arc<str>,
}

/// A stretch of a passage that stands in one channel of the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The pointer of the channel.
    pub channel: Arc<str>,
    /// Which bytes of the passage.
    pub within: Range<usize>,
    /// Which bytes of all that the channel said.
    pub span: Range<usize>,
}

impl Examination {
    /// Nothing to judge: for an answer that says nothing, which is decided about too.
    pub const fn empty() -> Self {
        Self {
            passages: Vec::new(),
            readings: Vec::new(),
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

    /// Where `span` of the passage at `at` stands in the answer: in one channel, or in those that follow one another as
    /// one text. Nowhere, if the passage does not stand in the answer as it is.
    pub fn places(&self, at: &str, span: &Range<usize>) -> Vec<Place> {
        let places = self.parts_of(at, span).map(|(part, within)| Place {
            channel: Arc::clone(&part.channel),
            span: part.place(&within),
            within,
        });
        places.collect()
    }

    /// The parts of the passage at `at` that `span` lies in, each with the bytes of the passage.
    pub(crate) fn parts_of(
        &self,
        at: &str,
        span: &Range<usize>,
    ) -> impl Iterator<Item = (&Part, Range<usize>)> {
        let passage = self.passages.iter().find(|passage| &*passage.origin.at == at);
        let is_there = passage.is_some_and(|passage| passage.text.get(span.clone()).is_some());
        let own = self.parts.iter().filter(move |part| is_there && &*part.at == at);
        own.filter_map(move |part| {
            let within = span.start.max(part.within.start)..span.end.min(part.within.end);
            (!within.is_empty()).then_some((part, within))
        })
    }
}

impl Part {
    /// Where `within`, bytes of the passage, stand in the text.
    pub(crate) const fn place(&self, within: &Range<usize>) -> Range<usize> {
        let from = self.start + (within.start - self.within.start);
        from..from + (within.end - within.start)
    }
}
