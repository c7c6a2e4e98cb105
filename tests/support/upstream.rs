//! A model server that does as it is told, and writes down every byte it gets.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// What to answer on a connection, in raw bytes.
#[derive(Clone, Debug)]
pub enum Script {
    /// A whole response; the connection stays open for the next request.
    Reply(Vec<u8>),
    /// The response in pieces of so many bytes, with a pause between them.
    Dribble(Vec<u8>, usize, Duration),
    /// These bytes, then nothing, for ever.
    Stall(Vec<u8>),
    /// The first bytes, then the second again and again, as fast as they are taken.
    Endless(Vec<u8>, Vec<u8>),
    /// These bytes, then the connection is reset.
    Reset(Vec<u8>),
    /// These bytes, then the connection is closed in an orderly way.
    Close(Vec<u8>),
}

impl Script {
    /// A plain answer.
    pub fn say(text: &str) -> Self {
        Self::json(&completion(text))
    }

    /// A response with a JSON body.
    pub fn json(body: &Value) -> Self {
        Self::Reply(response("200 OK", "application/json", body.to_string().as_bytes()))
    }

    /// A streamed answer, chunk by chunk.
    pub fn stream(pieces: &[&str]) -> Self {
        Self::sse(&sse(pieces))
    }

    /// These events, in small pieces.
    pub fn sse(events: &str) -> Self {
        let response = response("200 OK", "text/event-stream", events.as_bytes());
        Self::Dribble(response, 7, Duration::ZERO)
    }

    /// These events, with pauses in which what came before can be judged.
    pub fn slow_sse(events: &str) -> Self {
        let response = response("200 OK", "text/event-stream", events.as_bytes());
        Self::Dribble(response, 4096, Duration::from_millis(50))
    }

    /// A response with any status and body.
    pub fn status(status: &str, body: &str) -> Self {
        Self::Reply(response(status, "application/json", body.as_bytes()))
    }

    /// A response as it is, with any head.
    pub fn response(head: &str, body: &str) -> Vec<u8> {
        format!("HTTP/1.1 {head}\r\n\r\n{body}").into_bytes()
    }
}

fn response(status: &str, media: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: {media}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// A chat completion that says `text`.
pub fn completion(text: &str) -> Value {
    json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{ "index": 0, "message": { "role": "assistant", "content": text }, "finish_reason": "stop" }],
        "usage": { "prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3 },
    })
}

/// A completion that says `text`.
pub fn text_completion(text: &str) -> Value {
    json!({
        "id": "cmpl-1", "object": "text_completion", "created": 1, "model": "m",
        "choices": [{ "index": 0, "text": text, "logprobs": null, "finish_reason": "stop" }],
        "usage": { "prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3 },
    })
}

/// The same as a stream, piece by piece.
pub fn text_sse(pieces: &[&str]) -> String {
    let chunk = |text: &str, end: Value| {
        let chunk = json!({
            "id": "cmpl-1", "object": "text_completion", "created": 1, "model": "m",
            "choices": [{ "index": 0, "text": text, "logprobs": null, "finish_reason": end }],
        });
        format!("data: {chunk}\n\n")
    };
    let said: String = pieces.iter().map(|piece| chunk(piece, Value::Null)).collect();
    said + &chunk("", json!("stop")) + "data: [DONE]\n\n"
}

/// A streamed message in Anthropic's format, piece by piece.
pub fn message_sse(pieces: &[&str]) -> String {
    let text = json!({ "type": "text", "text": "" });
    let deltas = pieces.iter().map(|piece| json!({ "type": "text_delta", "text": piece }));
    message_events(&text, deltas)
}

/// A streamed message that says each of `texts` in a block of its own.
pub fn message_blocks_sse(texts: &[&str]) -> String {
    let whole = message_sse(&[]);
    let (start, end) = whole.split_once("event: content_block_start").unwrap();
    let (_, end) = end.split_once("event: message_delta").unwrap();
    let block = |(index, text): (usize, &&str)| {
        let events = [
            json!({ "type": "content_block_start", "index": index, "content_block": { "type": "text", "text": "" } }),
            json!({ "type": "content_block_delta", "index": index, "delta": { "type": "text_delta", "text": text } }),
            json!({ "type": "content_block_stop", "index": index }),
        ];
        events
            .map(|event| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap()))
            .concat()
    };
    let blocks: String = texts.iter().enumerate().map(block).collect();
    format!("{start}{blocks}event: message_delta{end}")
}

