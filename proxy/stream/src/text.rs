//! The text of one channel, from where it comes in to where it may leave.

use std::ops::Range;
use std::time::Duration;

use proxy_dialects::Channel;

use crate::redact::{keep, merged};
use crate::{Mode, Settings};

/// A channel up to this long, in bytes, is also judged as a whole: whenever it has doubled, and at its end. A bound
/// for the text that is kept for it, and for what one reading costs; 64 KiB are some 15,000 tokens.
pub(crate) const WHOLE_BYTES: usize = 64 * 1024;

/// Text that was judged may be forgotten; it is moved up in steps of at least this many bytes.
const FORGET_BYTES: usize = 4096;

/// Text that may leave: a verdict covers it, and what is to be cut out was cut out.
///
/// The field is private and only [`Text::take`] makes one; events are written from nothing else.
#[derive(Debug)]
pub(crate) struct ClearedText(String);

impl AsRef<str> for ClearedText {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// The text of one channel. Positions are bytes from the beginning of the channel.
///
/// INVARIANT: `released <= may_leave() <= received()`, and `may_leave()` never goes back.
#[derive(Clone, Debug)]
pub(crate) struct Text {
    pub(crate) channel: Channel,
    settings: Settings,
    /// Judged only when it has ended: its parts mean nothing.
    at_end_only: bool,
    /// What may still be needed, from `start` on.
    kept: String,
    start: usize,
    examined: usize,
    cleared: usize,
    released: usize,
    /// Characters after `examined`, and between `cleared` and `examined`.
    new: usize,
    tail: usize,
    /// When the oldest character after `examined` came.
    since: Duration,
    /// As far as is known, no more will come; once finished, none may.
    ended: bool,
    finished: bool,
    /// How far it was judged from its beginning on in one piece.
    read_whole: usize,
    cuts: Vec<Range<usize>>,
    /// Characters of other texts of the same choice since this one last grew.
    others: usize,
}

impl Text {
    pub(crate) fn new(channel: Channel, settings: Settings) -> Self {
        let at_end_only = settings.mode == Mode::Whole || !channel.is_prose();
        Self {
            channel,
            settings,
            at_end_only,
            kept: String::new(),
            start: 0,
            examined: 0,
            cleared: 0,
            released: 0,
            new: 0,
            tail: 0,
            since: Duration::ZERO,
            ended: false,
            finished: false,
            read_whole: 0,
            cuts: Vec::new(),
            others: 0,
        }
    }

    /// A text that begins with all of `first` and goes on with what follows it elsewhere.
    pub(crate) fn joined(first: &Self, channel: Channel) -> Self {
        let mut joined = first.clone();
        // What has left was cleared, if only as the end of its channel.
        joined.cleared = joined.cleared.max(joined.released);
        joined.tail = joined.count(joined.cleared.min(joined.examined)..joined.examined);
        Self { channel, ended: false, finished: false, others: 0, ..joined }
    }

    pub(crate) const fn received(&self) -> usize {
        self.start + self.kept.len()
    }

    /// Takes the next piece; the answer is its length in characters.
    pub(crate) fn grow(&mut self, piece: &str, now: Duration) -> usize {
        if self.ended {
            // It was interrupted, and goes on.
            if self.is_examined() {
                self.cleared = self.examined;
                self.tail = 0;
            }
            self.ended = false;
        }
        if self.new == 0 {
            self.since = now;
        }
        let characters = piece.chars().count();
        self.kept.push_str(piece);
        self.new += characters;
        self.others = 0;
        characters
    }

    /// So many characters of another text of its choice came. If those are more than the overlap, this one is taken
    /// as ended: what came between is longer than what a violation may be interrupted by.
    pub(crate) fn wait_for(&mut self, characters: usize) {
        self.others += characters;
        if self.others >= self.settings.overlap && !self.at_end_only {
            self.ended = true;
        }
    }

    /// No more of it will come. A sentence may go on in another block, so its end does not leave yet.
    pub(crate) const fn close(&mut self) {
        self.finished = true;
        self.ended |= self.at_end_only;
    }

    /// No more of it will come, and nothing that goes on with it.
    pub(crate) const fn end(&mut self) {
        self.ended = true;
        self.finished = true;
    }

    pub(crate) const fn is_finished(&self) -> bool {
        self.finished
    }

    /// Characters that wait for their first verdict although there is a whole window of them.
    pub(crate) const fn backlog(&self) -> usize {
        if self.at_end_only { 0 } else { self.new }
    }

    /// From when on it is to be judged, and whether it should be judged along with others now.
    pub(crate) fn due(&self) -> Option<Duration> {
        let Settings { mode, window, overlap, max_wait } = self.settings;
        if self.is_examined() {
            return None;
        }
        if self.ended || self.finished || (self.new >= window && !self.at_end_only) {
            return Some(Duration::ZERO);
        }
        let lets_go = mode == Mode::Follow || self.tail + self.new > overlap;
        (lets_go && !self.at_end_only).then(|| self.since + max_wait)
    }

    /// When the oldest character came that no verdict covers, if there is one.
    pub(crate) fn waits_since(&self) -> Option<Duration> {
        (self.new > 0).then_some(self.since)
    }

