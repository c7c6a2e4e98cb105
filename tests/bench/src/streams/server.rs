//! A model server that streams: a token at a fixed pace, each stamped with the time at which it was sent.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

use super::clock;
use crate::failure::Failure;
use crate::wire::{Frame, frame};

const LISTENER: Token = Token(usize::MAX - 1);
const WAIT: Duration = Duration::from_millis(50);
/// What every token says: no word of it means anything to a classifier.
const WORDS: [&str; 8] =
    [" garden", " quietly", " bridge", " window", " the calm", " letter", " report", " seven"];

/// How it speaks from now on.
#[derive(Debug, Default)]
struct Pace {
    stop: AtomicBool,
    tokens: AtomicUsize,
    /// Microseconds from one token to the next; none: as fast as they are taken.
    micros: AtomicUsize,
}

/// The running server; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Server {
    address: SocketAddr,
    pace: Arc<Pace>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub(super) fn start() -> Result<Self, Failure> {
        let failed = || Failure::io("cannot start the model server");
        let mut listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0).into()).map_err(failed())?;
        let address = listener.local_addr().map_err(failed())?;
        let poll = Poll::new().map_err(failed())?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE).map_err(failed())?;
        let pace = Arc::<Pace>::default();
        let speaker =
            Speaker { poll, listener, clients: BTreeMap::new(), next: 0, pace: Arc::clone(&pace) };
        let thread = std::thread::Builder::new()
            .name("streams".into())
            .spawn(move || speaker.run())
            .map_err(failed())?;
        Ok(Self { address, pace, thread: Some(thread) })
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on answers have so many tokens, one each `every`.
    pub(super) fn speak(&self, tokens: usize, every: Duration) {
        self.pace.tokens.store(tokens, Ordering::Relaxed);
        let micros = usize::try_from(every.as_micros()).unwrap_or(usize::MAX);
        self.pace.micros.store(micros, Ordering::Relaxed);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.pace.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It is over either way.
            let _ended = thread.join();
        }
    }
}

struct Speaker {
    poll: Poll,
    listener: TcpListener,
    clients: BTreeMap<usize, Client>,
    next: usize,
    pace: Arc<Pace>,
}

struct Client {
    stream: TcpStream,
    input: Vec<u8>,
    output: Vec<u8>,
    answer: Option<Answer>,
}

/// A streamed answer under way.
struct Answer {
    left: usize,
    every: Duration,
    due: Instant,
}

struct Gone;

impl Speaker {
    fn run(mut self) {
        let mut events = Events::with_capacity(1024);
        while !self.pace.stop.load(Ordering::Relaxed) {
            let now = Instant::now();
            let due = self.clients.values().filter_map(Client::due).min();
            let wait = due.map_or(WAIT, |due| due.saturating_duration_since(now).min(WAIT));
            if let Err(error) = self.poll.poll(&mut events, Some(wait))
                && error.kind() != ErrorKind::Interrupted
            {
                return;
            }
            for event in &events {
                if event.token() == LISTENER {
                    self.accept();
                } else if let Some(client) = self.clients.get_mut(&event.token().0)
                    && client.receive(&self.pace).is_err()
                {
                    self.clients.remove(&event.token().0);
                }
            }
            self.clients.retain(|_, client| client.send().is_ok());
        }
    }

    fn accept(&mut self) {
        while let Ok((mut stream, _)) = self.listener.accept() {
            let interest = Interest::READABLE | Interest::WRITABLE;
            let registered = self.poll.registry().register(&mut stream, Token(self.next), interest);
            if stream.set_nodelay(true).and(registered).is_ok() {
                let client = Client { stream, input: Vec::new(), output: Vec::new(), answer: None };
                self.clients.insert(self.next, client);
                self.next += 1;
            }
        }
    }
}

impl Client {
    fn due(&self) -> Option<Instant> {
        let answer = self.answer.as_ref()?;
        // What waits for room in the socket is woken by it.
        self.output.is_empty().then_some(answer.due)
    }

    fn receive(&mut self, pace: &Pace) -> Result<(), Gone> {
        let mut buffer = [0; 16 * 1024];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(Gone),
                Ok(read) => self.input.extend_from_slice(buffer.get(..read).ok_or(Gone)?),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => return Err(Gone),
            }
        }
        let Frame::Whole(length) = frame(&self.input) else { return Ok(()) };
        let streamed = memchr::memmem::find(&self.input, b"\"stream\":true").is_some();
        self.input.drain(..length);
        if streamed {
            let every = Duration::from_micros(pace.micros.load(Ordering::Relaxed) as u64);
            let left = pace.tokens.load(Ordering::Relaxed);
            self.answer = Some(Answer { left, every, due: Instant::now() + every });
            self.output.extend_from_slice(HEAD);
            self.event(r#"{"role":"assistant","content":""}"#, "null");
        } else {
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length:";
            self.output
                .extend_from_slice(format!("{head} {}\r\n\r\n{PLAIN}", PLAIN.len()).as_bytes());
        }
        Ok(())
    }

    /// Sends what is due, and what is left of what was.
    fn send(&mut self) -> Result<(), Gone> {
        loop {
            while !self.output.is_empty() {
                match self.stream.write(&self.output) {
                    Ok(sent) => drop(self.output.drain(..sent)),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                    Err(_) => return Err(Gone),
                }
            }
            if !self.speak() {
                return Ok(());
            }
        }
    }

    /// The next token, if it is due.
    fn speak(&mut self) -> bool {
        let Some(mut answer) = self.answer.take() else { return false };
        if answer.due > Instant::now() {
            self.answer = Some(answer);
            return false;
        }
        if answer.left == 0 {
            self.event("{}", "\"stop\"");
            self.chunk(b"data: [DONE]\n\n");
            self.output.extend_from_slice(b"0\r\n\r\n");
            return true;
        }
        // Without a pace, some at a time, as a fast server's socket would deliver them.
        let burst = if answer.every.is_zero() { 16 } else { 1 };
        for _ in 0..burst.min(answer.left) {
            answer.left -= 1;
            let word = WORDS.get(answer.left * 5 / 3 % WORDS.len()).copied().unwrap_or_default();
            self.event(&format!(r#"{{"content":"{word}"}}"#), "null");
        }
        answer.due += answer.every;
        self.answer = Some(answer);
        true
    }

    fn event(&mut self, delta: &str, finish: &str) {
        let created = clock();
        let event = format!(
            "data: {{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":{created},\"model\":\"mock\",\"choices\":[{{\"index\":0,\"delta\":{delta},\"finish_reason\":{finish}}}]}}\n\n"
        );
        self.chunk(event.as_bytes());
    }

    fn chunk(&mut self, data: &[u8]) {
        self.output.extend_from_slice(format!("{:x}\r\n", data.len()).as_bytes());
        self.output.extend_from_slice(data);
        self.output.extend_from_slice(b"\r\n");
    }
}

const HEAD: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
/// For whoever asks whether this or a proxy before it is ready.
const PLAIN: &str = r#"{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"mock","choices":[{"index":0,"message":{"role":"assistant","content":""},"finish_reason":"stop"}]}"#;