/// A streamed message that asks a tool about the weather in `city`.
pub fn message_with_tool_sse(city: &str) -> String {
    let call = json!({ "type": "tool_use", "id": "toolu_1", "name": "weather", "input": {} });
    let input = json!({ "city": city }).to_string();
    let (begin, end) = input.split_at(input.len() / 2);
    let deltas =
        [begin, end].map(|piece| json!({ "type": "input_json_delta", "partial_json": piece }));
    message_events(&call, deltas.into_iter())
}

fn message_events(block: &Value, deltas: impl Iterator<Item = Value>) -> String {
    let mut start = message("");
    start["content"] = json!([]);
    start["stop_reason"] = Value::Null;
    let mut events = vec![
        json!({ "type": "message_start", "message": start }),
        json!({ "type": "ping" }),
        json!({ "type": "content_block_start", "index": 0, "content_block": block }),
    ];
    events.extend(
        deltas.map(|delta| json!({ "type": "content_block_delta", "index": 0, "delta": delta })),
    );
    events.extend([
        json!({ "type": "content_block_stop", "index": 0 }),
        json!({ "type": "message_delta", "delta": { "stop_reason": "end_turn", "stop_sequence": null },
            "usage": { "output_tokens": 2 } }),
        json!({ "type": "message_stop" }),
    ]);
    let event =
        |event: &Value| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap());
    events.iter().map(event).collect()
}

/// Two numbers for a text.
pub fn embedding() -> Value {
    json!({
        "object": "list", "model": "m", "usage": { "prompt_tokens": 1, "total_tokens": 1 },
        "data": [{ "object": "embedding", "index": 0, "embedding": [0.25, -1.5] }],
    })
}

/// A message in Anthropic's format that says `text`.
pub fn message(text: &str) -> Value {
    json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "m",
        "content": [{ "type": "text", "text": text }], "stop_reason": "end_turn", "stop_sequence": null,
        "usage": { "input_tokens": 1, "output_tokens": 2 },
    })
}

/// A response in OpenAI's newer format that says `text`.
pub fn responded(text: &str) -> Value {
    response_of("completed", &json!([said_item("completed", &json!([output_text(text)]))]))
}

fn response_of(status: &str, output: &Value) -> Value {
    json!({
        "id": "resp_1", "object": "response", "created_at": 1, "status": status, "error": null,
        "incomplete_details": null, "instructions": "be kind", "model": "m", "output": output,
        "parallel_tool_calls": true, "metadata": { "topic": "PORTCULLIS-TEST-S9" }, "tool_choice": "auto",
        "tools": [{ "type": "function", "name": "PORTCULLIS-TEST-S9", "parameters": {} }],
        "temperature": 1.0, "top_p": 1.0, "text": { "format": { "type": "text" } }, "store": false,
        "usage": { "input_tokens": 1, "input_tokens_details": { "cached_tokens": 0 }, "output_tokens": 2,
            "output_tokens_details": { "reasoning_tokens": 0 }, "total_tokens": 3 },
    })
}

fn said_item(status: &str, content: &Value) -> Value {
    json!({ "id": "msg_1", "type": "message", "status": status, "role": "assistant", "content": content })
}

fn output_text(text: &str) -> Value {
    let cited = json!({ "type": "url_citation", "url": "http://PORTCULLIS-TEST-S9", "title": "PORTCULLIS-TEST-S9" });
    let likely = json!({ "token": "PORTCULLIS-TEST-S9", "logprob": 0 });
    json!({ "type": "output_text", "text": text, "annotations": [cited], "logprobs": [likely] })
}

/// The same as a stream, piece by piece.
pub fn responded_sse(pieces: &[&str]) -> String {
    responded_parts_sse(&[pieces])
}

