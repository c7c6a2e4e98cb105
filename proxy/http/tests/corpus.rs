//! What fuzzing has found worth keeping (`tests/fuzz/corpus/http`), again.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that panics has found something"
)]
#![allow(missing_docs, unreachable_pub, reason = "nobody else uses it")]

#[path = "../../../tests/fuzz/properties/http.rs"]
mod http;

#[test]
fn what_reaches_the_gate_was_vouched_for() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fuzz/corpus/http");
    let mut count = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        http::check(&std::fs::read(file.unwrap().path()).unwrap());
        count += 1;
    }
    assert!(count > 3, "{count} files");
}
