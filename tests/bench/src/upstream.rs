//! The model server: a fixed chat completion, as fast as one thread can send it.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

use crate::failure::Failure;
use crate::text::{self, Kind, SERIAL_BYTES};
use crate::wire::{Frame, frame};

const LISTENER: Token = Token(usize::MAX - 1);
const WAIT: Duration = Duration::from_millis(100);
/// Room for a request at the start; it grows for larger ones.
const INPUT_BYTES: usize = 32 * 1024;

/// About 200 characters, before a serial number in words.
const ANSWER: &str = "A small garden does well with a few herbs, a row of beans and some flowers for the bees. \
    Water it in the evening and keep the soil loose. Your note is filed under ";

/// A running model server; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Upstream {
    address: SocketAddr,
    switches: Arc<Switches>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Switches {
    stop: AtomicBool,
    /// Each answer has another serial number.
    unique: AtomicBool,
}

impl Upstream {
    /// Starts it on a port of its own.
    pub(crate) fn start() -> Result<Self, Failure> {
        let failed = || Failure::io("cannot start the model server");
        let mut listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0).into()).map_err(failed())?;
        let address = listener.local_addr().map_err(failed())?;
        let poll = Poll::new().map_err(failed())?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE).map_err(failed())?;
        let switches = Arc::<Switches>::default();
        let server = Server {
            poll,
            listener,
            clients: Vec::new(),
            answer: Answer::new(),
            switches: Arc::clone(&switches),
        };
        let thread = std::thread::Builder::new()
            .name("upstream".into())
            .spawn(move || server.run())
            .map_err(failed())?;
        Ok(Self { address, switches, thread: Some(thread) })
    }

    /// Where it listens.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether answers are new each time.
    pub(crate) fn answer_with(&self, kind: Kind) {
        self.switches.unique.store(kind == Kind::Unique, Ordering::Relaxed);
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.switches.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It is over either way.
            let _ended = thread.join();
        }
    }
}

struct Server {
    poll: Poll,
    listener: TcpListener,
    /// By token.
    clients: Vec<Option<Client>>,
    answer: Answer,
    switches: Arc<Switches>,
}

struct Client {
    stream: TcpStream,
    input: Vec<u8>,
    filled: usize,
}

/// A client that is gone, or that speaks otherwise than expected.
struct Gone;

impl Server {
    fn run(mut self) {
        let mut events = Events::with_capacity(1024);
        while !self.switches.stop.load(Ordering::Relaxed) {
            if let Err(error) = self.poll.poll(&mut events, Some(WAIT))
                && error.kind() != ErrorKind::Interrupted
            {
                return;
            }
            let unique = self.switches.unique.load(Ordering::Relaxed);
            for event in &events {
                if event.token() == LISTENER {
                    self.accept();
                } else if let Some(place) = self.clients.get_mut(event.token().0)
                    && let Some(client) = place
                    && client.serve(&mut self.answer, unique).is_err()
                {
                    *place = None;
                }
            }
        }
    }

    fn accept(&mut self) {
        while let Ok((mut stream, _)) = self.listener.accept() {
            let free = self.clients.iter().position(Option::is_none);
            let token = free.unwrap_or(self.clients.len());
            let ready = stream.set_nodelay(true).and_then(|()| {
                self.poll.registry().register(&mut stream, Token(token), Interest::READABLE)
            });
            if ready.is_err() {
                continue;
            }
            let client = Client { stream, input: vec![0; INPUT_BYTES], filled: 0 };
            match self.clients.get_mut(token) {
                Some(place) => *place = Some(client),
                None => self.clients.push(Some(client)),
            }
        }
    }
}

impl Client {
    /// Reads what there is and answers what is complete.
    fn serve(&mut self, answer: &mut Answer, unique: bool) -> Result<(), Gone> {
        loop {
            if self.filled == self.input.len() {
                self.input.resize(self.input.len() * 2, 0);
            }
            let room = self.input.get_mut(self.filled..).ok_or(Gone)?;
            let size = room.len();
            let read = match self.stream.read(room) {
                Ok(0) => return Err(Gone),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(_) => return Err(Gone),
            };
            self.filled += read;
            match frame(self.input.get(..self.filled).ok_or(Gone)?) {
                Frame::Partial => {}
                Frame::Whole(length) => {
                    self.input.copy_within(length..self.filled, 0);
                    self.filled -= length;
                    // It is smaller than any socket's buffer: it goes at once or something is wrong.
                    let bytes = answer.bytes(unique);
                    if !self.stream.write(bytes).is_ok_and(|sent| sent == bytes.len()) {
                        return Err(Gone);
                    }
                }
                Frame::Unknown => return Err(Gone),
            }
            // All that was there is read; more makes a new event.
            if read < size {
                return Ok(());
            }
        }
    }
}

struct Answer {
    response: Vec<u8>,
    /// Where the serial number stands.
    serial_at: usize,
    serial: Vec<u8>,
    number: u32,
}

impl Answer {
    fn new() -> Self {
        let mut serial = Vec::with_capacity(SERIAL_BYTES);
        text::serial(0, &mut serial);
        let before = format!(
            r#"{{"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"mock","choices":[{{"index":0,"message":{{"role":"assistant","content":"{ANSWER}"#
        );
        let after = r#"."},"finish_reason":"stop"}],"usage":{"prompt_tokens":10,"completion_tokens":45,"total_tokens":55}}"#;
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            before.len() + SERIAL_BYTES + after.len()
        );
        let mut response = head.into_bytes();
        response.extend_from_slice(before.as_bytes());
        let serial_at = response.len();
        response.extend_from_slice(&serial);
        response.extend_from_slice(after.as_bytes());
        Self { response, serial_at, serial, number: 0 }
    }

    fn bytes(&mut self, unique: bool) -> &[u8] {
        self.number = if unique { self.number.wrapping_add(1) } else { 0 };
        self.serial.clear();
        text::serial(self.number, &mut self.serial);
        if let Some(place) =
            self.response.get_mut(self.serial_at..self.serial_at + self.serial.len())
        {
            place.copy_from_slice(&self.serial);
        }
        &self.response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_whole_messages_and_unique_on_request() {
        let mut answer = Answer::new();
        let same = answer.bytes(false).to_vec();
        assert_eq!(frame(&same), Frame::Whole(same.len()));
        assert_eq!(same, answer.bytes(false));
        let first = answer.bytes(true).to_vec();
        assert_ne!(first, answer.bytes(true));
    }
}
