//! Any bytes as a model server's streamed answer.
#![no_main]

#[path = "../properties/stream.rs"]
mod stream;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| stream::check(bytes));
