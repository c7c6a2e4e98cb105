//! What can be between a sink and a server.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;
use std::time::Duration;

/// What becomes of what the server says.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Line {
    Good,
    /// Everything comes half a second later.
    Slow,
    /// Something else comes.
    Junk,
    /// Half of it comes, and then nothing any more.
    Cut,
    /// What HTTP servers say who have too much to do comes in place of it.
    Busy,
}

const BUSY: &[u8] =
    b"HTTP/1.1 503 Slow Down\r\ncontent-type: application/xml\r\ncontent-length: 45\r\n\r\n\
                      <Error><Code>SlowDown</Code></Error>.........";

/// Passes everything on until the process ends.
pub struct Relay {
    pub address: SocketAddr,
    line: Arc<AtomicU8>,
}

impl Relay {
    pub fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let line = Arc::new(AtomicU8::new(Line::Good as u8));
        let answers = Arc::clone(&line);
        thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.unwrap();
                let Ok(server) = TcpStream::connect(server) else { continue };
                let (to_server, to_client) =
                    (server.try_clone().unwrap(), client.try_clone().unwrap());
                let answers = Arc::clone(&answers);
                thread::spawn(move || pump(client, to_server, &AtomicU8::default()));
                thread::spawn(move || pump(server, to_client, &answers));
            }
        });
        Self { address, line }
    }

    pub fn set(&self, line: Line) {
        self.line.store(line as u8, Ordering::Relaxed);
    }
}

fn pump(mut from: TcpStream, mut to: TcpStream, line: &AtomicU8) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        let line = line.load(Ordering::Relaxed);
        if line == Line::Slow as u8 {
            thread::sleep(Duration::from_millis(500));
        }
        if line == Line::Junk as u8 {
            buffer[..length].iter_mut().for_each(|byte| *byte ^= 0x15);
        }
        let said = match line {
            line if line == Line::Cut as u8 => &buffer[..length / 2],
            line if line == Line::Busy as u8 => BUSY,
            _ => &buffer[..length],
        };
        if to.write_all(said).is_err() || said.len() != length {
            break;
        }
    }
    // The other side may be gone already.
    let _from = from.shutdown(Shutdown::Both);
    let _to = to.shutdown(Shutdown::Both);
}