/// The same with several parts, each of which says its pieces.
pub fn responded_parts_sse(parts: &[&[&str]]) -> String {
    let mut events = Vec::new();
    let texts: Vec<Value> = parts.iter().map(|pieces| output_text(&pieces.concat())).collect();
    for (index, (pieces, text)) in parts.iter().zip(&texts).enumerate() {
        let place = |mut event: Value| {
            event["item_id"] = json!("msg_1");
            event["content_index"] = json!(index);
            event
        };
        events.push(place(json!({ "type": "response.content_part.added",
            "part": { "type": "output_text", "text": "", "annotations": [] } })));
        events.extend(pieces.iter().map(|piece| {
            place(json!({ "type": "response.output_text.delta", "delta": piece, "logprobs": text["logprobs"] }))
        }));
        events.extend([
            place(json!({ "type": "response.output_text.annotation.added", "annotation": text["annotations"][0] })),
            place(json!({ "type": "response.output_text.done", "text": text["text"], "logprobs": [] })),
            place(json!({ "type": "response.content_part.done", "part": text })),
        ]);
    }
    let (begun, over) =
        (said_item("in_progress", &json!([])), said_item("completed", &json!(texts)));
    response_events(&begun, events, &over)
}

/// A streamed response that asks a tool about the weather in `city`.
pub fn responded_with_tool_sse(city: &str) -> String {
    let arguments = json!({ "city": city }).to_string();
    let call = |status: &str, arguments: &str| {
        json!({ "type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "weather",
            "arguments": arguments, "status": status })
    };
    let (begin, end) = arguments.split_at(arguments.len() / 2);
    let mut events: Vec<Value> = [begin, end].map(|piece| {
        json!({ "type": "response.function_call_arguments.delta", "item_id": "fc_1", "delta": piece })
    }).to_vec();
    events.push(json!({ "type": "response.function_call_arguments.done", "item_id": "fc_1", "name": "weather",
        "arguments": arguments }));
    response_events(&call("in_progress", ""), events, &call("completed", &arguments))
}

fn response_events(begun: &Value, said: Vec<Value>, over: &Value) -> String {
    let started = response_of("in_progress", &json!([]));
    let mut events = vec![
        json!({ "type": "response.created", "response": started }),
        json!({ "type": "response.in_progress", "response": started }),
        json!({ "type": "response.output_item.added", "item": begun }),
    ];
    events.extend(said);
    events.push(json!({ "type": "response.output_item.done", "item": over }));
    let ended = response_of("completed", &json!([over]));
    events.push(json!({ "type": "response.completed", "response": ended }));
    let event = |(number, mut event): (usize, Value)| {
        event["sequence_number"] = json!(number);
        if event.get("response").is_none() {
            event["output_index"] = json!(0);
        }
        format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap())
    };
    events.into_iter().enumerate().map(event).collect()
}

