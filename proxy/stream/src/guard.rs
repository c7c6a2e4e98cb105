//! A streamed answer between the upstream and the client.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use proxy_dialects::{
    Block, Channel, Chunk, Cut, CutChoice, Delta, Dialect, Envelope, Event, Frame, ReadError,
    Transcript,
};

use crate::examination::{Examination, Part};
use crate::flow::Flow;
use crate::lane::{Held, Lane};
use crate::settings::{BACKLOG, Mode, Settings};
use crate::sse::{SseDecoder, SseError};
use crate::text::Text;

/// The upstream's stream is not an answer that can be judged.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// The bytes are not server-sent events.
    #[error("the upstream's stream cannot be read")]
    Sse(#[from] SseError),
    /// An event is not a chunk.
    #[error("the upstream's stream holds an event that is not a chunk: {0}")]
    Chunk(ReadError),
    /// The stream ended before every choice was finished.
    #[error("the upstream's stream ended before it was complete")]
    Incomplete,
    /// More than may be held, in bytes.
    #[error("more than {0} bytes of the upstream's answer would have to be held")]
    TooLarge(usize),
    /// A choice that was not asked for.
    #[error("the upstream's stream holds a choice that was not asked for")]
    UnknownChoice,
    /// Text of a choice that had given its finish reason.
    #[error("the upstream's stream goes on after the end of a choice")]
    AfterEnd,
    /// A span that a redaction names does not lie in the text that is held.
    #[error("a redaction does not fit the answer")]
    Redaction,
}

/// A streamed answer: the upstream's bytes in, examinations out, verdicts in, events out. No clock: times are since the
/// beginning of the stream, and the caller's.
///
/// After an error nothing more is released; [`cut`](Self::cut) still ends it in order.
#[derive(Debug)]
pub struct StreamGuard {
    dialect: Dialect,
    settings: Settings,
    choices: u64,
    limit: usize,
    sse: SseDecoder,
    envelope: Option<Envelope>,
    transcript: Transcript,
    texts: Vec<Text>,
    known: BTreeMap<Channel, usize>,
    /// Texts that clients show as one, by choice and kind.
    flows: BTreeMap<(u64, String), Flow>,
    /// By choice; what belongs to none (the usage chunk) waits for the end.
    lanes: BTreeMap<Option<u64>, Lane>,
    chunks: u64,
    held: usize,
    /// When the last choice gave its finish reason.
    all_finished: Option<Duration>,
    done: bool,
    ended: bool,
    asking: bool,
    /// Nothing leaves before there was a verdict: not even a sign that an answer exists.
    judged: bool,
    /// The last event was given away.
    closed: bool,
}

impl StreamGuard {
    /// Nothing received yet of an answer with up to `choices` choices, of which at most `limit` bytes may be held at
    /// a time.
    #[must_use]
    pub const fn new(dialect: Dialect, settings: Settings, choices: u64, limit: usize) -> Self {
        Self {
            dialect,
            settings,
            choices,
            limit,
            sse: SseDecoder::new(limit),
            envelope: None,
            transcript: Transcript::new(),
            texts: Vec::new(),
            known: BTreeMap::new(),
            flows: BTreeMap::new(),
            lanes: BTreeMap::new(),
            chunks: 0,
            held: 0,
            all_finished: None,
            done: false,
            ended: false,
            asking: false,
            judged: false,
            closed: false,
        }
    }

    /// Takes the next bytes of the upstream's stream. What comes after `[DONE]` is ignored.
    ///
    /// # Errors
    /// When the bytes cannot be read as chunks, or are too many.
    pub fn feed(&mut self, bytes: &[u8], now: Duration) -> Result<(), StreamError> {
        if self.ended {
            return Ok(());
        }
        let mut events = Vec::new();
        let read = self.sse.feed(bytes, &mut events);
        for data in events {
            match self.dialect.read_event(data.as_bytes()).map_err(StreamError::Chunk)? {
                Event::End => {
                    self.done = true;
                    return self.end();
                }
                Event::Chunk(chunk) => self.chunk(chunk, (data.len(), now))?,
                Event::Nothing => {}
            }
            if self.all_finished.is_some() && self.dialect.last_event().is_empty() {
                // Nothing follows the end of the answer.
                self.done = true;
                return self.end();
            }
        }
        read?;
        if self.held() > self.limit {
            return Err(StreamError::TooLarge(self.limit));
        }
        Ok(())
    }

