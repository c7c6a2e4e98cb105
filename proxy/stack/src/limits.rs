//! Bounds on what one exchange may cost, each with its default.

use std::time::Duration;

/// How much and how long. Every bound is enforced before the memory is used.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The largest request body, in bytes. 4 MiB holds a 128,000-token conversation several times over.
    pub request_bytes: usize,
    /// How long a request body may take to arrive.
    pub request_time: Duration,
    /// The largest answer, in bytes: all of it is held until it is judged.
    pub answer_bytes: usize,
    /// How long the upstream may take until its answer's first byte. Large models think for minutes.
    pub upstream_time: Duration,
    /// How long the upstream may be silent in the middle of an answer.
    pub upstream_idle: Duration,
    /// How many answers of the model server may be under way; `None`: as many as exchanges.
    pub upstream_concurrent: Option<usize>,
    /// So many failures of the model server in a row, and it is left alone for a while; 0: it never is.
    pub upstream_failures: u32,
    /// How many exchanges may be under way; a streamed answer counts until its last byte.
    pub concurrent: usize,
    /// Whether questions about texts are answered (`/v1/moderations` and the other contracts).
    pub checks: bool,
    /// How often a client that waits for a streamed answer hears that the connection lives.
    pub keep_alive: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_bytes: 4 << 20,
            request_time: Duration::from_secs(30),
            answer_bytes: 16 << 20,
            upstream_time: Duration::from_secs(600),
            upstream_idle: Duration::from_secs(120),
            upstream_concurrent: None,
            upstream_failures: 10,
            concurrent: 4096,
            checks: true,
            keep_alive: Duration::from_secs(10),
        }
    }
}
