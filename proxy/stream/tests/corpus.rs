//! What fuzzing has found worth keeping (`tests/fuzz/corpus`), again.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that panics has found something"
)]
#![allow(missing_docs, unreachable_pub, reason = "nobody else uses it")]

use std::path::Path;

#[path = "../../../tests/fuzz/properties/sse.rs"]
mod sse;
#[path = "../../../tests/fuzz/properties/stream.rs"]
mod stream;

fn replay(target: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz/corpus").join(target);
    let mut count = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        check(&std::fs::read(file.unwrap().path()).unwrap());
        count += 1;
    }
    assert!(count > 3, "{target}: {count} files");
}

#[test]
fn events_are_what_the_standard_says() {
    replay("sse", sse::check);
}

#[test]
fn answers_do_not_depend_on_how_they_are_cut() {
    replay("stream", stream::check);
}
