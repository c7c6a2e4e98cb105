//! What fuzzing has found worth keeping (`tests/fuzz/corpus/json`), again.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that panics has found something"
)]
#![allow(missing_docs, unreachable_pub, reason = "nobody else uses it")]

#[path = "../../../tests/fuzz/properties/json.rs"]
mod json;

#[test]
fn what_is_read_is_what_goes_on_and_all_of_it_is_judged() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fuzz/corpus/json");
    let mut count = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        json::check(&std::fs::read(file.unwrap().path()).unwrap());
        count += 1;
    }
    assert!(count > 3, "{count} files");
}
