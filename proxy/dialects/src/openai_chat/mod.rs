//! OpenAI's chat completions (`POST /v1/chat/completions`): requests, plain answers and stream chunks.
//!
//! Source of the field names: OpenAI's OpenAPI document 2.3.0, and vLLM's protocol for what it adds.

mod answer;
mod chunk;
mod reply;
mod request;
mod tables;

pub use answer::Answer;
pub use chunk::{Channel, Chunk, Delta, Envelope, Frame};
pub use reply::{CutChoice, DONE, Refusal, cut_events, upstream_error_text};
pub use request::Request;
