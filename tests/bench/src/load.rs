//! The load: each connection asks, waits for the answer, and asks again.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::failure::Failure;
use crate::stop::Stop;
use crate::text::Requests;
use crate::wire::{Frame, frame, is_ok};

/// How long the last answers may take after the end.
const GRACE: Duration = Duration::from_secs(5);
/// How often clock and stop flag are looked at when nothing happens.
const WAIT: Duration = Duration::from_millis(20);
/// After so many errors with hardly an answer there is nothing to measure.
const HOPELESS: u64 = 1000;
const INPUT_BYTES: usize = 8 * 1024;
/// Bytes of an erroneous answer that are shown.
const SHOWN_BYTES: usize = 600;

/// What to ask of whom, for how long.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) target: SocketAddr,
    pub(crate) connections: usize,
    pub(crate) requests: Requests,
    pub(crate) warm_up: Duration,
    pub(crate) time: Duration,
}

/// What came of it. `P` is what the probe says at the beginning and the end of the time that counts.
#[derive(Debug)]
pub(crate) struct Loaded<P> {
    /// Nanoseconds from before sending to after reading, sorted.
    pub(crate) latencies: Vec<u64>,
    pub(crate) elapsed: Duration,
    pub(crate) before: P,
    pub(crate) after: P,
    pub(crate) errors: Errors,
}

/// Answers that were not 200, and connections that broke, warming up included.
#[derive(Clone, Debug, Default)]
pub(crate) struct Errors {
    pub(crate) count: u64,
    pub(crate) first: Option<String>,
}

impl Errors {
    pub(crate) fn note(&mut self, what: impl FnOnce() -> String) {
        self.count += 1;
        self.first.get_or_insert_with(what);
    }
}

impl Load {
    /// Loads the target; `probe` is called when the time that counts begins and when it ends.
    pub(crate) fn run<P>(
        self,
        mut probe: impl FnMut() -> Result<P, Failure>,
        stop: &Stop,
    ) -> Result<Loaded<P>, Failure> {
        let (warm_up, time) = (self.warm_up, self.time);
        let mut run = Run::start(self)?;
        run.until(Instant::now() + warm_up, stop)?;
        run.latencies.clear();
        let (started, before) = (Instant::now(), probe()?);
        run.until(started + time, stop)?;
        let (elapsed, after) = (started.elapsed(), probe()?);
        let mut latencies = std::mem::take(&mut run.latencies);
        latencies.sort_unstable();
        run.finish(stop)?;
        Ok(Loaded { latencies, elapsed, before, after, errors: run.errors })
    }
}

struct Run {
    poll: Poll,
    target: SocketAddr,
    /// By token.
    connections: Vec<Connection>,
    requests: Requests,
    latencies: Vec<u64>,
    answered: u64,
    errors: Errors,
    /// No further requests.
    ending: bool,
}

struct Connection {
    stream: TcpStream,
    request: Vec<u8>,
    sent: usize,
    input: Vec<u8>,
    filled: usize,
    began: Instant,
    /// An answer is to come.
    asking: bool,
}

/// What became of an event on a connection.
enum Progress {
    Waiting,
    Answered { ok: bool, length: usize },
    Broken(String),
}

impl Run {
    fn start(load: Load) -> Result<Self, Failure> {
        let poll = Poll::new().map_err(Failure::io("cannot start the load"))?;
        let mut run = Self {
            poll,
            target: load.target,
            connections: Vec::new(),
            requests: load.requests,
            latencies: Vec::with_capacity(1 << 20),
            answered: 0,
            errors: Errors::default(),
            ending: false,
        };
        for token in 0..load.connections {
            let mut connection = run.connect(token)?;
            connection.ask(&mut run.requests);
            run.connections.push(connection);
        }
        Ok(run)
    }

