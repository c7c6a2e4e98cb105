//! One exchange: a request that Envoy tells of, through the gate, and back to Envoy as what becomes of it.
//!
//! ```text
//! Envoy ──request──▶ [Reading] ──▶ gate ──cleared request──▶ [PassOn] ──▶ Envoy ──▶ model server
//! client ◀── Envoy ◀── [answer] ◀── gate ◀──────answer────── [Reading] ◀── Envoy ◀──┘
//! ```
//!
//! To end the conversation in good order is to tell Envoy that it may go on alone. So whatever ends early here ends
//! with an error, and Envoy answers with an error or breaks off.

use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use http::header::CONTENT_LENGTH;
use http::{HeaderName, Request, Response};
use http_body::Body;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use proxy_stack::{Arrival, Gate, HttpFault, OwnUpstream, ReplyBody, unrecognised};
use tokio::sync::{mpsc, oneshot, watch};
use tonic::Status;
use tower::util::BoxCloneSyncService;
use tower::{ServiceExt, service_fn};

use crate::heads::{Told, changed, set};
use crate::messages::{
    BodyMutation, BodySendMode, CommonResponse, Continued, HttpBody, HttpHeaders, HttpStatus,
    ImmediateResponse, ProcessingRequest, ProcessingResponse, Said, Seen, TrailersResponse,
};
use crate::pieces::{Inlet, Piece, Pieces};

/// The most of a body in one message; more is not recommended.
const PIECE: usize = 64 * 1024;
/// What Envoy writes into its access log about answers of the guard.
const DETAILS: &str = "portcullis";
/// The attribute that has the client's address and port.
const SOURCE: &str = "source.address";
/// How long the end of an answer may be in coming that nobody needs any more of.
const LINGER: Duration = Duration::from_millis(50);

type Error = Box<dyn std::error::Error + Send + Sync>;
type Cleared = Request<Full<Bytes>>;
type Answer = Response<UnsyncBoxBody<Bytes, Error>>;

/// Takes one exchange from its first message to its last.
///
/// # Errors
/// When the exchange cannot be guarded, or ends before it is over: Envoy must not go on alone.
pub(crate) async fn process(
    messages: impl Stream<Item = Result<ProcessingRequest, Status>>,
    gate: Gate,
    replies: mpsc::Sender<ProcessingResponse>,
) -> Result<(), Status> {
    let mut messages = pin!(messages);
    let first = messages.next().await.ok_or_else(|| Status::cancelled("nothing was said"))??;
    let remote = remote(&first);
    let asked = opening(first)?;
    let (body, told) = Pieces::new();
    let (head, answer) = oneshot::channel();
    let (ended, end) = watch::channel(End::Unseen);
    let reading = Reading {
        request: (!asked.end_of_stream).then_some(body),
        head: Some(head),
        answer: None,
        ended,
    };
    let speaking = Speaking { replies, end, remote };
    let told = if asked.end_of_stream { Pieces::none() } else { told };
    tokio::select! {
        spoken = speaking.speak(asked, told, gate, answer) => spoken,
        broken = reading.read(messages) => Err(broken),
    }
}

/// The client's address, if Envoy was told to tell it (`request_attributes`).
fn remote(first: &ProcessingRequest) -> Option<IpAddr> {
    let mut told = first.attributes.values().filter_map(|told| told.fields.get(SOURCE));
    let address: SocketAddr = told.next()?.string_value.as_deref()?.parse().ok()?;
    Some(address.ip())
}

/// The head of the request, if the conversation is one that guards.
fn opening(first: ProcessingRequest) -> Result<HttpHeaders, Status> {
    let ProcessingRequest { observability_mode, protocol_config, seen, .. } = first;
    let Some(Seen::RequestHeaders(asked)) = seen else {
        return Err(refused("the request's headers must come first: `request_header_mode: SEND`"));
    };
    if observability_mode {
        return Err(refused(
            "an Envoy that does not wait guards nothing: `observability_mode: false`",
        ));
    }
    let modes = protocol_config.unwrap_or_default();
    let duplex = |mode| mode == i32::from(BodySendMode::FullDuplexStreamed);
    if !duplex(modes.request_body_mode) || !duplex(modes.response_body_mode) {
        return Err(refused(
            "every byte must come by here: `request_body_mode` and `response_body_mode: FULL_DUPLEX_STREAMED`, \
             `response_header_mode`, `request_trailer_mode` and `response_trailer_mode: SEND`",
        ));
    }
    Ok(asked)
}

fn refused(why: &'static str) -> Status {
    tracing::error!(why, "an Envoy is configured so that it cannot be guarded");
    Status::failed_precondition(why)
}