    /// Whether judging it along with another text is worth it.
    pub(crate) const fn joins(&self) -> bool {
        !self.at_end_only && self.new > 0 && 2 * self.new >= self.settings.window
    }

    const fn can_read_whole(&self) -> bool {
        self.start == 0 && self.kept.len() <= WHOLE_BYTES
    }

    /// What is to be judged now: what is new with the overlap before it, and, where it is due, all of it.
    pub(crate) fn readings(&self) -> Vec<(Range<usize>, &str)> {
        let to = self.received();
        let from = self.back(self.examined, self.settings.overlap);
        let whole = self.can_read_whole() && (self.finished || to >= 2 * self.read_whole);
        let mut readings = Vec::new();
        if self.new > 0 && !(whole && from == 0) {
            readings.push(from..to);
        }
        if whole {
            readings.push(0..to);
        }
        let text = |span: Range<usize>| {
            Some((span.clone(), self.kept.get(span.start - self.start..span.end - self.start)?))
        };
        readings.into_iter().filter_map(text).collect()
    }

    /// It may leave only without `cuts`, none of which has left.
    pub(crate) fn cut(&mut self, cuts: &[Range<usize>]) {
        self.cuts.extend_from_slice(cuts);
        self.cuts = merged(&self.cuts);
    }

    /// A verdict that was asked for at `asked` covers everything up to `to`, and allows it but for the cuts.
    pub(crate) fn judged(&mut self, to: usize, read_whole: bool, asked: Duration) {
        self.examined = self.examined.max(to);
        if read_whole {
            self.read_whole = self.read_whole.max(to);
        }
        if !self.at_end_only {
            let held_from = self.back(self.examined, self.settings.overlap);
            self.cleared = self.cleared.max(held_from);
        }
        self.tail = self.count(self.cleared..self.examined);
        self.new = self.count(self.examined..self.received());
        self.since = asked;
    }

    /// Whether any of `cut` has left that was not cut out before.
    pub(crate) fn has_left(&self, cut: &Range<usize>) -> bool {
        // What is known is merged and in order: one stretch covers the beginning of the cut, or none does.
        let known = self.cuts.iter().find(|known| known.contains(&cut.start));
        let from = known.map_or(cut.start, |known| known.end);
        from < cut.end.min(self.released)
    }

    /// Everything before this position may leave.
    pub(crate) fn may_leave(&self) -> usize {
        let cleared = match self.ended && self.is_examined() {
            true => self.examined,
            false => self.cleared,
        };
        match self.settings.mode {
            Mode::Follow if !self.at_end_only => {
                cleared.max(self.ahead(self.examined, self.settings.ahead()))
            }
            _ => cleared,
        }
    }

    /// Whether verdicts cover all of it, in the end also as a whole where it is read so.
    pub(crate) fn is_examined(&self) -> bool {
        let to = self.received();
        let as_whole = self.read_whole == to || !self.can_read_whole();
        self.examined == to && (as_whole || !self.finished)
    }

    /// Whether the next `length` bytes may leave, after `before` others.
    pub(crate) fn has_cleared(&self, before: usize, length: usize) -> bool {
        self.released + before + length <= self.may_leave()
    }

    /// The next `length` bytes, without what is to be cut out; none unless all of them may leave.
    pub(crate) fn take(&mut self, length: usize) -> Option<ClearedText> {
        if !self.has_cleared(0, length) {
            return None;
        }
        let from = self.released - self.start;
        let text = keep(self.kept.get(from..from + length)?, self.released, &self.cuts)?;
        self.released += length;
        self.forget();
        Some(ClearedText(text))
    }

    /// How many bytes of it have left, those included that were cut out.
    pub(crate) const fn released(&self) -> usize {
        self.released
    }

    /// Forgets what neither a reading nor the client will need.
    fn forget(&mut self) {
        if self.kept.len() <= WHOLE_BYTES && self.start == 0 {
            return;
        }
        let needed = self.back(self.examined, self.settings.overlap).min(self.released);
        let length = needed - self.start;
        if length >= FORGET_BYTES {
            self.kept.drain(..length);
            self.start = needed;
            self.cuts.retain(|cut| cut.end >= needed);
        }
    }

    /// The position `characters` before `from`, or the first one that is kept.
    fn back(&self, from: usize, characters: usize) -> usize {
        let before = self.kept.get(..from - self.start).unwrap_or_default();
        let place = characters.checked_sub(1).map_or(Some(before.len()), |last| {
            before.char_indices().rev().nth(last).map(|(place, _)| place)
        });
        self.start + place.unwrap_or(0)
    }

    /// The position `characters` after `from`, or the end.
    fn ahead(&self, from: usize, characters: usize) -> usize {
        let after = self.kept.get(from - self.start..).unwrap_or_default();
        let place = after.char_indices().nth(characters).map_or(after.len(), |(place, _)| place);
        from + place
    }

    fn count(&self, span: Range<usize>) -> usize {
        let text = self.kept.get(span.start - self.start..span.end - self.start);
        text.unwrap_or_default().chars().count()
    }
}