    fn connect(&self, token: usize) -> Result<Connection, Failure> {
        let failed = || Failure::io(format!("cannot connect to {}", self.target));
        // Blocking until connected: a refused connection shows here.
        let stream = std::net::TcpStream::connect(self.target).map_err(failed())?;
        stream.set_nonblocking(true).map_err(failed())?;
        stream.set_nodelay(true).map_err(failed())?;
        let mut stream = TcpStream::from_std(stream);
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut stream, Token(token), interest).map_err(failed())?;
        Ok(Connection {
            stream,
            request: Vec::new(),
            sent: 0,
            input: vec![0; INPUT_BYTES],
            filled: 0,
            began: Instant::now(),
            asking: false,
        })
    }

    fn until(&mut self, end: Instant, stop: &Stop) -> Result<(), Failure> {
        let mut events = Events::with_capacity(1024);
        while Instant::now() < end {
            self.turn(&mut events, stop)?;
        }
        Ok(())
    }

    /// Waits for the answers that are still to come.
    fn finish(&mut self, stop: &Stop) -> Result<(), Failure> {
        self.ending = true;
        let (end, mut events) = (Instant::now() + GRACE, Events::with_capacity(1024));
        while self.connections.iter().any(|connection| connection.asking) {
            if Instant::now() >= end {
                self.errors.note(|| format!("an answer took more than {} s", GRACE.as_secs()));
                break;
            }
            self.turn(&mut events, stop)?;
        }
        Ok(())
    }

    fn turn(&mut self, events: &mut Events, stop: &Stop) -> Result<(), Failure> {
        stop.check()?;
        match self.poll.poll(events, Some(WAIT)) {
            Err(error) if error.kind() != ErrorKind::Interrupted => {
                return Err(Failure::io("cannot wait for answers")(error));
            }
            _ => {}
        }
        for event in &*events {
            self.handle(event.token().0)?;
        }
        Ok(())
    }

    fn handle(&mut self, token: usize) -> Result<(), Failure> {
        let Some(connection) = self.connections.get_mut(token) else { return Ok(()) };
        if !connection.asking {
            return Ok(());
        }
        match connection.go_on() {
            Progress::Waiting => Ok(()),
            Progress::Answered { ok, length } => {
                let nanoseconds = connection.began.elapsed().as_nanos();
                if ok {
                    self.answered += 1;
                    self.latencies.push(u64::try_from(nanoseconds).unwrap_or(u64::MAX));
                } else {
                    let bytes = connection.input.get(..length.min(SHOWN_BYTES)).unwrap_or_default();
                    self.errors.note(|| String::from_utf8_lossy(bytes).into_owned());
                }
                connection.filled = 0;
                connection.asking = false;
                if !self.ending {
                    connection.ask(&mut self.requests);
                }
                self.worth_it()
            }
            Progress::Broken(why) => {
                self.errors.note(|| why);
                let mut connection = self.connect(token)?;
                if !self.ending {
                    connection.ask(&mut self.requests);
                }
                if let Some(place) = self.connections.get_mut(token) {
                    *place = connection;
                }
                self.worth_it()
            }
        }
    }

    fn worth_it(&self) -> Result<(), Failure> {
        if self.errors.count < HOPELESS || self.answered > self.errors.count {
            return Ok(());
        }
        let first = self.errors.first.as_deref().unwrap_or_default();
        Err(Failure::Other(format!(
            "{} answers with only errors ({}), the first:\n{first}",
            self.target, self.errors.count
        )))
    }
}

impl Connection {
    fn ask(&mut self, requests: &mut Requests) {
        requests.next(&mut self.request);
        self.sent = 0;
        self.asking = true;
        self.began = Instant::now();
        // What cannot be sent yet makes an event, and so does an error.
        let _later = self.send();
    }

    fn send(&mut self) -> std::io::Result<()> {
        while let Some(rest) = self.request.get(self.sent..)
            && !rest.is_empty()
        {
            self.sent += self.stream.write(rest)?;
        }
        Ok(())
    }

    fn go_on(&mut self) -> Progress {
        if self.sent < self.request.len()
            && let Err(error) = self.send()
            && error.kind() != ErrorKind::WouldBlock
        {
            return Progress::Broken(format!("a connection broke while asking: {error}"));
        }
        loop {
            if self.filled == self.input.len() {
                self.input.resize(self.input.len() * 2, 0);
            }
            match self.stream.read(self.input.get_mut(self.filled..).unwrap_or_default()) {
                Ok(0) => return Progress::Broken("a connection was closed".to_owned()),
                Ok(read) => self.filled += read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Progress::Waiting,
                Err(error) => return Progress::Broken(format!("a connection broke: {error}")),
            }
            let input = self.input.get(..self.filled).unwrap_or_default();
            match frame(input) {
                // Nothing more can be there before the next request: no need to read until it blocks.
                Frame::Whole(length) => return Progress::Answered { ok: is_ok(input), length },
                Frame::Partial => {}
                Frame::Unknown => {
                    return Progress::Broken("an answer gives no length".to_owned());
                }
            }
        }
    }
}
