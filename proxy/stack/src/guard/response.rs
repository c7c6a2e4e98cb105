//! Judging an answer. A plain one is held until there is a decision about all of it; for a streamed one see `stream`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use classifiers_core::{Context, Direction, Passage, Role};
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use http_body::Body;
use http_body_util::BodyExt;
use policies::{Action, Policy};
use proxy_dialects::openai_chat::upstream_error_text;
use proxy_dialects::{Answer, Dialect, Moderation};

use super::context::{after, before_answer};
use super::layer::Guarding;
use super::moderation::Seen;
use super::request::Passed;
use super::ruling::{Ruled, delivered, redacted, rule};
use super::stream::streamed;
use crate::denial::Denial;
use crate::read::Asked;
use crate::record::{Entry, Side, milliseconds};
use crate::reply::{Content, Reply};

/// The longest explanation of an upstream's error that is passed on, in bytes.
const ERROR_TEXT_BYTES: usize = 1024;
/// The largest error body that is read.
const ERROR_BODY_BYTES: usize = 64 * 1024;

/// What must be remembered of the request to judge its answer.
pub(super) struct Asker {
    pub(super) entry: Entry,
    pub(super) policy: Policy,
    stream: bool,
    pub(super) dialect: Dialect,
    pub(super) choices: u64,
    language: Option<String>,
    /// What the answer comes after.
    pub(super) context: Context,
    /// What was done with the request.
    pub(super) input: Action,
    /// What the caller wants to be told, and what was found in the request.
    moderation: Option<(Moderation, Seen)>,
    /// When the upstream was called.
    pub(super) called: Instant,
}

impl Asker {
    pub(super) fn of(asked: &Asked) -> Self {
        Self {
            entry: asked.entry.clone(),
            policy: asked.policy.clone(),
            stream: asked.request.is_stream(),
            dialect: asked.request.dialect(),
            choices: asked.request.choices(),
            language: asked.language.clone(),
            context: before_answer(asked.request.passages()),
            input: Action::Allow,
            moderation: asked.request.moderation().map(|asked| (asked, Seen::default())),
            called: Instant::now(),
        }
    }

    /// The request was let through.
    pub(super) fn passed(&mut self, passed: Passed) {
        self.input = passed.action;
        if let (Some((_, own)), Some(seen)) = (&mut self.moderation, passed.seen) {
            *own = seen;
        }
    }

    /// Blocks more of an answer than the policy does, if the caller asked for that.
    pub(super) fn ask_more(&self, ruled: &mut Ruled) {
        if self.moderation.as_ref().is_some_and(|(asked, _)| asked.blocks_output) {
            ruled.block_what_counts();
        }
    }

    /// What was found in the request, if the caller wants to be told.
    pub(super) fn seen_in_request(&self) -> Option<&Seen> {
        self.moderation.as_ref().map(|(_, seen)| seen)
    }

    pub(super) fn note_upstream(&self) {
        let ms = milliseconds(self.called.elapsed());
        self.entry.note(|closed| closed.timing_ms.upstream = ms);
        self.entry.trace().answered();
    }

    /// Decides about the answer's `passages`, and notes it.
    async fn rule(&self, guarding: &Guarding, passages: &[Passage]) -> Ruled {
        self.note_upstream();
        let started = Instant::now();
        let passages_after = after(passages, &self.context);
        let trace = self.entry.trace();
        let ruled = rule(&guarding.panel, &self.policy, &passages_after, trace).await;
        let ms = milliseconds(started.elapsed());
        self.entry.keep(|texts| texts.add((Side::Answer, &self.policy), passages, &ruled.hidden));
        let bytes: usize = passages.iter().map(|passage| passage.text.len()).sum();
        self.entry.note(|closed| {
            closed.timing_ms.guard_output = ms;
            closed.answered.passages += u32::try_from(passages.len()).unwrap_or(u32::MAX);
            closed.answered.bytes += bytes as u64;
        });
        ruled
    }

    fn note_ruling(&self, ruled: &mut Ruled) {
        let ruling = ruled.take_record();
        self.entry.note(|closed| closed.output = Some(ruling));
    }

    pub(super) fn message(&self, ruled: &Ruled) -> String {
        let id = self.entry.id().to_string();
        self.policy.message(&ruled.decision.because, self.language.as_deref(), &id)
    }
}

/// Turns the upstream's response into a reply. What the upstream really sent decides how it is read: a stream
/// that was not asked for is an error, and so is a plain answer where a stream was asked for.
pub(super) async fn answer<B>(
    guarding: Arc<Guarding>,
    asker: Asker,
    response: Response<B>,
) -> Result<Reply, Denial>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: std::fmt::Display,
{
    let (head, body) = response.into_parts();
    asker.entry.trace().answers(head.status);
    if head.status != StatusCode::OK {
        return Err(upstream_error(&guarding, &asker, head, body).await);
    }
    match (media_type(&head.headers)?, asker.stream) {
        ("application/json", false) => plain(&guarding, &asker, body).await,
        ("text/event-stream", true) => Ok(streamed(guarding, asker, body)),
        (media, _) => Err(Denial::UpstreamInvalid(format!("it came as {media}"))),
    }
}

