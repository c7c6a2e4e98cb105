//! Any bytes from a client and any from a model server, with the whole guard between them.
#![no_main]

#[path = "../properties/proxy.rs"]
mod proxy;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    proxy::check(bytes);
});