    /// The upstream's stream is over. Some servers (`transformers serve` among them) never send `[DONE]`.
    ///
    /// # Errors
    /// [`StreamError::Incomplete`] if that was not due: a choice has no finish reason, or an event is half received.
    pub fn end(&mut self) -> Result<(), StreamError> {
        let all_finished = self.all_finished.is_some() && !self.sse.is_mid_event();
        if !self.done && !all_finished {
            return Err(StreamError::Incomplete);
        }
        self.ended = true;
        self.texts.iter_mut().for_each(Text::end);
        Ok(())
    }

    /// Whether nothing more is to be read: `[DONE]` was received, or the upstream's stream is over.
    #[must_use]
    pub const fn is_ended(&self) -> bool {
        self.ended
    }

    /// Whether more of the upstream's stream should be read now. While a verdict is awaited, so much and no more.
    #[must_use]
    pub fn wants_more(&self) -> bool {
        let backlog = BACKLOG.saturating_mul(self.settings.window);
        let full = self.asking && self.waiting() > backlog;
        !self.ended && !full
    }

    /// What every event of the answer repeats, if one has come.
    #[must_use]
    pub const fn envelope(&self) -> Option<&Envelope> {
        self.envelope.as_ref()
    }

    /// Bytes that are held: of the upstream's stream chunks and events half received, and text that has left and will be
    /// repeated.
    #[must_use]
    pub const fn held(&self) -> usize {
        self.held + self.sse.pending() + self.transcript.size()
    }

