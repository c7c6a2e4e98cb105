//! What the integration tests are made of: a scripted model server, a guard to talk to, and a client that can
//! say anything.

mod client;
mod guard;
pub mod nats;
mod policy;
pub mod postgres;
mod provider;
#[allow(dead_code, reason = "the tests of proxy/sinks use all of it")]
pub mod s3;
pub mod strace;
mod upstream;
pub mod wire;

pub use client::{Reading, Reply, chat, get_events, leave, post, post_to, raw, raw_all, try_post};
pub use guard::Guard;
pub use policy::{POLICY, policy_with};
pub use provider::{Provider, Signer, WELL_KNOWN, now};
pub use upstream::{
    Script, Upstream, completion, embedding, message, message_blocks_sse, message_sse,
    message_with_tool_sse, responded, responded_parts_sse, responded_sse, responded_with_tool_sse,
    sse, text_completion, text_sse,
};
