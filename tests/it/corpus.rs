//! What fuzzing the whole guard has found worth keeping (`tests/fuzz/corpus/proxy`), again.

#[path = "../fuzz/properties/proxy.rs"]
mod proxy;

#[test]
fn no_trigger_passes_the_guard_and_every_exchange_has_its_end() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fuzz/corpus/proxy");
    let mut count = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        proxy::check(&std::fs::read(file.unwrap().path()).unwrap());
        count += 1;
    }
    assert!(count > 8, "{count} files");
}
