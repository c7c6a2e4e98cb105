//! Judging a streamed answer while it comes: drives the stream guard with the upstream's bytes, the panel's verdicts and
//! the clock.
//!
//! Everything happens inside the response body: who does not read is not read for, and who leaves takes the upstream's
//! connection along.

use std::collections::BTreeMap;
use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::stream::unfold;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body::Body;
use http_body_util::BodyExt;
use policies::{Action, StreamingMode};
use proxy_audit::{Outcome, ReadSummary, Unchecked};
use proxy_dialects::{ApiError, Envelope};
use proxy_stream::{Bounds, Examination, Mode, Settings, StreamError, StreamGuard};
use tokio::time::{Instant, sleep_until};

use super::context::after;
use super::layer::Guarding;
use super::moderation::Seen;
use super::response::{Asker, next_data};
use super::ruling::{Ruled, delivered, recorded, rule};
use super::tally::{Tally, place};
use crate::denial::Denial;
use crate::headers as names;
use crate::record::milliseconds;
use crate::reply::{Content, Ending, LetGo, Part, Reply};

/// The reply whose body is the answer that `body` streams.
pub(super) fn streamed<B>(guarding: Arc<Guarding>, asker: Asker, body: B) -> Reply
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: std::fmt::Display,
{
    let keep_alive = guarding.limits.keep_alive;
    let mode = asker.policy.streaming().mode;
    let dialect = asker.dialect;
    let answer = Answering::new(guarding, asker, body);
    let parts = Box::pin(unfold(Some(answer), Answering::next));
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(names::STREAMING, HeaderValue::from_static(mode.name()));
    let content = Content::Streamed { parts, keep_alive, dialect };
    Reply { status: StatusCode::OK, headers, content, permit: None }
}

fn settings(policy: &policies::Policy) -> Settings {
    let policies::Streaming { mode, window, overlap, max_wait } = policy.streaming();
    let mode = match mode {
        StreamingMode::Hold => Mode::Hold,
        StreamingMode::Follow => Mode::Follow,
        StreamingMode::Whole => Mode::Whole,
    };
    Settings { mode, window, overlap, max_wait }
}

/// What a stream under `policy` is held back at most.
pub(crate) fn bounds(policy: &policies::Policy) -> Bounds {
    settings(policy).bounds(policy.patience())
}

/// A verdict on its way. Boxed: it is kept between the polls of everything else.
type Judging = Pin<Box<dyn Future<Output = (Examination, Ruled)> + Send>>;

/// A streamed answer under way.
struct Answering<B> {
    guarding: Arc<Guarding>,
    asker: Asker,
    settings: Settings,
    stream: StreamGuard,
    /// Gone as soon as nothing more is wanted of the upstream: dropping it ends the call.
    body: Option<B>,
    began: Instant,
    judging: Option<Judging>,
    tally: Tally,
    /// What was found, for a caller who wants to be told.
    seen: Seen,
    /// How long verdicts took, one after the other.
    judged: Duration,
    /// The most bytes that were held at a time.
    held: usize,
    /// How much of each text has been let go.
    until: BTreeMap<String, u64>,
}

/// What happened next.
enum Happened {
    Received(Result<Option<Bytes>, Denial>),
    Judged(Box<(Examination, Ruled)>),
    Waited,
}

