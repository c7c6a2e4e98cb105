//! What the caller is told when there is no answer: the one place where a denial becomes a status, an error
//! object and an outcome. Also puts the guard's own headers on every reply.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use jiff::Timestamp;
use policies::{Policy, ReplyAs};
use proxy_audit::{Mode, Outcome};
use proxy_dialects::{ApiError, Dialect, Refusal};
use proxy_identity::Fault;
use tower::{Layer, Service};

use crate::active::InForce;
use crate::denial::{Block, Denial, WantsUsage};
use crate::record::{Entry, Exchange};
use crate::reply::{Content, Reply, ReplyBody};
use crate::routes::served;
use crate::{HttpFault, headers};

/// How long a client should wait before it tries again when one of our parts is overloaded or down.
const RETRY: Duration = Duration::from_secs(1);

/// Turns every denial into a reply in the caller's dialect.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RespondLayer;

impl<S> Layer<S> for RespondLayer {
    type Service = Respond<S>;

    fn layer(&self, inner: S) -> Respond<S> {
        Respond { inner }
    }
}

/// The service of [`RespondLayer`]; as ready as the one inside.
#[derive(Clone)]
pub(crate) struct Respond<S> {
    inner: S,
}

impl<S> Service<Exchange> for Respond<S>
where
    S: Service<Exchange, Response = Reply, Error = Denial>,
    S::Future: Unpin,
{
    type Response = Reply;
    type Error = std::convert::Infallible;
    type Future = Responding<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        // Nothing further in waits for readiness: every layer there is ready, or says no in its reply.
        self.inner.poll_ready(context).map(|_| Ok(()))
    }

    fn call(&mut self, exchange: Exchange) -> Self::Future {
        let (in_force, entry) = (Arc::clone(&exchange.in_force), exchange.entry.clone());
        let policy = &in_force.policy;
        entry.note(|closed| {
            closed.policy = Some(policy.label().to_owned().into());
            closed.mode = mode(policy.mode());
        });
        // Who sends to no route of ours is answered in the most common format.
        let dialect = Dialect::at(exchange.request.uri().path()).unwrap_or(Dialect::OPENAI_CHAT);
        Responding { inner: self.inner.call(exchange), in_force, dialect, entry }
    }
}

/// A mode, as records spell it.
pub(crate) const fn mode(mode: policies::Mode) -> Mode {
    match mode {
        policies::Mode::Enforce => Mode::Enforce,
        policies::Mode::Shadow => Mode::Shadow,
    }
}

/// The reply to come, denied or not.
pub(crate) struct Responding<F> {
    inner: F,
    in_force: Arc<InForce>,
    dialect: Dialect,
    entry: Entry,
}

impl<F: Future<Output = Result<Reply, Denial>> + Unpin> Future for Responding<F> {
    type Output = Result<Reply, std::convert::Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.inner).poll(context).map(|result| {
            let policy = &self.in_force.policy;
            let speaker = Speaker { policy, dialect: self.dialect, entry: &self.entry };
            let mut reply = result.unwrap_or_else(|denial| speaker.deny(denial));
            let word = HeaderValue::from_static(decision_word(&reply.content));
            reply.headers.insert(headers::DECISION, word);
            if let Some(label) = self.in_force.label.clone() {
                reply.headers.insert(headers::POLICY, label);
            }
            Ok(reply)
        })
    }
}

const fn decision_word(content: &Content) -> &'static str {
    match content {
        Content::Streamed { .. } => "pending",
        Content::Whole(_, Outcome::Allowed) => "allow",
        Content::Whole(_, Outcome::Flagged) => "flag",
        Content::Whole(_, Outcome::Redacted) => "redact",
        Content::Whole(_, Outcome::Blocked) => "block",
        Content::Whole(_, Outcome::GuardUnavailable) => "unavailable",
        Content::Whole(..) => "none",
    }
}

/// Says no to one request.
struct Speaker<'a> {
    policy: &'a Policy,
    dialect: Dialect,
    entry: &'a Entry,
}

