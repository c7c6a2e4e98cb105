//! OpenAI's chat completions (`POST /v1/chat/completions`): requests, plain answers and stream chunks.
//!
//! Source of the field names: OpenAI's OpenAPI document 2.3.0, and vLLM's protocol for what it adds.

mod answer;
mod chunk;
mod reply;
mod request;
mod tables;

pub use answer::Answer;
pub use chunk::{Channel, Chunk, Delta};
pub use reply::{DONE, Refusal, upstream_error_text, withheld_events};
pub use request::Request;
