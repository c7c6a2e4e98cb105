//! Judging an answer: all of it is held until there is a decision about all of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use classifiers_core::{Direction, Passage, Role};
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use http_body::Body;
use http_body_util::BodyExt;
use policies::Action;
use proxy_audit::Outcome;
use proxy_dialects::openai_chat::upstream_error_text;
use proxy_dialects::{Answer, ApiError, Dialect};
use proxy_stream::{HeldAnswer, StreamError};

use super::layer::Guarding;
use super::ruling::{Ruled, delivered, redacted, rule};
use crate::denial::Denial;
use crate::read::Asked;
use crate::record::{Entry, milliseconds};
use crate::reply::{Content, Ending, Reply};

/// The longest explanation of an upstream's error that is passed on, in bytes.
const ERROR_TEXT_BYTES: usize = 1024;
/// The largest error body that is read.
const ERROR_BODY_BYTES: usize = 64 * 1024;

/// What must be remembered of the request to judge its answer.
pub(super) struct Asker {
    entry: Entry,
    stream: bool,
    dialect: Dialect,
    choices: u64,
    language: Option<String>,
    /// What was done with the request.
    pub(super) input: Action,
    /// When the upstream was called.
    pub(super) called: Instant,
}

impl Asker {
    pub(super) fn of(asked: &Asked) -> Self {
        Self {
            entry: asked.entry.clone(),
            stream: asked.request.is_stream(),
            dialect: asked.request.dialect(),
            choices: asked.request.choices(),
            language: asked.language.clone(),
            input: Action::Allow,
            called: Instant::now(),
        }
    }

    fn note_upstream(&self) {
        let ms = milliseconds(self.called.elapsed());
        self.entry.note(|closed| closed.timing_ms.upstream = ms);
    }

    /// Decides about the answer's `passages`, and notes it.
    async fn rule(&self, guarding: &Guarding, passages: &[Passage]) -> Ruled {
        self.note_upstream();
        let started = Instant::now();
        let ruled = rule(&guarding.panel, &guarding.policy, passages).await;
        let ms = milliseconds(started.elapsed());
        self.entry.note(|closed| closed.timing_ms.guard_output = ms);
        ruled
    }

    fn note_ruling(&self, ruled: &mut Ruled) {
        let ruling = ruled.take_record();
        self.entry.note(|closed| closed.output = Some(ruling));
    }

    fn message(&self, guarding: &Guarding, ruled: &Ruled) -> String {
        let id = self.entry.id().to_string();
        guarding.policy.message(&ruled.decision.because, self.language.as_deref(), &id)
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
    if head.status != StatusCode::OK {
        return Err(upstream_error(&guarding, &asker, head, body).await);
    }
    match (media_type(&head.headers)?, asker.stream) {
        ("application/json", false) => plain(&guarding, &asker, body).await,
        ("text/event-stream", true) => {
            let keep_alive = guarding.limits.keep_alive;
            let rest = Box::pin(streamed(guarding, asker, body));
            let content = Content::Held { rest, keep_alive };
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
            Ok(Reply { status: StatusCode::OK, headers, content, permit: None })
        }
        (media, _) => Err(Denial::UpstreamInvalid(format!("it came as {media}"))),
    }
}

fn media_type(headers: &HeaderMap) -> Result<&'static str, Denial> {
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
async fn collect<B>(mut body: B, limit: usize, idle: Duration) -> Result<Vec<u8>, Denial>
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

async fn next_data<B>(body: &mut B, idle: Duration) -> Result<Option<Bytes>, Denial>
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
    if ruled.decision.action == Action::Redact && !redact(&mut answer, &ruled) {
        ruled.block_instead();
    }
    asker.note_ruling(&mut ruled);
    let outcome = delivered(asker.input, ruled.decision.action);
    if ruled.decision.action == Action::Block {
        if ruled.decision.unavailable {
            return Err(Denial::GuardUnavailable);
        }
        answer.withhold(&asker.message(guarding, &ruled));
    }
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let content = Content::Whole(answer.to_bytes().into(), outcome);
    Ok(Reply { status: StatusCode::OK, headers, content, permit: None })
}