impl Speaker<'_> {
    fn deny(&self, denial: Denial) -> Reply {
        let told = match denial {
            Denial::Blocked(block) => return self.blocked(&block),
            denial => tell(denial),
        };
        self.entry.note(|closed| closed.reason = Some(told.reason.clone().into()));
        told.into_reply(self.dialect)
    }

    /// A block, as the policy wants it said: as a client error, or as an ordinary answer that refuses, where there
    /// can be one.
    fn blocked(&self, block: &Block) -> Reply {
        let id = self.entry.id().to_string();
        let because = &block.decision.because;
        let text = self.policy.message(because, block.language.as_deref(), &id);
        let answer = match self.policy.reply_as() {
            ReplyAs::Error => None,
            ReplyAs::Refusal => refusal(&id, block, &text),
        };
        answer.unwrap_or_else(|| {
            let mut told = Told::refused(StatusCode::BAD_REQUEST, "content_filter", text);
            if let Some(at) = &block.at {
                told.error = told.error.pointing_at(at);
            }
            Told { outcome: Outcome::Blocked, ..told }.into_reply(self.dialect)
        })
    }
}

/// What is told, and what is recorded.
struct Told {
    status: StatusCode,
    headers: HeaderMap,
    error: ApiError,
    outcome: Outcome,
    reason: String,
}

impl Told {
    fn new(
        status: StatusCode,
        kind: &'static str,
        code: &'static str,
        message: impl Into<String>,
    ) -> Self {
        let outcome = if status.is_client_error() { Outcome::Refused } else { Outcome::Failed };
        let error = ApiError::new(kind, code, message);
        Self { status, headers: HeaderMap::new(), error, outcome, reason: code.to_owned() }
    }

    /// The caller's mistake: trying again will not help.
    fn refused(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        let mut told = Self::new(status, "invalid_request_error", code, message);
        told.headers.insert(headers::SHOULD_RETRY, HeaderValue::from_static("false"));
        told
    }

    /// Ours or the upstream's fault.
    fn failed(
        status: StatusCode,
        code: &'static str,
        outcome: Outcome,
        message: &'static str,
    ) -> Self {
        Self { outcome, ..Self::new(status, "server_error", code, message) }
    }

    fn with(mut self, name: HeaderName, value: impl Into<HeaderValue>) -> Self {
        self.headers.insert(name, value.into());
        self
    }

    fn retry_after(self, wait: Duration) -> Self {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        self.with(header::RETRY_AFTER, seconds.max(1))
    }

    fn into_reply(mut self, dialect: Dialect) -> Reply {
        self.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let content = Content::Whole(dialect.error(&self.error).into(), self.outcome);
        Reply { status: self.status, headers: self.headers, content, permit: None }
    }
}

