//! A streamed answer that nobody has seen yet.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use classifiers_core::Passage;
use proxy_dialects::ReadError;
use proxy_dialects::openai_chat::{Channel, Chunk, DONE, withheld_events};

use crate::redact::{REDACTED, merged};
use crate::sse::{SseDecoder, SseError};

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
    /// More text than may be held, in bytes.
    #[error("the upstream's answer is larger than {0} bytes")]
    TooLarge(usize),
    /// A choice that was not asked for.
    #[error("the upstream's stream holds a choice that was not asked for")]
    UnknownChoice,
    /// A span that a redaction names does not lie in the answer.
    #[error("a redaction does not fit the answer")]
    Redaction,
}

/// A streamed answer on its way in, and then held.
///
/// Its text leaves only through [`release`](Self::release) and [`withhold`](Self::withhold), which consume it.
#[derive(Debug)]
pub struct HeldAnswer {
    sse: SseDecoder,
    chunks: Vec<Chunk>,
    choices: u64,
    finished: BTreeSet<u64>,
    done: bool,
    held: usize,
    limit: usize,
}

impl HeldAnswer {
    /// Nothing received yet of an answer with up to `choices` choices and at most `limit` bytes.
    #[must_use]
    pub const fn new(choices: u64, limit: usize) -> Self {
        let sse = SseDecoder::new(limit);
        let finished = BTreeSet::new();
        Self { sse, chunks: Vec::new(), choices, finished, done: false, held: 0, limit }
    }

    /// Takes the next bytes of the upstream's stream. What comes after `[DONE]` is ignored.
    ///
    /// # Errors
    /// When the bytes cannot be read as chunks, or are too many.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), StreamError> {
        if self.done {
            return Ok(());
        }
        self.held += bytes.len();
        if self.held > self.limit {
            return Err(StreamError::TooLarge(self.limit));
        }
        for data in self.sse.feed(bytes)? {
            if data.as_bytes() == DONE {
                self.done = true;
                break;
            }
            let chunk = Chunk::parse(data.as_bytes()).map_err(StreamError::Chunk)?;
            if chunk.choices().any(|index| index >= self.choices) {
                return Err(StreamError::UnknownChoice);
            }
            self.finished.extend(chunk.finished());
            self.chunks.push(chunk);
        }
        Ok(())
    }

    /// Whether `[DONE]` was received: nothing that comes after it counts.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        self.done
    }

    /// Whether the answer is complete: `[DONE]` was received, or every choice gave its finish reason and no event is
    /// half received. Some servers (`transformers serve` among them) never send `[DONE]`.
    fn is_complete(&self) -> bool {
        let all_finished = self.finished.len() as u64 == self.choices;
        self.done || (all_finished && !self.sse.is_mid_event())
    }

    /// Everything the answer says: every channel of every choice, whole. To be asked once the answer is
    /// complete.
    ///
    /// # Errors
    /// [`StreamError::Incomplete`] if it is not.
    pub fn passages(&self) -> Result<Vec<Passage>, StreamError> {
        if !self.is_complete() {
            return Err(StreamError::Incomplete);
        }
        let channels = self.channels();
        Ok(channels.into_iter().flat_map(|(channel, text)| channel.passages(&text)).collect())
    }

    /// The data of the events that release the answer, with `redactions` (a passage's pointer and a span of its
    /// text) cut out.
    ///
    /// # Errors
    /// [`StreamError::Redaction`] if a redaction does not fit; nothing is released then.
    pub fn release(
        mut self,
        redactions: &[(&str, Range<usize>)],
    ) -> Result<Vec<Vec<u8>>, StreamError> {
        if !redactions.is_empty() {
            self.redact(redactions)?;
        }
        let mut events: Vec<Vec<u8>> = self.chunks.iter().map(Chunk::to_bytes).collect();
        events.push(DONE.to_vec());
        Ok(events)
    }

    /// The data of the events that take the answer's place: none of its text, `refusal` for every choice.
    #[must_use]
    pub fn withhold(self, refusal: &str) -> Vec<Vec<u8>> {
        let usage = self.chunks.iter().rfind(|chunk| chunk.is_usage());
        let choices: Vec<u64> = (0..self.choices).collect();
        match self.chunks.first() {
            Some(like) => withheld_events(like, &choices, refusal, usage),
            None => vec![DONE.to_vec()],
        }
    }

    fn channels(&self) -> BTreeMap<Channel, String> {
        let mut channels: BTreeMap<Channel, String> = BTreeMap::new();
        for delta in self.chunks.iter().flat_map(Chunk::deltas) {
            channels.entry(delta.channel.clone()).or_default().push_str(&delta.text);
        }
        channels
    }

    fn redact(&mut self, redactions: &[(&str, Range<usize>)]) -> Result<(), StreamError> {
        let mut spans: BTreeMap<Channel, Vec<Range<usize>>> = BTreeMap::new();
        for (at, span) in redactions {
            let channels = self.channels();
            let (channel, _) = channels
                .iter()
                .find(|(channel, text)| {
                    let passages = channel.passages(text);
                    passages.first().is_some_and(|passage| &*passage.origin.at == *at)
                        && text.get(span.clone()).is_some()
                })
                .ok_or(StreamError::Redaction)?;
            spans.entry(channel.clone()).or_default().push(span.clone());
        }
        for (channel, spans) in spans {
            self.cut(&channel, &merged(&spans)).ok_or(StreamError::Redaction)?;
        }
        Ok(())
    }

    /// Cuts `spans` of a channel's text out of the pieces it came in; the mark stands in the piece where a
    /// span begins.
    fn cut(&mut self, channel: &Channel, spans: &[Range<usize>]) -> Option<()> {
        let mut start = 0;
        for chunk in &mut self.chunks {
            for number in 0..chunk.deltas().len() {
                let delta = chunk.deltas().get(number)?;
                if delta.channel == *channel {
                    let end = start + delta.text.len();
                    let kept = keep(&delta.text, start, spans)?;
                    chunk.replace(number, &kept);
                    start = end;
                }
            }
        }
        Some(())
    }
}