pub(super) fn media_type(headers: &HeaderMap) -> Result<&'static str, Denial> {
    let identity = headers.get(header::CONTENT_ENCODING).is_none_or(|value| value == "identity");
    let media = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .map(|value| value.trim().to_ascii_lowercase());
    match media.as_deref() {
        _ if !identity => Err(Denial::UpstreamInvalid("it is compressed".to_owned())),
        Some("application/json") => Ok("application/json"),
        Some("text/event-stream") => Ok("text/event-stream"),
        _ => Err(Denial::UpstreamInvalid("its media type is not one of an answer".to_owned())),
    }
}

/// Collects a body within limits of size and silence.
pub(super) async fn collect<B>(mut body: B, limit: usize, idle: Duration) -> Result<Vec<u8>, Denial>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    let mut bytes = Vec::new();
    while let Some(data) = next_data(&mut body, idle).await? {
        if bytes.len() + data.len() > limit {
            return Err(Denial::UpstreamInvalid(format!("it is larger than {limit} bytes")));
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}

pub(super) async fn next_data<B>(body: &mut B, idle: Duration) -> Result<Option<Bytes>, Denial>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    match tokio::time::timeout(idle, body.frame()).await {
        Err(_) => Err(Denial::UpstreamTimeout),
        Ok(None) => Ok(None),
        Ok(Some(Ok(frame))) => Ok(Some(frame.into_data().unwrap_or_default())),
        Ok(Some(Err(error))) => Err(Denial::UpstreamInvalid(format!("it broke off: {error}"))),
    }
}

async fn plain<B>(guarding: &Guarding, asker: &Asker, body: B) -> Result<Reply, Denial>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    let limits = guarding.limits;
    let bytes = collect(body, limits.answer_bytes, limits.upstream_idle).await?;
    let mut answer = asker
        .dialect
        .read_answer(&bytes)
        .map_err(|error| Denial::UpstreamInvalid(error.to_string()))?;
    let mut ruled = asker.rule(guarding, answer.passages()).await;
    asker.ask_more(&mut ruled);
    let seen = asker.seen_in_request().map(|_| Seen::of(&ruled));
    if ruled.decision.action == Action::Redact && !redact(&mut answer, &ruled) {
        ruled.block_instead();
    }
    asker.note_ruling(&mut ruled);
    let outcome = delivered(asker.input, ruled.decision.action);
    if ruled.decision.action == Action::Block {
        if ruled.decision.unavailable {
            return Err(Denial::GuardUnavailable);
        }
        answer.withhold(&asker.message(&ruled));
    }
    if let (Some(input), Some(output)) = (asker.seen_in_request(), seen) {
        answer.moderate(&input.moderated(), &output.moderated());
    }
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let content = Content::Whole(answer.to_bytes().into(), outcome);
    Ok(Reply { status: StatusCode::OK, headers, content, permit: None })
}

fn redact(answer: &mut Answer, ruled: &Ruled) -> bool {
    ruled.redactions(answer.passages()).iter().all(|(at, spans)| {
        redacted(answer.passages(), at, spans).is_some_and(|text| answer.replace(at, &text))
    })
}

/// An upstream's refusal. Its explanation may repeat the prompt or reveal what is inside the server, so it is
/// passed on only for the caller's own mistakes, only if short, and judged like any other text.
async fn upstream_error<B>(
    guarding: &Guarding,
    asker: &Asker,
    head: http::response::Parts,
    body: B,
) -> Denial
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    let retry_after = retry_after(&head.headers);
    let message = match head.status.is_client_error() {
        true => explanation(guarding, asker, body).await,
        false => None,
    };
    asker.note_upstream();
    Denial::UpstreamStatus { status: head.status, message, retry_after }
}

/// When the upstream says it pays to try again, in seconds.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::RETRY_AFTER)?.to_str().ok()?.parse().ok()
}

async fn explanation<B>(guarding: &Guarding, asker: &Asker, body: B) -> Option<String>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    let bytes = collect(body, ERROR_BODY_BYTES, guarding.limits.upstream_idle).await.ok()?;
    let text = upstream_error_text(&bytes).filter(|text| text.len() <= ERROR_TEXT_BYTES)?;
    let passage = Passage::new(text.as_str(), Role::Assistant, Direction::Output, "/error/message");
    let mut ruled = asker.rule(guarding, &[passage]).await;
    asker.note_ruling(&mut ruled);
    (ruled.decision.action <= Action::Flag).then_some(text)
}