impl<B> Answering<B>
where
    B: Body<Data = Bytes> + Send + Unpin,
    B::Error: std::fmt::Display,
{
    fn new(guarding: Arc<Guarding>, asker: Asker, body: B) -> Self {
        let settings = settings(&asker.policy);
        let limit = guarding.limits.answer_bytes;
        let stream = StreamGuard::new(asker.dialect, settings, asker.choices, limit);
        if settings.ahead() > 0 {
            let ahead = settings.ahead();
            let why = format!("follow: up to {ahead} characters of a text leave before a verdict");
            let unchecked = Unchecked { at: "".into(), why: why.into() };
            asker.entry.note(|closed| closed.unchecked.push(unchecked));
        }
        Self {
            guarding,
            asker,
            settings,
            stream,
            body: Some(body),
            began: Instant::now(),
            judging: None,
            tally: Tally::default(),
            seen: Seen::default(),
            judged: Duration::ZERO,
            held: 0,
            until: BTreeMap::new(),
        }
    }

    /// The next part of the answer, and the rest of it.
    async fn next(answering: Option<Self>) -> Option<(Part, Option<Self>)> {
        let mut answering = answering?;
        loop {
            let happened = answering.happen().await;
            let ended = match happened {
                Happened::Received(data) => answering.receive(data).err(),
                Happened::Judged(judged) => answering.decide(judged.0, judged.1).err(),
                Happened::Waited => None,
            };
            if let Some(stopped) = ended {
                return Some((Part::Last(answering.stop(stopped)), None));
            }
            let events = answering.stream.release();
            answering.note_released();
            if answering.stream.is_over() {
                let events = answering.tell(events, answering.stream.envelope());
                let outcome = delivered(answering.asker.input, answering.tally.action());
                return Some((Part::Last(Ending { events, outcome, reason: None }), None));
            }
            if !events.is_empty() {
                return Some((Part::Some(events, answering.let_go()), Some(answering)));
            }
        }
    }

    /// Waits for whatever comes first: bytes, a verdict, or the time to ask for one.
    async fn happen(&mut self) -> Happened {
        self.ask();
        let Self { body, stream, judging, guarding, began, .. } = self;
        let idle = guarding.limits.upstream_idle;
        let deadline = stream.deadline().map(|deadline| *began + deadline);
        let wants_more = stream.wants_more();
        tokio::select! {
            // A verdict lets text go; nothing is gained by reading on before it is taken in.
            biased;
            judged = async {
                match judging {
                    Some(judging) => judging.await,
                    None => pending().await,
                }
            } => {
                self.judging = None;
                Happened::Judged(Box::new(judged))
            }
            data = async {
                match body {
                    Some(body) if wants_more => next_data(body, idle).await,
                    _ => pending().await,
                }
            } => Happened::Received(data),
            () = async {
                match deadline {
                    Some(deadline) => sleep_until(deadline).await,
                    None => pending().await,
                }
            } => Happened::Waited,
        }
    }

    /// Asks for the next verdict, if one is due and none is under way.
    fn ask(&mut self) {
        if self.judging.is_some() {
            return;
        }
        let nothing = self.stream.is_judged() && self.tally.is_empty();
        let examination = match self.stream.examine(self.began.elapsed()) {
            Some(examination) => examination,
            // An answer that says nothing is decided about too.
            None if nothing => Examination::empty(),
            None => return,
        };
        let (guarding, policy) = (Arc::clone(&self.guarding), self.asker.policy.clone());
        let passages = after(examination.passages(), &self.asker.context);
        let trace = self.asker.entry.trace().clone();
        self.judging = Some(Box::pin(async move {
            let ruled = rule(&guarding.panel, &policy, &passages, &trace).await;
            (examination, ruled)
        }));
    }

    fn receive(&mut self, data: Result<Option<Bytes>, Denial>) -> Result<(), Stopped> {
        let fed = match data.map_err(Stopped::Upstream)? {
            Some(data) => self.stream.feed(&data, self.began.elapsed()),
            None => self.stream.end(),
        };
        self.held = self.held.max(self.stream.held());
        fed.map_err(Stopped::Unreadable)?;
        if self.stream.is_ended() {
            self.asker.note_upstream();
            // The end of the body is often there already; with it read, the connection can be used again.
            if let Some(mut body) = self.body.take() {
                drop(body.frame().now_or_never());
            }
        }
        Ok(())
    }

    /// Carries out a decision about a part of the answer, and notes it.
    fn decide(&mut self, examination: Examination, mut ruled: Ruled) -> Result<(), Stopped> {
        self.asker.ask_more(&mut ruled);
        let (policy, passages) = (&self.asker.policy, examination.passages());
        let stands = |at: &str, span: &_| examination.places(at, span);
        self.asker.entry.keep(|texts| texts.stream(policy, passages, &ruled.hidden, stands));
        if self.asker.seen_in_request().is_some() {
            self.seen.add(&ruled);
        }
        let mut ruling = ruled.take_record();
        place(&mut ruling, &examination);
        let now = self.began.elapsed();
        self.judged += now.saturating_sub(examination.asked());
        self.guarding.metrics.text_waited(now.saturating_sub(examination.oldest()));
        let cuts: Vec<_> = match ruled.decision.action {
            Action::Redact => {
                let cuts = ruled.decision.redactions.iter();
                cuts.map(|cut| (Arc::clone(&cut.at), cut.span.clone())).collect()
            }
            Action::Allow | Action::Flag | Action::Block => Vec::new(),
        };
        if ruled.decision.action != Action::Block && self.stream.clear(examination, &cuts).is_err()
        {
            // What cannot be cut out is not let through.
            ruled.block_instead();
        }
        self.tally.add((ruled.decision.action, ruled.decision.would), ruling);
        let (ruling, ms) = (self.tally.ruling(), milliseconds(self.judged));
        self.asker.entry.note(|closed| {
            closed.output = ruling;
            closed.timing_ms.guard_output = ms;
        });
        match ruled.decision.action {
            Action::Block => Err(Stopped::Blocked(Box::new(ruled))),
            Action::Allow | Action::Flag | Action::Redact => Ok(()),
        }
    }

    /// Notes how much of the answer has passed.
    fn note_released(&self) {
        let lengths = self.stream.released().map(|(_, length)| length);
        let answered =
            lengths.fold(ReadSummary::default(), |ReadSummary { passages, bytes }, length| {
                ReadSummary { passages: passages + 1, bytes: bytes + length }
            });
        self.asker.entry.note(|closed| closed.answered = answered);
    }

    /// What a part of the answer lets go, to be recorded before it leaves.
    fn let_go(&mut self) -> Option<LetGo> {
        let mut until = BTreeMap::new();
        for (at, length) in self.stream.released() {
            if self.until.get(&at).copied().unwrap_or(0) < length {
                until.insert(at.clone().into(), length);
                self.until.insert(at, length);
            }
        }
        let action = recorded(self.tally.action());
        (self.settings.mode != Mode::Follow).then_some(LetGo { action, until })
    }

    /// The last `events` of the answer; a caller who asked is told there what was found.
    fn tell(&self, events: Vec<Vec<u8>>, like: Option<&Envelope>) -> Vec<Vec<u8>> {
        let Some(input) = self.asker.seen_in_request() else { return events };
        let (input, output) = (input.moderated(), self.seen.moderated());
        self.asker.dialect.moderate(events, like, (&input, &output))
    }

    /// Ends the answer before its time. The upstream's call ends here too.
    fn stop(&mut self, stopped: Stopped) -> Ending {
        self.body = None;
        self.asker.note_upstream();
        match stopped {
            Stopped::Blocked(ruled) if ruled.decision.unavailable => {
                let message = "a safety check gave no verdict, so nothing more was let through";
                let ending = self.broken("guard_unavailable", message);
                Ending { outcome: Outcome::GuardUnavailable, ..ending }
            }
            Stopped::Blocked(ruled) => {
                let message = self.asker.message(&ruled);
                let nothing = StreamGuard::new(self.asker.dialect, self.settings, 0, 0);
                let stream = std::mem::replace(&mut self.stream, nothing);
                let like = stream.envelope().cloned();
                let events = self.tell(stream.cut(&message), like.as_ref());
                Ending { events, outcome: Outcome::Blocked, reason: None }
            }
            Stopped::Upstream(Denial::UpstreamTimeout) => {
                self.broken("upstream_timeout", "the model server fell silent")
            }
            Stopped::Upstream(denial) => {
                tracing::warn!(?denial, "the upstream's stream could not be read");
                self.broken("upstream_failed", "the model server's answer broke off")
            }
            Stopped::Unreadable(error) => {
                tracing::warn!(%error, "the upstream's stream could not be read");
                let message = "the model server's answer broke off or could not be read";
                self.broken("upstream_failed", message)
            }
        }
    }

    /// An error event: clients raise it, and nothing follows it.
    fn broken(&self, code: &'static str, message: &str) -> Ending {
        let error = self.asker.dialect.error(&ApiError::new("server_error", code, message));
        Ending { events: vec![error], outcome: Outcome::UpstreamFailed, reason: Some(code) }
    }
}

/// Counted when it is over, however it ends.
impl<B> Drop for Answering<B> {
    fn drop(&mut self) {
        self.guarding.metrics.stream_held(self.held);
    }
}

/// Why an answer ends before its time.
enum Stopped {
    Blocked(Box<Ruled>),
    Upstream(Denial),
    Unreadable(StreamError),
}