/// Whether Envoy has said that the answer is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Unseen,
    Seen,
    /// With trailers, which are to be answered.
    Trailers,
}

/// The head of an answer, and what is to come of it.
struct Begun {
    head: HttpHeaders,
    body: Pieces,
}

/// Where what Envoy says goes.
struct Reading {
    request: Option<Inlet>,
    head: Option<oneshot::Sender<Begun>>,
    answer: Option<Inlet>,
    ended: watch::Sender<End>,
}

impl Reading {
    /// Reads until there is nothing more to read; returns early only for what makes no sense.
    async fn read(
        mut self,
        mut messages: impl Stream<Item = Result<ProcessingRequest, Status>> + Unpin,
    ) -> Status {
        while let Some(message) = messages.next().await {
            match message {
                Ok(ProcessingRequest { seen: Some(seen), .. }) => {
                    if let Err(senseless) = self.take(seen).await {
                        return senseless;
                    }
                }
                // News of later versions about something else.
                Ok(_) => {}
                Err(gone) => return gone,
            }
        }
        // What was not ended by now is broken off; what is under way may still be answered.
        drop(self);
        std::future::pending().await
    }

    async fn take(&mut self, seen: Seen) -> Result<(), Status> {
        match seen {
            Seen::RequestBody(body) => fill(&mut self.request, body).await,
            Seen::RequestTrailers(_) => end(&mut self.request, Piece::Trailers).await,
            Seen::ResponseHeaders(head) => {
                let (inlet, body) = Pieces::new();
                let body = if head.end_of_stream { Pieces::none() } else { body };
                self.ended.send_replace(if head.end_of_stream { End::Seen } else { End::Unseen });
                self.answer = Some(inlet);
                let sender = self.head.take().ok_or_else(twice)?;
                // Who does not wait for it any more has answered already.
                let _answered = sender.send(Begun { head, body });
            }
            Seen::ResponseBody(body) => {
                if body.end_of_stream {
                    self.ended.send_replace(End::Seen);
                }
                fill(&mut self.answer, body).await;
            }
            Seen::ResponseTrailers(_) => {
                self.ended.send_replace(End::Trailers);
                end(&mut self.answer, Piece::End).await;
            }
            Seen::RequestHeaders(_) => return Err(twice()),
        }
        Ok(())
    }
}

fn twice() -> Status {
    Status::invalid_argument("one head is told twice")
}

async fn fill(inlet: &mut Option<Inlet>, body: HttpBody) {
    if let Some(sender) = inlet {
        // Nobody may want it any more: it was answered without.
        let _unwanted = sender.send(Piece::Data(body.body)).await;
    }
    if body.end_of_stream {
        end(inlet, Piece::End).await;
    }
}

async fn end(inlet: &mut Option<Inlet>, last: Piece) {
    if let Some(sender) = inlet.take() {
        let _unwanted = sender.send(last).await;
    }
}

/// What Envoy is told.
#[derive(Clone)]
struct Speaking {
    replies: mpsc::Sender<ProcessingResponse>,
    end: watch::Receiver<End>,
    remote: Option<IpAddr>,
}

impl Speaking {
    async fn speak(
        mut self,
        asked: HttpHeaders,
        body: Pieces,
        gate: Gate,
        answer: oneshot::Receiver<Begun>,
    ) -> Result<(), Status> {
        let has_body = !asked.end_of_stream;
        let told = Told::read(asked.headers).and_then(|told| {
            let names = told.names();
            Ok((names, told.request(body.boxed_unsync())?))
        });
        let (names, mut request) = match told {
            Ok(told) => told,
            Err(wrong) => return self.instead(unrecognised(HttpFault::Malformed(wrong.0))).await,
        };
        let pass_on = PassOn {
            before: names,
            path: request.uri().path().to_owned(),
            has_body,
            answer: Mutex::new(Some(answer)),
            names: Mutex::default(),
            has_answer: AtomicBool::new(false),
            speaking: self.clone(),
        };
        let pass_on = Arc::new(pass_on);
        request.extensions_mut().insert(pass_on.upstream());
        let arrival = Arrival { request, remote: self.remote, fault: None };
        let Ok(response) = gate.oneshot(arrival).await;
        if !pass_on.has_answer.load(Ordering::Acquire) {
            return self.instead(response).await;
        }
        let names = std::mem::take(&mut *lock(&pass_on.names));
        self.answer(&names, response).await
    }

    async fn say(&self, said: Said) -> Result<(), Status> {
        let sent = self.replies.send(ProcessingResponse { said: Some(said) }).await;
        sent.map_err(|_| Status::cancelled("the gateway left"))
    }

