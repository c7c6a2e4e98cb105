//! A model server that says what a test wants, and can misbehave in every way.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// What the server does with a question.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    Json(Value),
    Status(u16),
    /// A body that may be anything.
    Body(Vec<u8>),
    /// An answer after so long.
    Later(Duration, Box<Reply>),
    /// No answer at all.
    Hang,
    /// A part of the answer, and then the end of the connection.
    Broken,
    /// A body that never ends.
    Endless,
}

/// A question as it came.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) path: String,
    pub(crate) head: String,
    pub(crate) body: Value,
}

type Script = Arc<Mutex<Arc<dyn Fn(&Asked) -> Reply + Send + Sync>>>;

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    script: Script,
    asked: Arc<Mutex<Vec<Asked>>>,
    /// The most questions that were under way at a time.
    most: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Clone, Default)]
struct Counts {
    now: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

impl Server {
    pub(crate) async fn start(script: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        Self::at("127.0.0.1:0".parse().unwrap(), script).await
    }

    pub(crate) async fn at(
        address: SocketAddr,
        script: impl Fn(&Asked) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(address).unwrap();
        let listener = socket.listen(1024).unwrap();
        let address = listener.local_addr().unwrap();
        let script: Script = Arc::new(Mutex::new(Arc::new(script)));
        let (asked, counts) = (Arc::<Mutex<Vec<Asked>>>::default(), Counts::default());
        let most = Arc::clone(&counts.most);
        let task = tokio::spawn(accept(listener, Arc::clone(&script), Arc::clone(&asked), counts));
        Self { address, script, asked, most, task }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on it does this.
    pub(crate) fn now(&self, script: impl Fn(&Asked) -> Reply + Send + Sync + 'static) {
        *self.script.lock().unwrap() = Arc::new(script);
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    pub(crate) fn count(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    pub(crate) fn most(&self) -> usize {
        self.most.load(Ordering::SeqCst)
    }
}

async fn accept(
    listener: TcpListener,
    script: Script,
    asked: Arc<Mutex<Vec<Asked>>>,
    counts: Counts,
) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (script, asked, counts) = (Arc::clone(&script), Arc::clone(&asked), counts.clone());
        connections.spawn(async move {
            // The client may leave at any time.
            let _left = serve(stream, &script, &asked, &counts).await;
        });
    }
}

/// Serves one connection by the script.
async fn serve<I: AsyncRead + AsyncWrite + Unpin>(
    mut stream: I,
    script: &Script,
    asked: &Mutex<Vec<Asked>>,
    counts: &Counts,
) -> std::io::Result<()> {
    while let Some(question) = read(&mut stream).await? {
        let now = counts.now.fetch_add(1, Ordering::SeqCst) + 1;
        counts.most.fetch_max(now, Ordering::SeqCst);
        let script = Arc::clone(&script.lock().unwrap());
        let mut reply = script(&question);
        asked.lock().unwrap().push(question);
        while let Reply::Later(time, then) = reply {
            tokio::time::sleep(time).await;
            reply = *then;
        }
        // Before the answer leaves: who has it may ask again at once.
        counts.now.fetch_sub(1, Ordering::SeqCst);
        write(&mut stream, reply).await?;
    }
    Ok(())
}

pub(crate) async fn read<I: AsyncRead + Unpin>(stream: &mut I) -> std::io::Result<Option<Asked>> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let length = head.to_lowercase().lines().find_map(|line| {
        line.strip_prefix("content-length:").map(|length| length.trim().parse::<usize>().unwrap())
    });
    while bytes.len() < end + length.unwrap_or_default() {
        if stream.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
    }
    let body = serde_json::from_slice(&bytes[end..]).unwrap_or_default();
    Ok(Some(Asked { path: head.split(' ').nth(1).unwrap().to_owned(), head, body }))
}

pub(crate) async fn write<I: AsyncWrite + Unpin>(
    stream: &mut I,
    reply: Reply,
) -> std::io::Result<()> {
    let (status, body) = match reply {
        Reply::Json(value) => (200, value.to_string().into_bytes()),
        Reply::Status(status) => (status, b"{}".to_vec()),
        Reply::Body(body) => (200, body),
        Reply::Hang | Reply::Later(..) => {
            std::future::pending::<()>().await;
            return Ok(());
        }
        Reply::Broken => {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{\"id\"").await?;
            return Err(std::io::ErrorKind::BrokenPipe.into());
        }
        Reply::Endless => {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 999999999\r\n\r\n").await?;
            loop {
                stream.write_all(&[b' '; 65536]).await?;
            }
        }
    };
    let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all(&[head.as_bytes(), &body].concat()).await
}
