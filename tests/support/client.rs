//! A client that sends any bytes and reads everything that comes back.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A response, read to the end of the connection.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

impl Reply {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// The error's code.
    pub fn code(&self) -> String {
        let error = self.json()["error"].clone();
        for field in ["message", "type", "param", "code"] {
            assert!(error.get(field).is_some(), "`{field}` is missing in {error}");
        }
        error["code"].as_str().unwrap_or_default().to_owned()
    }

    /// The decision's id.
    pub fn id(&self) -> &str {
        &self.headers["x-guard-decision-id"]
    }
}

/// Sends `bytes` and reads until the other side closes.
pub async fn raw(address: SocketAddr, bytes: &[u8]) -> Reply {
    try_raw(address, bytes).await.expect("no response")
}

/// Sends `bytes` and is gone.
pub async fn leave(address: SocketAddr, bytes: &[u8]) {
    TcpStream::connect(address).await.unwrap().write_all(bytes).await.unwrap();
}

/// Sends `bytes` and reads every response, each with a `content-length`, until the other side closes.
pub async fn raw_all(address: SocketAddr, bytes: &[u8]) -> Vec<Reply> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut received = Vec::new();
    // A reset after the responses still leaves them.
    let _reset = stream.read_to_end(&mut received).await;
    let mut replies = Vec::new();
    let mut rest = &received[..];
    while let Some(reply) = parse(rest) {
        let head = rest.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
        let end = head + reply.headers["content-length"].parse::<usize>().unwrap();
        replies.push(parse(&rest[..end]).unwrap());
        rest = &rest[end..];
    }
    replies
}

async fn try_raw(address: SocketAddr, bytes: &[u8]) -> Option<Reply> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    stream.write_all(bytes).await.ok()?;
    let mut response = Vec::new();
    // A reset after the response still leaves the response.
    let _reset = stream.read_to_end(&mut response).await;
    parse(&response)
}

fn parse(response: &[u8]) -> Option<Reply> {
    let end = response.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&response[..end]).into_owned();
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let body = &response[end + 4..];
    let chunked = headers.get("transfer-encoding").is_some_and(|value| value == "chunked");
    let body = if chunked { unchunk(body) } else { body.to_vec() };
    Some(Reply { status, headers, body: String::from_utf8_lossy(&body).into_owned() })
}

fn unchunk(mut bytes: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = bytes.windows(2).position(|window| window == b"\r\n") {
        let size = usize::from_str_radix(&String::from_utf8_lossy(&bytes[..end]), 16).unwrap_or(0);
        let start = end + 2;
        let Some(chunk) = bytes.get(start..start + size).filter(|_| size > 0) else { break };
        body.extend_from_slice(chunk);
        bytes = bytes.get(start + size + 2..).unwrap_or_default();
    }
    body
}

/// Posts a JSON body to any path.
pub async fn post_to(address: SocketAddr, path: &str, body: &Value) -> Reply {
    let body = body.to_string();
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: guard\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n"
    );
    raw(address, &[head.as_bytes(), body.as_bytes()].concat()).await
}

/// A streamed answer that is read as it comes.
pub struct Reading {
    stream: TcpStream,
    bytes: Vec<u8>,
}

impl Reading {
    /// Asks for a streamed answer.
    pub async fn ask(address: SocketAddr, body: &Value) -> Self {
        let body = body.to_string();
        let head = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        Self { stream, bytes: Vec::new() }
    }

    /// Reads on until `enough` of the text that was received, or the end.
    pub async fn until(&mut self, enough: impl Fn(&str) -> bool) -> String {
        loop {
            let text = self.text();
            let mut buffer = [0; 4096];
            if enough(&text) {
                return text;
            }
            match self.stream.read(&mut buffer).await {
                Ok(count) if count > 0 => self.bytes.extend_from_slice(&buffer[..count]),
                _ => return self.text(),
            }
        }
    }

    /// The content of the first choice, as far as it was received.
    fn text(&self) -> String {
        let Some(reply) = parse(&self.bytes) else { return String::new() };
        let events = get_events(&reply.body).into_iter();
        let chunks = events.filter_map(|event| serde_json::from_str::<Value>(&event).ok());
        let content =
            |chunk: Value| chunk["choices"][0]["delta"]["content"].as_str().map(str::to_owned);
        chunks.filter_map(content).collect()
    }
}

/// Posts a body to the chat completions with these extra headers.
pub async fn post(address: SocketAddr, headers: &[(&str, &str)], body: &[u8]) -> Reply {
    try_post(address, headers, body).await.expect("no response")
}

/// The same, where the other side may be gone.
pub async fn try_post(address: SocketAddr, headers: &[(&str, &str)], body: &[u8]) -> Option<Reply> {
    let mut head =
        "POST /v1/chat/completions HTTP/1.1\r\nhost: guard\r\nconnection: close\r\n".to_owned();
    if !headers.iter().any(|(name, _)| *name == "content-type") {
        head += "content-type: application/json\r\n";
    }
    if !headers.iter().any(|(name, _)| matches!(*name, "content-length" | "transfer-encoding")) {
        head += &format!("content-length: {}\r\n", body.len());
    }
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    try_raw(address, &[head.as_bytes(), b"\r\n", body].concat()).await
}

/// A request that says `text`.
pub fn chat(text: &str, stream: bool) -> Value {
    json!({ "model": "m", "stream": stream, "messages": [{ "role": "user", "content": text }] })
}

/// The data of the events in a streamed body, comments left out.
pub fn get_events(body: &str) -> Vec<String> {
    body.split("\n\n").filter_map(|event| event.strip_prefix("data: ")).map(str::to_owned).collect()
}