    /// An answer of the guard's own, in place of the model server's.
    async fn instead(&self, response: Response<ReplyBody>) -> Result<(), Status> {
        let (head, body) = response.into_parts();
        let Ok(body) = body.collect().await;
        let headers = crate::messages::HeaderMutation {
            set_headers: set(&head.headers),
            remove_headers: Vec::new(),
        };
        self.say(Said::Immediate(ImmediateResponse {
            status: Some(HttpStatus { code: head.status.as_u16().into() }),
            headers: Some(headers),
            body: body.to_bytes(),
            details: DETAILS.to_owned(),
        }))
        .await
    }

    /// What was let go of the model server's answer, whose headers are `before`.
    async fn answer(
        &mut self,
        before: &[HeaderName],
        response: Response<ReplyBody>,
    ) -> Result<(), Status> {
        let (mut head, mut body) = response.into_parts();
        if let Some(length) = body.size_hint().exact() {
            head.headers.insert(CONTENT_LENGTH, length.into());
        }
        let status = (":status", head.status.as_str().to_owned());
        let mutation = changed(before, &head.headers, Some(status));
        self.say(Said::ResponseHeaders(continued(mutation))).await?;
        while let Some(Ok(frame)) = body.frame().await {
            if let Ok(data) = frame.into_data() {
                self.pieces(data, Said::ResponseBody).await?;
            }
        }
        let over = tokio::time::timeout(LINGER, self.end.wait_for(|end| *end != End::Unseen)).await;
        match over.map(|end| end.map_or(End::Unseen, |end| *end)) {
            Ok(End::Trailers) => self.say(Said::ResponseTrailers(TrailersResponse {})).await,
            Ok(End::Seen) => self.say(Said::ResponseBody(piece(Bytes::new(), true))).await,
            // The rest is not let go: the answer is over, and Envoy may not go on with it.
            Ok(End::Unseen) | Err(_) => {
                self.say(Said::ResponseBody(piece(Bytes::new(), true))).await?;
                Err(Status::aborted("the answer was cut"))
            }
        }
    }

    async fn pieces(&self, mut bytes: Bytes, said: fn(Continued) -> Said) -> Result<(), Status> {
        while !bytes.is_empty() {
            let next = bytes.split_to(bytes.len().min(PIECE));
            self.say(said(piece(next, false))).await?;
        }
        Ok(())
    }
}

fn continued(mutation: crate::messages::HeaderMutation) -> Continued {
    let response = CommonResponse { header_mutation: Some(mutation), body_mutation: None };
    Continued { response: Some(response) }
}

fn piece(body: Bytes, end_of_stream: bool) -> Continued {
    let streamed_response = Some(HttpBody { body, end_of_stream });
    let body_mutation = Some(BodyMutation { streamed_response });
    Continued { response: Some(CommonResponse { header_mutation: None, body_mutation }) }
}

/// The model server behind Envoy, as the gate sees it.
struct PassOn {
    /// The headers of the request as it came.
    before: Vec<HeaderName>,
    path: String,
    has_body: bool,
    answer: Mutex<Option<oneshot::Receiver<Begun>>>,
    /// The headers of the answer as it came.
    names: Mutex<Vec<HeaderName>>,
    /// Whether an answer has begun that has a body.
    has_answer: AtomicBool,
    speaking: Speaking,
}

impl PassOn {
    fn upstream(self: &Arc<Self>) -> OwnUpstream {
        let own = Arc::clone(self);
        OwnUpstream(BoxCloneSyncService::new(service_fn(move |cleared: Cleared| {
            let own = Arc::clone(&own);
            async move { own.ask(cleared).await }
        })))
    }

    async fn ask(&self, cleared: Cleared) -> Result<Answer, Error> {
        let answer = lock(&self.answer).take().ok_or("there is one answer only")?;
        let (mut head, body) = cleared.into_parts();
        if let (true, Some(length)) = (self.has_body, body.size_hint().exact()) {
            head.headers.insert(CONTENT_LENGTH, length.into());
        }
        // Without the query, which nobody judged.
        let mutation = changed(&self.before, &head.headers, Some((":path", self.path.clone())));
        self.speaking.say(Said::RequestHeaders(continued(mutation))).await?;
        let Ok(body) = body.collect().await;
        if self.has_body {
            self.speaking.pieces(body.to_bytes(), Said::RequestBody).await?;
            self.speaking.say(Said::RequestBody(piece(Bytes::new(), true))).await?;
        }
        let Begun { head, body } = answer.await?;
        let told = Told::read(head.headers)?;
        *lock(&self.names) = told.names();
        self.has_answer.store(!body.is_end_stream(), Ordering::Release);
        Ok(told.response(body.boxed_unsync())?)
    }
}

/// Nothing is half done while it is held.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