/// What stays of a `piece` that begins at `start` of its channel's text.
fn keep(piece: &str, start: usize, spans: &[Range<usize>]) -> Option<String> {
    let end = start + piece.len();
    let mut kept = String::new();
    let mut from = start;
    for span in spans.iter().filter(|span| span.start < end && span.end > start) {
        kept.push_str(piece.get(from - start..span.start.max(start) - start)?);
        if span.start >= start {
            kept.push_str(REDACTED);
        }
        from = span.end.min(end);
    }
    kept.push_str(piece.get(from - start..)?);
    Some(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(index: u64, delta: &str) -> String {
        format!(
            r#"data: {{"id":"c1","object":"chat.completion.chunk","created":1,"model":"m","secret":"x","choices":[{{"index":{index},"delta":{delta},"logprobs":{{"content":[]}},"finish_reason":null}}]}}"#
        ) + "\n\n"
    }

    fn held(events: &[String]) -> HeldAnswer {
        let mut answer = HeldAnswer::new(2, 1 << 20);
        for event in events {
            answer.feed(event.as_bytes()).unwrap();
        }
        answer.feed(b"data: [DONE]\n\n").unwrap();
        answer
    }

    fn said(answer: &HeldAnswer) -> Vec<(String, String)> {
        let passages = answer.passages().unwrap();
        passages.iter().map(|p| (p.origin.at.to_string(), p.text.to_string())).collect()
    }

    #[test]
    fn each_channel_of_each_choice_is_one_text() {
        let call = |args: &str| {
            format!(
                r#"{{"tool_calls":[{{"index":3,"id":"c","function":{{"arguments":{args}}}}}]}}"#
            )
        };
        let answer = held(&[
            chunk(0, r#"{"role":"assistant","content":""}"#),
            chunk(1, r#"{"content":"two "}"#),
            chunk(0, r#"{"content":"PORT","reasoning":"why"}"#),
            chunk(0, r#"{"content":"CULLIS"}"#),
            chunk(1, &call(r#""{\"a\":\"\\u00""#)),
            chunk(1, &call(r#""e9\"}""#)),
        ]);
        let expected = [
            ("/choices/0/message/content", "PORTCULLIS"),
            ("/choices/0/message/reasoning", "why"),
            ("/choices/1/message/content", "two "),
            ("/choices/1/message/tool_calls/3/function/arguments", r#"{"a":"\u00e9"}"#),
            ("/choices/1/message/tool_calls/3/function/arguments#unescaped", "a\né"),
            ("/choices/1/message/tool_calls/3/id", "cc"),
        ];
        let expected = expected.map(|(at, text)| (at.to_owned(), text.to_owned()));
        assert_eq!(said(&answer), expected);
    }

    #[test]
    fn what_is_released_is_what_was_judged_and_nothing_else() {
        let answer = held(&[chunk(0, r#"{"content":"a"}"#), chunk(0, r#"{"content":"b"}"#)]);
        let events = answer.release(&[]).unwrap();
        let text = String::from_utf8(events.concat()).unwrap();
        assert!(text.contains(r#""content":"a""#) && text.contains(r#""content":"b""#));
        assert!(!text.contains("secret") && !text.contains("logprobs"));
        assert!(text.ends_with("[DONE]"));
    }

    #[test]
    fn a_span_is_cut_across_chunks() {
        let pieces = ["my ke", "y is sk-", "123", "4 ok"];
        let events: Vec<String> =
            pieces.iter().map(|p| chunk(0, &format!(r#"{{"content":"{p}"}}"#))).collect();
        let at = "/choices/0/message/content";
        let released = held(&events).release(&[(at, 10..17)]).unwrap();
        let mut again = HeldAnswer::new(1, 1 << 20);
        for event in &released {
            again.feed(&crate::encode(event)).unwrap();
        }
        assert_eq!(said(&again), [(at.to_owned(), "my key is [REDACTED] ok".to_owned())]);
        assert!(held(&events).release(&[(at, 10..99)]).is_err());
        assert!(held(&events).release(&[("/choices/1/message/content", 0..1)]).is_err());
    }

    #[test]
    fn a_withheld_answer_keeps_nothing_but_usage() {
        let usage = r#"data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"m","choices":[],"usage":{"total_tokens":9}}"#.to_owned() + "\n\n";
        let events = held(&[chunk(0, r#"{"content":"bad"}"#), usage]).withhold("no");
        let text = String::from_utf8(events.concat()).unwrap();
        assert!(!text.contains("bad"));
        assert_eq!(text.matches(r#""refusal":"no""#).count(), 2);
        assert_eq!(text.matches("content_filter").count(), 2);
        assert!(text.contains(r#""total_tokens":9"#) && text.ends_with("[DONE]"));
    }

    #[test]
    fn what_cannot_be_judged_is_an_error() {
        let feed = |bytes: &str| HeldAnswer::new(1, 4096).feed(bytes.as_bytes());
        assert!(matches!(feed("data: {\n\n"), Err(StreamError::Chunk(_))));
        assert!(matches!(
            feed("data: {\"error\":{\"message\":\"x\"}}\n\n"),
            Err(StreamError::Chunk(_))
        ));
        assert!(matches!(feed(&chunk(1, "{}")), Err(StreamError::UnknownChoice)));
        assert!(matches!(feed(&"x".repeat(5000)), Err(StreamError::TooLarge(_))));
        let mut finished = HeldAnswer::new(1, 4096);
        finished
            .feed(
                chunk(0, r#"{"content":"a"}"#)
                    .replace("\"finish_reason\":null", "\"finish_reason\":\"stop\"")
                    .as_bytes(),
            )
            .unwrap();
        assert_eq!(said(&finished).len(), 1);
        finished.feed(b"data: {").unwrap();
        assert!(matches!(finished.passages(), Err(StreamError::Incomplete)));
        let mut cut_short = HeldAnswer::new(1, 4096);
        cut_short.feed(chunk(0, r#"{"content":"a"}"#).as_bytes()).unwrap();
        assert!(matches!(cut_short.passages(), Err(StreamError::Incomplete)));
    }
}
