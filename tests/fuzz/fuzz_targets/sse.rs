//! Any bytes as server-sent events.
#![no_main]

#[path = "../properties/sse.rs"]
mod sse;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sse::check(bytes));