/// A whole stream that says `pieces`, with a usage chunk and `[DONE]`.
pub fn sse(pieces: &[&str]) -> String {
    let chunk = |choices: Value, usage: Value| {
        let chunk = json!({
            "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m",
            "choices": choices, "usage": usage,
        });
        format!("data: {chunk}\n\n")
    };
    let delta = |delta: Value, end: Value| {
        chunk(json!([{ "index": 0, "delta": delta, "finish_reason": end }]), Value::Null)
    };
    let mut text = delta(json!({ "role": "assistant", "content": "" }), Value::Null);
    for piece in pieces {
        text += &delta(json!({ "content": piece }), Value::Null);
    }
    text += &delta(json!({}), json!("stop"));
    text +=
        &chunk(json!([]), json!({ "prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3 }));
    text + "data: [DONE]\n\n"
}

/// The scripted server.
pub struct Upstream {
    pub address: SocketAddr,
    received: Arc<Mutex<Vec<u8>>>,
    script: Arc<Mutex<Script>>,
    seen: Arc<Seen>,
    _tasks: JoinSet<()>,
}

/// What the server noticed of its clients.
#[derive(Default)]
struct Seen {
    /// When the last of them closed its connection in the middle of a script.
    left: Mutex<Option<Instant>>,
    /// Bytes of endless answers that were taken.
    taken: AtomicUsize,
}

impl Upstream {
    pub async fn start(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let received = Arc::new(Mutex::new(Vec::new()));
        let script = Arc::new(Mutex::new(script));
        let mut tasks = JoinSet::new();
        let seen = Arc::<Seen>::default();
        let (log, plan, notes) = (Arc::clone(&received), Arc::clone(&script), Arc::clone(&seen));
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (log, plan, notes) = (Arc::clone(&log), Arc::clone(&plan), Arc::clone(&notes));
                connections.spawn(connection(stream, log, plan, notes));
            }
        });
        Self { address, received, script, seen, _tasks: tasks }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From the next request on, do this.
    pub fn play(&self, script: Script) {
        *self.script.lock().unwrap() = script;
    }

    /// Every byte received so far.
    pub fn received(&self) -> Vec<u8> {
        self.received.lock().unwrap().clone()
    }

    /// Waits until a client has left in the middle of an answer, and says when that was.
    pub async fn left(&self) -> Instant {
        for _ in 0..500 {
            if let Some(left) = *self.seen.left.lock().unwrap() {
                return left;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("nobody left");
    }

    /// How many bytes of endless answers were taken.
    pub fn taken(&self) -> usize {
        self.seen.taken.load(Ordering::Relaxed)
    }

    /// The JSON body of the last request received.
    pub fn last_body(&self) -> Value {
        let received = self.received();
        let text = String::from_utf8_lossy(&received);
        let (_, body) = text.rsplit_once("\r\n\r\n").expect("no request was received");
        serde_json::from_str(body).unwrap()
    }
}

async fn connection(
    mut stream: TcpStream,
    log: Arc<Mutex<Vec<u8>>>,
    script: Arc<Mutex<Script>>,
    seen: Arc<Seen>,
) {
    while request(&mut stream, &log).await.is_some() {
        let script = script.lock().unwrap().clone();
        if play(&mut stream, script, &seen).await.is_none() {
            *seen.left.lock().unwrap() = Some(Instant::now());
            return;
        }
    }
}

/// Reads one request, with a `content-length` if it has a body; `None` when the connection ends.
async fn request(stream: &mut TcpStream, log: &Mutex<Vec<u8>>) -> Option<()> {
    let mut bytes = Vec::new();
    loop {
        let mut buffer = [0; 16 * 1024];
        let count = stream.read(&mut buffer).await.ok().filter(|&count| count > 0)?;
        bytes.extend_from_slice(&buffer[..count]);
        log.lock().unwrap().extend_from_slice(&buffer[..count]);
        let text = String::from_utf8_lossy(&bytes).to_lowercase();
        let Some(end) = text.find("\r\n\r\n") else { continue };
        let length = text[..end].split("content-length: ").nth(1);
        let length = length.map_or("0", |rest| rest.split("\r\n").next().unwrap());
        if bytes.len() >= end + 4 + length.parse::<usize>().ok()? {
            return Some(());
        }
    }
}

/// Plays the script; `None` when the connection is over.
async fn play(stream: &mut TcpStream, script: Script, seen: &Seen) -> Option<()> {
    match script {
        Script::Reply(bytes) => stream.write_all(&bytes).await.ok(),
        Script::Dribble(bytes, size, pause) => {
            for piece in bytes.chunks(size) {
                stream.write_all(piece).await.ok()?;
                stream.flush().await.ok()?;
                if pause > Duration::ZERO {
                    tokio::time::sleep(pause).await;
                } else {
                    tokio::task::yield_now().await;
                }
            }
            Some(())
        }
        Script::Stall(bytes) => {
            stream.write_all(&bytes).await.ok()?;
            // Until the other side gives up.
            while stream.read(&mut [0; 64]).await.is_ok_and(|count| count > 0) {}
            None
        }
        Script::Endless(head, bytes) => {
            stream.write_all(&head).await.ok()?;
            loop {
                stream.write_all(&bytes).await.ok()?;
                seen.taken.fetch_add(bytes.len(), Ordering::Relaxed);
            }
        }
        Script::Reset(bytes) => {
            stream.write_all(&bytes).await.ok()?;
            stream.flush().await.ok()?;
            tokio::time::sleep(Duration::from_millis(20)).await;
            stream.set_zero_linger().ok()?;
            None
        }
        Script::Close(bytes) => {
            stream.write_all(&bytes).await.ok()?;
            stream.shutdown().await.ok()?;
            None
        }
    }
}
