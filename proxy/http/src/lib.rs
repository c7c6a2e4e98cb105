//! From a byte stream to the gate: HTTP/1.1 and HTTP/2, strictly.
//!
//! HTTP libraries are lenient: they mend what they can (two lengths, bare line feeds, a second `Host`) before
//! anybody above them can look. A server that mends differently sees other requests than we did. So HTTP/1.1 is
//! checked byte by byte ([`Framing`]) *before* the library reads it, and what has more than one reading is refused.
//! HTTP/2 has lengths of its own; there the library is strict.

mod answer;
mod connection;
mod framing;
mod head;
mod idle;
mod progress;
mod streams;
mod wire;

pub use connection::Http;
pub use framing::Framing;
pub use streams::Streams;

/// Why a connection ended early.
type Early = Box<dyn std::error::Error + Send + Sync>;
