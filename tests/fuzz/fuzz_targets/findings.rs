//! Any bytes as a text in which secrets, personal data and insecure code are looked for.
#![no_main]

#[path = "../properties/findings.rs"]
mod findings;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| findings::check(bytes));