/// What is told where not even the request's first line could be read, so that there is nothing to record.
#[must_use]
pub fn unrecognised(fault: HttpFault) -> Response<ReplyBody> {
    let told = tell(Denial::from(fault));
    let mut response = Response::new(ReplyBody::whole(told.error.to_bytes().into(), None));
    *response.status_mut() = told.status;
    *response.headers_mut() = told.headers;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

fn tell(denial: Denial) -> Told {
    match denial {
        Denial::RateLimited { limit, retry_after } => rate_limited(limit, retry_after),
        Denial::TokensUsedUp { limit, retry_after } => tokens_used_up(limit, retry_after),
        Denial::Paused { retry_after } => paused(retry_after),
        Denial::UnknownKey => Told::refused(
            StatusCode::UNAUTHORIZED,
            "invalid_api_key",
            "this guard does not know the API key, or there was none",
        )
        .with(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")),
        Denial::Token(fault) => unproved(fault),
        Denial::Overloaded => Told::failed(
            StatusCode::SERVICE_UNAVAILABLE,
            "overloaded",
            Outcome::Refused,
            "too many requests are under way",
        )
        .retry_after(RETRY),
        Denial::PolicyExpired => Told::failed(
            StatusCode::SERVICE_UNAVAILABLE,
            "policy_expired",
            Outcome::Refused,
            "the policy has expired, and there is no newer one, so nothing is let through",
        )
        .retry_after(RETRY),
        Denial::LimitsUnavailable => Told::failed(
            StatusCode::SERVICE_UNAVAILABLE,
            "limits_unavailable",
            Outcome::Refused,
            "what the policy gives each caller cannot be counted now",
        )
        .retry_after(RETRY),
        Denial::GuardUnavailable | Denial::Blocked(_) => Told::failed(
            StatusCode::SERVICE_UNAVAILABLE,
            "guard_unavailable",
            Outcome::GuardUnavailable,
            "a safety check gave no verdict, so nothing was let through",
        )
        .retry_after(RETRY),
        Denial::AuditUnavailable => Told::failed(
            StatusCode::SERVICE_UNAVAILABLE,
            "audit_unavailable",
            Outcome::Failed,
            "the decision cannot be recorded, so nothing was forwarded",
        )
        .retry_after(RETRY),
        denial @ (Denial::UpstreamBusy
        | Denial::UpstreamResting { .. }
        | Denial::UpstreamUnreachable
        | Denial::UpstreamTimeout
        | Denial::UpstreamInvalid(_)
        | Denial::UpstreamStatus { .. }) => upstream(denial),
        denial => request(denial),
    }
}

fn unserved() -> String {
    format!("this route is not guarded, so it is not forwarded; served here: {}", served())
}

/// What is wrong with the request.
fn request(denial: Denial) -> Told {
    match denial {
        Denial::UnknownRoute => Told::refused(StatusCode::NOT_FOUND, "unknown_route", unserved()),
        Denial::MethodNotAllowed(method) => Told::refused(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            format!("this route takes {method} only"),
        )
        .with(header::ALLOW, HeaderValue::from_static(method.as_str())),
        Denial::UnknownModel => Told::refused(
            StatusCode::NOT_FOUND,
            "model_not_found",
            "the model server does not list this model",
        ),
        Denial::UnsupportedMedia(expected) => {
            Told::refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", expected)
        }
        Denial::TooLarge(limit) => Told::refused(
            StatusCode::PAYLOAD_TOO_LARGE,
            "request_too_large",
            format!("the request body is larger than {limit} bytes"),
        ),
        Denial::TooSlow => Told::refused(
            StatusCode::REQUEST_TIMEOUT,
            "request_timeout",
            "the request took too long to arrive",
        )
        .with(header::CONNECTION, HeaderValue::from_static("close")),
        Denial::HeadTooLarge => Told::refused(
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "head_too_large",
            "the request target or the headers are larger than any client's",
        )
        .with(header::CONNECTION, HeaderValue::from_static("close")),
        Denial::Malformed(error) => Told {
            error: ApiError::from(&error),
            ..Told::refused(StatusCode::BAD_REQUEST, error.code, error.message.clone())
        },
        Denial::BadHttp(why) => Told::refused(StatusCode::BAD_REQUEST, "bad_http", why)
            .with(header::CONNECTION, HeaderValue::from_static("close")),
        _ => Told::failed(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal_error",
            Outcome::Failed,
            "the guard failed; nothing was released",
        ),
    }
}

/// What is said of a token (RFC 6750, section 3). That the issuer's keys are not known is not the caller's fault.
fn unproved(fault: Fault) -> Told {
    if fault == Fault::NoKeys {
        let told = Told::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "server_error",
            fault.code(),
            fault.to_string(),
        );
        return Told { outcome: Outcome::Refused, ..told }.retry_after(RETRY);
    }
    let challenge = HeaderValue::from_static("Bearer error=\"invalid_token\"");
    let told = Told::refused(StatusCode::UNAUTHORIZED, fault.code(), fault.to_string());
    told.with(header::WWW_AUTHENTICATE, challenge)
}

fn rate_limited(limit: u32, retry_after: Duration) -> Told {
    let message = format!("rate limit reached: {limit} requests in the policy's period");
    let code = "rate_limit_exceeded";
    Told::new(StatusCode::TOO_MANY_REQUESTS, "rate_limit_error", code, message)
        .with(HeaderName::from_static("x-ratelimit-limit-requests"), limit)
        .with(HeaderName::from_static("x-ratelimit-remaining-requests"), 0)
        .retry_after(retry_after)
}

fn tokens_used_up(limit: u32, retry_after: Duration) -> Told {
    let message = format!("rate limit reached: {limit} tokens in the policy's period");
    let code = "rate_limit_exceeded";
    Told::new(StatusCode::TOO_MANY_REQUESTS, "rate_limit_error", code, message)
        .with(HeaderName::from_static("x-ratelimit-limit-tokens"), limit)
        .with(HeaderName::from_static("x-ratelimit-remaining-tokens"), 0)
        .retry_after(retry_after)
}

fn paused(retry_after: Duration) -> Told {
    let message = "this key is paused: too many of its requests were blocked";
    let code = "blocked_too_often";
    Told::new(StatusCode::TOO_MANY_REQUESTS, "rate_limit_error", code, message)
        .with(headers::SHOULD_RETRY, HeaderValue::from_static("false"))
        .retry_after(retry_after)
}

fn upstream(denial: Denial) -> Told {
    let failed =
        |status, code, message| Told::failed(status, code, Outcome::UpstreamFailed, message);
    match denial {
        Denial::UpstreamBusy => failed(
            StatusCode::SERVICE_UNAVAILABLE,
            "upstream_busy",
            "the model server has as many requests as it may have",
        )
        .retry_after(RETRY),
        Denial::UpstreamResting { retry_after } => failed(
            StatusCode::SERVICE_UNAVAILABLE,
            "upstream_circuit_open",
            "the model server has failed again and again and is left alone for a while",
        )
        .retry_after(retry_after),
        Denial::UpstreamTimeout => failed(
            StatusCode::GATEWAY_TIMEOUT,
            "upstream_timeout",
            "the model server did not answer in time",
        ),
        Denial::UpstreamInvalid(why) => {
            tracing::warn!(%why, "the upstream's answer could not be read");
            failed(
                StatusCode::BAD_GATEWAY,
                "upstream_invalid",
                "the model server's answer could not be read",
            )
        }
        Denial::UpstreamStatus { status, message, retry_after } => {
            let message = message.unwrap_or_else(|| {
                format!("the model server answered with status {}", status.as_u16())
            });
            let code = if status == StatusCode::TOO_MANY_REQUESTS {
                "rate_limit_exceeded"
            } else {
                "upstream_refused"
            };
            let shown = if status.is_client_error() || status == StatusCode::SERVICE_UNAVAILABLE {
                status
            } else {
                StatusCode::BAD_GATEWAY
            };
            let kind = match status {
                StatusCode::UNAUTHORIZED => "authentication_error",
                StatusCode::FORBIDDEN => "permission_error",
                StatusCode::NOT_FOUND => "not_found_error",
                _ if status.is_client_error() => "invalid_request_error",
                _ => "server_error",
            };
            let told =
                Told { outcome: Outcome::UpstreamFailed, ..Told::new(shown, kind, code, message) };
            retry_after.map(Duration::from_secs).into_iter().fold(told, Told::retry_after)
        }
        _ => failed(
            StatusCode::BAD_GATEWAY,
            "upstream_unreachable",
            "the model server cannot be reached",
        ),
    }
}

fn refusal(id: &str, block: &Block, text: &str) -> Option<Reply> {
    let created = Timestamp::now().as_second().try_into().unwrap_or_default();
    let refusal = Refusal { id, model: &block.model, created, choices: block.choices, text };
    let (media, bytes): (_, Bytes) = match block.stream {
        None => ("application/json", block.dialect.refusal(&refusal)?.into()),
        Some(WantsUsage(wants_usage)) => {
            let events = block.dialect.refusal_events(&refusal, wants_usage);
            let bytes: Vec<u8> =
                events.iter().flat_map(|event| block.dialect.encode_event(event)).collect();
            ("text/event-stream", bytes.into())
        }
    };
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    Some(Reply {
        status: StatusCode::OK,
        headers,
        content: Content::Whole(bytes, Outcome::Blocked),
        permit: None,
    })
}