fn redact(answer: &mut Answer, ruled: &Ruled) -> bool {
    ruled.redactions().iter().all(|(at, spans)| {
        redacted(answer.passages(), at, spans).is_some_and(|text| answer.replace(at, &text))
    })
}

/// Holds a streamed answer to its end, then judges it.
async fn streamed<B>(guarding: Arc<Guarding>, asker: Asker, body: B) -> Ending
where
    B: Body<Data = Bytes> + Send + Unpin,
    B::Error: std::fmt::Display,
{
    let held = match hold(&guarding, &asker, body).await {
        Ok(held) => held,
        Err(Denial::UpstreamTimeout) => {
            return broken("upstream_timeout", "the model server fell silent");
        }
        Err(denial) => {
            tracing::warn!(?denial, "the upstream's stream could not be read");
            return broken(
                "upstream_failed",
                "the model server's answer broke off or could not be read",
            );
        }
    };
    let Ok(passages) = held.passages() else {
        tracing::warn!("the upstream's stream ended before it was complete");
        return broken("upstream_failed", "the model server's answer broke off");
    };
    let mut ruled = asker.rule(&guarding, &passages).await;
    let message = asker.message(&guarding, &ruled);
    let redactions: Vec<_> =
        ruled.decision.redactions.iter().map(|cut| (&*cut.at, cut.span.clone())).collect();
    let events = match ruled.decision.action {
        Action::Block => Err(held),
        Action::Redact => Ok(held.release(&redactions)),
        Action::Allow | Action::Flag => Ok(held.release(&[])),
    };
    finish(&asker, &mut ruled, events, &message)
}

async fn hold<B>(guarding: &Guarding, asker: &Asker, mut body: B) -> Result<HeldAnswer, Denial>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    let limits = guarding.limits;
    let mut held = HeldAnswer::new(asker.choices, limits.answer_bytes);
    while !held.is_done() {
        let Some(data) = next_data(&mut body, limits.upstream_idle).await? else { break };
        held.feed(&data).map_err(|error| Denial::UpstreamInvalid(error.to_string()))?;
    }
    Ok(held)
}

/// The events to send: released, withheld, or an error where neither is possible.
fn finish(
    asker: &Asker,
    ruled: &mut Ruled,
    events: Result<Result<Vec<Vec<u8>>, StreamError>, HeldAnswer>,
    message: &str,
) -> Ending {
    let events = match events {
        Err(_) if ruled.decision.unavailable => {
            asker.note_ruling(ruled);
            let ending = broken(
                "guard_unavailable",
                "a safety check gave no verdict, so nothing was let through",
            );
            return Ending { outcome: Outcome::GuardUnavailable, ..ending };
        }
        Err(held) => held.withhold(message),
        Ok(Ok(events)) => events,
        Ok(Err(_)) => {
            // What cannot be cut out is not let through.
            ruled.block_instead();
            asker.note_ruling(ruled);
            let ending = broken("content_filter", "the answer was withheld");
            return Ending { outcome: Outcome::Blocked, ..ending };
        }
    };
    asker.note_ruling(ruled);
    let outcome = delivered(asker.input, ruled.decision.action);
    Ending { events, outcome, reason: None }
}

/// An error event: clients raise it, and nothing follows it.
fn broken(code: &'static str, message: &str) -> Ending {
    let error = ApiError::new("server_error", code, message);
    Ending { events: vec![error.to_bytes()], outcome: Outcome::UpstreamFailed, reason: Some(code) }
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
    let retry_after = head
        .headers
        .get(header::RETRY_AFTER)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.parse().ok());
    let message = match head.status.is_client_error() {
        true => explanation(guarding, asker, body).await,
        false => None,
    };
    asker.note_upstream();
    Denial::UpstreamStatus { status: head.status, message, retry_after }
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
