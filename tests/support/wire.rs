//! A client that writes its own bytes, in HTTP/1.1 and in HTTP/2.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A frame as it came.
#[derive(Debug)]
pub struct Frame {
    pub kind: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

/// Kinds of frames (RFC 9113, section 6).
pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const CONTINUATION: u8 = 9;
/// Flags.
pub const END_STREAM: u8 = 1;
pub const ACK: u8 = 1;
pub const END_HEADERS: u8 = 4;

/// An HTTP/2 connection without a library: it can say what no library would.
pub struct Http2 {
    stream: TcpStream,
}

impl Http2 {
    pub async fn connect(address: SocketAddr) -> Self {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        let mut client = Self { stream };
        client.send(SETTINGS, 0, 0, &[]).await;
        client
    }

    /// Sends a frame; the other side may have gone.
    pub async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut frame = length[1..].to_vec();
        frame.extend([kind, flags]);
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        let _gone = self.stream.write_all(&frame).await;
    }

    /// A request with these headers, and a body in one frame.
    pub async fn request(&mut self, stream: u32, headers: &[(&str, &str)], body: &[u8]) {
        self.send(HEADERS, END_HEADERS, stream, &block(headers)).await;
        self.send(DATA, END_STREAM, stream, body).await;
    }

    /// The next frame that is no setting; `None` when the connection is over.
    pub async fn next(&mut self) -> Option<Frame> {
        loop {
            let mut head = [0; 9];
            self.stream.read_exact(&mut head).await.ok()?;
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
            let mut payload = vec![0; length as usize];
            self.stream.read_exact(&mut payload).await.ok()?;
            let frame = Frame { kind: head[3], stream, payload };
            if frame.kind != SETTINGS {
                return Some(frame);
            }
        }
    }

    /// What the other side does about `stream`: the data of its answer, or `None` if it resets the stream or ends
    /// the connection.
    pub async fn answer(&mut self, stream: u32) -> Option<Vec<u8>> {
        while let Some(frame) = self.next().await {
            match frame.kind {
                GOAWAY => return None,
                RST_STREAM if frame.stream == stream => return None,
                DATA if frame.stream == stream => return Some(frame.payload),
                _ => {}
            }
        }
        None
    }
}

/// A header block in which every field is spelled out (HPACK, RFC 7541, section 6.2.2).
pub fn block(headers: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in headers {
        bytes.push(0);
        for text in [name, value] {
            integer(text.len(), &mut bytes);
            bytes.extend(text.as_bytes());
        }
    }
    bytes
}

/// An integer with a prefix of seven bits (section 5.1).
fn integer(mut value: usize, bytes: &mut Vec<u8>) {
    if value < 127 {
        bytes.push(value as u8);
        return;
    }
    bytes.push(127);
    value -= 127;
    while value >= 128 {
        bytes.push((value % 128) as u8 | 128);
        value /= 128;
    }
    bytes.push(value as u8);
}
