//! Sends the scenes and looks at what comes back, as any client would.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::{self, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

use super::scenes::{Part, Scene};
use crate::failure::Failure;

/// A client of the demo's proxy.
pub(super) struct Client {
    http: legacy::Client<HttpConnector, Full<Bytes>>,
    url: String,
}

/// What a client got.
pub(super) struct Seen {
    pub(super) id: String,
    pub(super) status: u16,
    /// The answer's text, or the error's code.
    pub(super) text: String,
}

impl Client {
    pub(super) fn new(address: SocketAddr) -> Self {
        let http = legacy::Client::builder(TokioExecutor::new()).build_http();
        Self { http, url: format!("http://{address}/v1/chat/completions") }
    }

    pub(super) async fn send(&self, scene: &Scene) -> Result<Seen, Failure> {
        let request = Request::post(&self.url)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::AUTHORIZATION, format!("Bearer {}", scene.key))
            .body(Full::new(Bytes::from(body(scene).to_string())))
            .map_err(|error| Failure::environment("the demo's request cannot be made", &error))?;
        let response =
            self.http.request(request).await.map_err(|error| {
                Failure::environment("the demo's proxy does not answer", &error)
            })?;
        see(response).await
    }
}

fn body(scene: &Scene) -> Value {
    let mut messages = vec![json!({ "role": "user", "content": content(scene) })];
    if let Some(result) = scene.tool_result {
        let call = json!({ "id": "call_1", "type": "function", "function": { "name": "read_mail", "arguments": "{}" } });
        messages.push(json!({ "role": "assistant", "content": null, "tool_calls": [call] }));
        messages.push(json!({ "role": "tool", "tool_call_id": "call_1", "content": result }));
    }
    json!({ "model": "stand-in", "stream": scene.stream, "messages": messages })
}

fn content(scene: &Scene) -> Value {
    if scene.parts.is_empty() {
        return scene.user.into();
    }
    let first = std::iter::once(json!({ "type": "text", "text": scene.user }));
    let more = scene.parts.iter().map(|part| match part {
        Part::Text(text) => json!({ "type": "text", "text": text }),
        Part::Image(url) => json!({ "type": "image_url", "image_url": { "url": url } }),
    });
    first.chain(more).collect()
}

async fn see(response: Response<Incoming>) -> Result<Seen, Failure> {
    let header = |name: &str| {
        response
            .headers()
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_owned()
    };
    let (id, media, status) =
        (header("x-guard-decision-id"), header("content-type"), response.status().as_u16());
    let body = response
        .into_body()
        .collect()
        .await
        .map_err(|error| Failure::environment("the demo's proxy broke off", &error))?
        .to_bytes();
    let text = if media == "text/event-stream" { streamed(&body) } else { plain(&body) };
    Ok(Seen { id, status, text })
}

fn plain(body: &[u8]) -> String {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let text = |pointer: &str| body.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    text("/error/code")
        .or_else(|| text("/choices/0/message/content"))
        .or_else(|| text("/choices/0/message/refusal"))
        .unwrap_or_default()
}

fn streamed(body: &[u8]) -> String {
    let body = String::from_utf8_lossy(body);
    let chunks = body
        .split("\n\n")
        .filter_map(|event| event.strip_prefix("data: "))
        .filter_map(|data| serde_json::from_str::<Value>(data).ok());
    chunks
        .filter_map(|chunk| {
            let delta = chunk.pointer("/choices/0/delta")?;
            let text = delta.get("content").or_else(|| delta.get("refusal"))?;
            text.as_str().map(str::to_owned)
        })
        .collect()
}
