//! Children that are ended, whatever happens.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::accounts;
use crate::failure::Failure;
use crate::machine::Cores;
use crate::stop::Stop;
use crate::text::{Kind, Requests};
use crate::wire::{Frame, frame, is_ok};

/// How long a child may take to end by itself.
const END: Duration = Duration::from_secs(5);
/// How long a server may take to answer for the first time.
const READY: Duration = Duration::from_secs(20);
/// How often a server that is starting is tried.
const RETRY: Duration = Duration::from_micros(500);

/// A server that runs as a child of this process; ended when dropped, first kindly.
#[derive(Debug)]
pub(crate) struct Server {
    name: &'static str,
    child: Child,
    address: SocketAddr,
    log: PathBuf,
    spawned: Instant,
}

impl Server {
    /// Runs `command`, which will listen on `address`; what it prints goes to `log`.
    pub(crate) fn spawn(
        name: &'static str,
        mut command: Command,
        (address, log): (SocketAddr, PathBuf),
        cores: &Cores,
    ) -> Result<Self, Failure> {
        let file = File::create(&log).map_err(Failure::io(format!("cannot log for {name}")))?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(file);
        cores.proxy_side()?;
        let spawned = Instant::now();
        let child = command.spawn();
        cores.load_side()?;
        let child = child.map_err(Failure::io(format!("cannot start {name}")))?;
        Ok(Self { name, child, address, log, spawned })
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process and those below it.
    pub(crate) fn pids(&self) -> Vec<u32> {
        accounts::tree(self.child.id())
    }

    /// Waits until it accepts connections.
    pub(crate) fn listening(&mut self, stop: &Stop) -> Result<(), Failure> {
        let address = self.address;
        self.until(stop, || TcpStream::connect(address).is_ok()).map(|_| ())
    }

    /// Waits until it answers a request with 200; says how long that took from the start.
    pub(crate) fn answering(&mut self, stop: &Stop) -> Result<Duration, Failure> {
        let address = self.address;
        let mut request = Vec::new();
        Requests::new(Kind::Repeated, 1024, address.port(), 0).next(&mut request);
        self.until(stop, || answers(address, &request).unwrap_or(false))
    }

    fn until(&mut self, stop: &Stop, mut ready: impl FnMut() -> bool) -> Result<Duration, Failure> {
        while !ready() {
            stop.check()?;
            let ended = self.child.try_wait().map_err(Failure::io("cannot ask for a child"))?;
            if ended.is_some() || self.spawned.elapsed() > READY {
                let log = std::fs::read_to_string(&self.log).unwrap_or_default();
                let how = if ended.is_some() { "ended" } else { "does not answer with 200" };
                return Err(Failure::Other(format!("{} {how}; it said:\n{log}", self.name)));
            }
            std::thread::sleep(RETRY);
        }
        Ok(self.spawned.elapsed())
    }

    fn ended_within(&mut self, time: Duration) -> bool {
        let end = Instant::now() + time;
        while Instant::now() < end {
            match self.child.try_wait() {
                Ok(None) => std::thread::sleep(Duration::from_millis(5)),
                Ok(Some(_)) | Err(_) => return true,
            }
        }
        false
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let pids = self.pids();
        signal(self.child.id(), Signal::TERM);
        if !self.ended_within(END) {
            for pid in pids {
                signal(pid, Signal::KILL);
            }
            // It cannot refuse.
            let _status = self.child.wait();
        }
    }
}

/// A port of loopback that is free now.
pub(crate) fn free_address() -> Result<SocketAddr, Failure> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map_err(Failure::io("no port is free"))
}

fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // It may have ended already.
        let _gone = kill_process(pid, signal);
    }
}

fn answers(address: SocketAddr, request: &[u8]) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    stream.write_all(request)?;
    let (mut answer, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let read = stream.read(&mut buffer)?;
        answer.extend_from_slice(buffer.get(..read).unwrap_or_default());
        match frame(&answer) {
            Frame::Partial if read > 0 => {}
            Frame::Whole(_) => return Ok(is_ok(&answer)),
            Frame::Partial | Frame::Unknown => return Ok(false),
        }
    }
}