    /// Characters that wait for their first verdict, of the channel with the most of them. Text that is judged only as
    /// a whole does not count.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.texts.iter().map(Text::backlog).max().unwrap_or(0)
    }

    /// What is to be judged now, if there is anything. One examination is under way at a time; what comes meanwhile
    /// is in the next one.
    pub fn examine(&mut self, now: Duration) -> Option<Examination> {
        if self.asking || !self.texts.iter().any(|text| self.is_due(text, now)) {
            return None;
        }
        let mut examination = Examination { asked: now, oldest: now, ..Examination::empty() };
        for (number, text) in self.texts.iter().enumerate() {
            if self.is_due(text, now) || text.joins() {
                examination.oldest = examination.oldest.min(text.waits_since().unwrap_or(now));
                self.add(&mut examination, number, text);
            }
        }
        self.asking = true;
        Some(examination)
    }

    /// When [`examine`](Self::examine) is to be asked again, if nothing comes before that.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        if self.asking {
            return None;
        }
        self.texts.iter().filter_map(|text| self.due(text)).min()
    }

    fn is_due(&self, text: &Text, now: Duration) -> bool {
        self.due(text).is_some_and(|due| due <= now)
    }

    fn due(&self, text: &Text) -> Option<Duration> {
        let due = text.due()?;
        match self.all_finished {
            // What is left of the stream is about to come: then the rest is judged, and recorded, at once.
            Some(then) if !self.ended => Some(due.max(then + self.settings.max_wait)),
            _ => Some(due),
        }
    }

    /// The texts of `examination` were judged, and may leave without `cuts`: stretches of its passages.
    ///
    /// # Errors
    /// When a cut does not lie in a passage that stands in the answer as it is, or in text that has left: then
    /// nothing is cleared.
    pub fn clear(
        &mut self,
        examination: Examination,
        cuts: &[(Arc<str>, Range<usize>)],
    ) -> Result<(), StreamError> {
        let mut spans: BTreeMap<usize, Vec<Range<usize>>> = BTreeMap::new();
        for (at, span) in cuts {
            let mut stands = false;
            for (part, within) in examination.parts_of(at, span) {
                let place = part.place(&within);
                let held = self.texts.get(part.text).filter(|text| !text.has_left(&place));
                held.ok_or(StreamError::Redaction)?;
                spans.entry(part.text).or_default().push(place);
                stands = true;
            }
            if !stands {
                return Err(StreamError::Redaction);
            }
        }
        for (number, cuts) in spans {
            self.texts.get_mut(number).into_iter().for_each(|text| text.cut(&cuts));
        }
        let Examination { readings, asked, .. } = examination;
        for (number, text) in self.texts.iter_mut().enumerate() {
            let own = || readings.iter().filter(|(read, _)| *read == number).map(|(_, span)| span);
            let Some(to) = own().map(|span| span.end).max() else { continue };
            let whole = own().any(|span| span.start == 0);
            text.judged(to, whole, asked);
        }
        self.asking = false;
        self.judged = true;
        Ok(())
    }

    /// The data of the events that may leave now, in order.
    pub fn release(&mut self) -> Vec<Vec<u8>> {
        let mut events = Vec::new();
        while let Some(released) = self.next() {
            events.push(released);
        }
        let last = self.dialect.last_event();
        if self.is_over() && !std::mem::replace(&mut self.closed, true) && !last.is_empty() {
            events.push(last.to_vec());
        }
        events
    }

    /// The next chunk in order that may leave. Choices do not wait for each other.
    fn next(&mut self) -> Option<Vec<u8>> {
        if !self.judged && self.settings.mode != Mode::Follow {
            return None;
        }
        let lanes = self.lanes.iter().filter(|(choice, _)| choice.is_some() || self.ended);
        let ready = lanes.filter_map(|(choice, lane)| Some((lane.ready(&self.texts)?, *choice)));
        let (_, choice) = ready.min()?;
        let released = self.lanes.get_mut(&choice)?.take(&mut self.texts, &mut self.transcript)?;
        self.held = self.held.saturating_sub(released.size);
        Some(released.data)
    }

    /// Whether all of the answer has been received, judged and released.
    #[must_use]
    pub fn is_over(&self) -> bool {
        let nothing_left = || self.lanes.values().all(|lane| lane.frames.is_empty());
        self.judged && self.is_judged() && nothing_left()
    }

    /// Whether all of the answer has been received and judged.
    #[must_use]
    pub fn is_judged(&self) -> bool {
        self.ended && !self.asking && self.texts.iter().all(Text::is_examined)
    }

    /// How much of each channel has left: its pointer and bytes, those included that were cut out.
    pub fn released(&self) -> impl Iterator<Item = (String, u64)> {
        let released = |text: &Text| (text.channel.pointer.to_string(), text.released() as u64);
        let is_joined = |number: &usize| self.flow_of(*number).is_some();
        let own = self.texts.iter().enumerate().filter(move |(number, _)| !is_joined(number));
        own.map(move |(_, text)| released(text))
    }

    /// Ends the answer: the data of the events that take the place of all that has not left. For every choice that
    /// is not over `refusal`, and `content_filter` as finish reason.
    #[must_use]
    pub fn cut(mut self, refusal: &str) -> Vec<Vec<u8>> {
        let usage = self.lanes.remove(&None).and_then(|mut lane| lane.frames.pop_back());
        let choices: Vec<CutChoice> = (0..self.choices)
            .map(|index| (index, self.lanes.get(&Some(index))))
            .filter(|(_, lane)| lane.is_none_or(|lane| !lane.over))
            .map(|(index, lane)| CutChoice { index, ..lane.map(Lane::cut).unwrap_or_default() })
            .collect();
        self.dialect.cut(Cut {
            like: self.envelope.as_ref(),
            choices: &choices,
            text: refusal,
            usage: usage.map(|held| held.frame),
            transcript: &self.transcript,
        })
    }

    fn chunk(&mut self, chunk: Chunk, (size, now): (usize, Duration)) -> Result<(), StreamError> {
        if chunk.choices().any(|index| index >= self.choices) {
            return Err(StreamError::UnknownChoice);
        }
        if self.envelope.is_none() {
            self.envelope = Some(chunk.envelope());
        }
        let frames = chunk.into_frames();
        let size = size / frames.len().max(1);
        for (frame, deltas) in frames {
            self.hold(frame, deltas, (size, now))?;
        }
        if self.held() > self.limit {
            return Err(StreamError::TooLarge(self.limit));
        }
        Ok(())
    }

    fn hold(
        &mut self,
        frame: Frame,
        deltas: Vec<Delta>,
        (size, now): (usize, Duration),
    ) -> Result<(), StreamError> {
        let choice = frame.choice();
        let mut lane = self.lanes.remove(&choice).unwrap_or_default();
        if lane.finished && !deltas.is_empty() {
            return Err(StreamError::AfterEnd);
        }
        let (mut pieces, mut joined) = (Vec::with_capacity(deltas.len()), Vec::new());
        for Delta { channel, text, .. } in deltas {
            let (number, flow) = self.text(channel, &mut lane);
            let said = self.texts.get(number).is_some_and(|own| own.received() > 0);
            if said && frame.repeats() {
                // Of what is said again, nothing but what has left goes out.
                pieces.push((number, 0));
                continue;
            }
            let grown = self.texts.get_mut(number).map(|own| own.grow(&text, now));
            let is_other = |other: &&usize| **other != number && Some(**other) != flow;
            for other in lane.texts.iter().filter(is_other) {
                let other = self.texts.get_mut(*other);
                other.into_iter().for_each(|other| other.wait_for(grown.unwrap_or_default()));
            }
            if let Some(flow) = flow {
                self.texts.get_mut(flow).map(|flow| flow.grow(&text, now));
                joined.push((flow, text.len()));
            }
            pieces.push((number, text.len()));
        }
        lane.finished |= frame.ends_choice();
        if lane.finished && self.settings.mode != Mode::Whole {
            for &number in &lane.texts {
                self.texts.get_mut(number).into_iter().for_each(Text::end);
            }
        }
        if let Some(Block::Closes(block)) = frame.block()
            && self.settings.mode != Mode::Whole
        {
            self.end_block(block);
        }
        self.held += size;
        lane.frames.push_back(Held { number: self.chunks, frame, pieces, joined, size });
        self.chunks += 1;
        self.lanes.insert(choice, lane);
        let finished = self.lanes.values().filter(|lane| lane.finished).count() as u64;
        if finished == self.choices && self.all_finished.is_none() {
            self.all_finished = Some(now);
        }
        Ok(())
    }

    /// The texts of a block of the answer are over.
    fn end_block(&mut self, block: u64) {
        let inside = self.dialect.block(block);
        let own = |text: &&mut Text| text.channel.pointer.starts_with(&inside);
        self.texts.iter_mut().filter(own).for_each(Text::close);
    }

    /// The number of the text that `channel` is, a new one where it is new; and that of the text that it is joined in.
    fn text(&mut self, channel: Channel, lane: &mut Lane) -> (usize, Option<usize>) {
        let next = self.texts.len();
        let number = *self.known.entry(channel.clone()).or_insert(next);
        if number == next {
            self.texts.push(Text::new(channel.clone(), self.settings));
            lane.texts.push(number);
        }
        let Some(kind) = channel.flow() else { return (number, None) };
        let key = (channel.choice, kind);
        let flow = self.flows.entry(key).or_insert_with_key(|(_, kind)| Flow::new(number, kind));
        if flow.joined.is_none()
            && flow.first != number
            && let Some(first) = self.texts.get(flow.first)
        {
            let joined = self.texts.len();
            flow.joined = Some(joined);
            self.texts.push(Text::joined(
                first,
                Channel { pointer: Arc::clone(&flow.pointer), ..channel },
            ));
            lane.texts.push(joined);
            lane.join(flow.first, joined);
        }
        let Some(joined) = flow.joined else { return (number, None) };
        let at = |number: usize| self.texts.get(number).map_or(0, Text::received);
        flow.goes_on(at(joined), number, at(number));
        (number, Some(joined))
    }

    /// What the `number`th text is joined of, if it is.
    fn flow_of(&self, number: usize) -> Option<&Flow> {
        self.flows.values().find(|flow| flow.joined == Some(number))
    }

    /// Adds what is to be judged of `text`, the `number`th, to `examination`.
    fn add(&self, examination: &mut Examination, number: usize, text: &Text) {
        let flow = self.flow_of(number);
        let channel = Arc::clone(&text.channel.pointer);
        for (span, words) in text.readings() {
            let at = match span.start {
                0 => Arc::clone(&channel),
                start => format!("{channel}#{start}..{}", span.end).into(),
            };
            examination.passages.push(text.channel.passage(words, Arc::clone(&at)));
            if text.is_finished() && span.start == 0 {
                examination.passages.extend(text.channel.unescaped(words));
            }
            examination.readings.push((number, span.clone()));
            let pieces =
                flow.map_or_else(|| vec![(number, span.clone(), 0)], |flow| flow.pieces(&span));
            for (text, own, within) in pieces {
                let Some(channel) = self.texts.get(text).map(|text| &text.channel.pointer) else {
                    continue;
                };
                let within = within..within + own.len();
                let (at, channel) = (Arc::clone(&at), Arc::clone(channel));
                examination.parts.push(Part { at, within, text, start: own.start, channel });
            }
        }
    }
}
