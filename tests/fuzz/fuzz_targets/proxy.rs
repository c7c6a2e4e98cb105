//! Any bytes from a client and any from a model server, with the whole guard between them.
#![no_main]

#[expect(dead_code, reason = "tests read what was seen")]
#[path = "../properties/proxy.rs"]
mod proxy;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    // Little: most executions end with it.
    proxy::check(bytes, std::time::Duration::from_millis(5));
});
