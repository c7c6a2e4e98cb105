//! Any bytes as what a client sends.
#![no_main]

#[path = "../properties/http.rs"]
mod http;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| http::check(bytes));
