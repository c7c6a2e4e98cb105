//! A stand-in for a model server: answers as the scenes say, and repeats what it is told otherwise.

use std::convert::Infallible;
use std::net::SocketAddr;

use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::scenes::SCENES;
use crate::failure::Failure;

/// The model server that the demo guards.
pub(super) struct StandIn {
    listener: TcpListener,
    address: SocketAddr,
}

impl StandIn {
    pub(super) async fn start(address: SocketAddr) -> Result<Self, Failure> {
        let cannot = |error| Failure::environment("the stand-in model cannot listen", &error);
        let listener = TcpListener::bind(address).await.map_err(cannot)?;
        let address = listener.local_addr().map_err(cannot)?;
        Ok(Self { listener, address })
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until dropped.
    pub(super) async fn serve(self) {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = self.listener.accept().await {
            connections.spawn(async move {
                let service = hyper::service::service_fn(answer);
                let http = auto::Builder::new(TokioExecutor::new());
                if let Err(error) = http.serve_connection(TokioIo::new(stream), service).await {
                    tracing::debug!(%error, "the stand-in lost a connection");
                }
            });
            while connections.try_join_next().is_some() {}
        }
    }
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let asked: Value = serde_json::from_slice(&body).unwrap_or_default();
    let text = reply(&asked);
    let stream = asked.get("stream").and_then(Value::as_bool).unwrap_or_default();
    let (media, body) = if stream {
        ("text/event-stream", events(&text))
    } else {
        ("application/json", completion(&text).to_string())
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    response.headers_mut().insert(header::CONTENT_TYPE, http::HeaderValue::from_static(media));
    Ok(response)
}

/// What the model says: the scene's line, or what it was told.
fn reply(asked: &Value) -> String {
    let messages = asked.get("messages").and_then(Value::as_array);
    let last = messages.and_then(|messages| {
        messages.iter().rev().find(|message| message.get("role").is_some_and(|role| role == "user"))
    });
    let said =
        last.and_then(|message| message.get("content")).and_then(Value::as_str).unwrap_or_default();
    SCENES
        .iter()
        .find(|scene| scene.user == said)
        .map_or_else(|| format!("You said: {said}"), |scene| scene.model.to_owned())
}

fn completion(text: &str) -> Value {
    json!({
        "id": "chatcmpl-stand-in", "object": "chat.completion", "created": 0, "model": "stand-in",
        "choices": [{
            "index": 0, "finish_reason": "stop", "logprobs": null,
            "message": { "role": "assistant", "content": text, "refusal": null },
        }],
        "usage": { "prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0 },
    })
}

/// The answer in chunks of a few words.
fn events(text: &str) -> String {
    let chunk = |delta: Value, finish_reason: Value| {
        let chunk = json!({
            "id": "chatcmpl-stand-in", "object": "chat.completion.chunk", "created": 0, "model": "stand-in",
            "choices": [{ "index": 0, "delta": delta, "finish_reason": finish_reason }],
        });
        format!("data: {chunk}\n\n")
    };
    let words: Vec<&str> = text.split_inclusive(' ').collect();
    std::iter::once(chunk(json!({ "role": "assistant", "content": "" }), Value::Null))
        .chain(
            words.chunks(3).map(|words| chunk(json!({ "content": words.concat() }), Value::Null)),
        )
        .chain([chunk(json!({}), json!("stop")), "data: [DONE]\n\n".to_owned()])
        .collect()
}
