//! Callers that read streamed answers, and note when each token came.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use super::clock;
use crate::failure::Failure;
use crate::stop::Stop;

const WAIT: Duration = Duration::from_millis(20);
/// What all answers together may take beyond their own length.
const PATIENCE: Duration = Duration::from_secs(60);
const CONTENT: &[u8] = b"\"content\":\"";
const CREATED: &[u8] = b"\"created\":";

/// What came of some streams that began at about the same time. Times in microseconds.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// From the request to the first token.
    pub(super) first: Vec<u64>,
    /// From a token's being sent by the model server to its arrival.
    pub(super) delays: Vec<u64>,
    /// From one arrival of tokens to the next.
    pub(super) gaps: Vec<u64>,
    pub(super) tokens: u64,
    /// Streams that did not end with `[DONE]` after all of their tokens.
    pub(super) errors: u64,
}

/// Reads `count` answers of `tokens` tokens at the same time.
pub(super) fn listen(
    target: SocketAddr,
    count: usize,
    (tokens, time): (usize, Duration),
    stop: &Stop,
) -> Result<Heard, Failure> {
    let failed = || Failure::io(format!("cannot talk to {target}"));
    let mut poll = Poll::new().map_err(failed())?;
    let mut callers = Vec::new();
    // Spread over one second at most, as callers are.
    let pause = Duration::from_secs(1).min(time) / u32::try_from(count).unwrap_or(1).max(1);
    let (started, mut events) = (Instant::now(), Events::with_capacity(1024));
    let mut heard = Heard::default();
    loop {
        stop.check()?;
        let due = started + pause * u32::try_from(callers.len()).unwrap_or(0);
        if callers.len() < count && due <= Instant::now() {
            callers.push(Caller::ask(&poll, callers.len(), target).map_err(failed())?);
        }
        let wait = if callers.len() < count { pause.min(WAIT) } else { WAIT };
        poll.poll(&mut events, Some(wait)).or_else(interrupted).map_err(failed())?;
        for event in &events {
            if let Some(caller) = callers.get_mut(event.token().0) {
                caller.receive(&mut heard);
            }
        }
        let all = callers.len() == count && callers.iter().all(|caller| caller.ended);
        if all || started.elapsed() > time + PATIENCE {
            break;
        }
    }
    let wrong = |caller: &&Caller| !caller.done || caller.tokens != tokens;
    heard.errors = callers.iter().filter(wrong).count() as u64;
    for times in [&mut heard.first, &mut heard.delays, &mut heard.gaps] {
        times.sort_unstable();
    }
    Ok(heard)
}

fn interrupted(error: std::io::Error) -> std::io::Result<()> {
    if error.kind() == ErrorKind::Interrupted { Ok(()) } else { Err(error) }
}

struct Caller {
    stream: TcpStream,
    /// Bytes of the body that are no whole event yet.
    body: Vec<u8>,
    chunks: Chunks,
    asked: u64,
    last: Option<u64>,
    tokens: usize,
    done: bool,
    ended: bool,
}

impl Caller {
    fn ask(poll: &Poll, number: usize, target: SocketAddr) -> std::io::Result<Self> {
        let mut stream = std::net::TcpStream::connect(target)?;
        let body = format!(
            r#"{{"model":"mock","stream":true,"messages":[{{"role":"user","content":"Tell me about garden number {number}."}}]}}"#
        );
        let request = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: {target}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let asked = clock();
        stream.write_all(request.as_bytes())?;
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        poll.registry().register(&mut stream, Token(number), Interest::READABLE)?;
        Ok(Self {
            stream,
            body: Vec::new(),
            chunks: Chunks::default(),
            asked,
            last: None,
            tokens: 0,
            done: false,
            ended: false,
        })
    }

    fn receive(&mut self, heard: &mut Heard) {
        let mut buffer = [0; 64 * 1024];
        let mut came = false;
        while !self.ended {
            match self.stream.read(&mut buffer) {
                Ok(0) => self.ended = true,
                Ok(read) => {
                    self.chunks.read(buffer.get(..read).unwrap_or_default(), &mut self.body);
                    came |= self.events(heard);
                    self.ended |= self.done;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => self.ended = true,
            }
        }
        if came {
            let now = clock();
            match self.last.replace(now) {
                Some(last) => heard.gaps.push(now - last),
                None => heard.first.push(now - self.asked),
            }
        }
    }

    /// Notes the tokens of whole events; whether there were any.
    fn events(&mut self, heard: &mut Heard) -> bool {
        let (now, mut came, mut at) = (clock(), false, 0);
        while let Some(rest) = self.body.get(at..)
            && let Some(end) = memchr::memmem::find(rest, b"\n\n")
        {
            let event = rest.get(..end).unwrap_or_default();
            at += end + 2;
            self.done |= event == b"data: [DONE]";
            let content = memchr::memmem::find(event, CONTENT).map(|place| place + CONTENT.len());
            let says = content.and_then(|place| event.get(place)).is_some_and(|byte| *byte != b'"');
            if says {
                (came, self.tokens, heard.tokens) = (true, self.tokens + 1, heard.tokens + 1);
                heard.delays.push(now.saturating_sub(created(event)));
            }
        }
        self.body.drain(..at);
        came
    }
}

fn created(event: &[u8]) -> u64 {
    let place = memchr::memmem::find(event, CREATED).map_or(event.len(), |at| at + CREATED.len());
    let digits = event.get(place..).unwrap_or_default().iter();
    let digits = digits.take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |number, digit| number * 10 + u64::from(digit - b'0'))
}

/// The head of a response and the frames of its chunked body, taken off.
#[derive(Debug, Default)]
struct Chunks {
    line: Vec<u8>,
    in_body: bool,
    /// Bytes of the chunk that are to come, with the line break after it.
    left: usize,
}

impl Chunks {
    fn read(&mut self, mut bytes: &[u8], body: &mut Vec<u8>) {
        while let Some(&first) = bytes.first() {
            if self.left > 2 {
                let count = bytes.len().min(self.left - 2);
                let (data, rest) = bytes.split_at(count);
                body.extend_from_slice(data);
                self.left -= count;
                bytes = rest;
                continue;
            }
            bytes = bytes.get(1..).unwrap_or_default();
            if self.left > 0 {
                self.left -= 1;
            } else if first != b'\n' {
                self.line.push(first);
            } else {
                self.end_line();
            }
        }
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        let text = std::str::from_utf8(line.trim_ascii_end()).unwrap_or_default();
        if !self.in_body {
            self.in_body = text.is_empty();
        } else if let Ok(size) = usize::from_str_radix(text, 16) {
            self.left = if size > 0 { size + 2 } else { 0 };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_taken_off_wherever_the_bytes_are_cut() {
        let response =
            b"HTTP/1.1 200 OK\r\na: b\r\n\r\n3\r\nabc\r\nc\r\n0123456789\n\n\r\n0\r\n\r\n";
        for size in 1..response.len() {
            let (mut chunks, mut body) = (Chunks::default(), Vec::new());
            response.chunks(size).for_each(|piece| chunks.read(piece, &mut body));
            assert_eq!(body, b"abc0123456789\n\n");
        }
        assert_eq!(created(br#"{"created":123,"x":1}"#), 123);
    }
}
