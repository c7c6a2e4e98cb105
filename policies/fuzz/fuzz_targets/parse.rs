//! Any text, read as a policy and checked: an answer, never a panic. What is a policy runs its tests.
//!
//! `cd policies && cargo +nightly fuzz run parse fuzz/corpus/parse tests/it/broken`; without a nightly toolchain,
//! `RUSTC_BOOTSTRAP=1` in front. The corpus is replayed by the ordinary tests.

#![no_main]

use libfuzzer_sys::fuzz_target;
use policies::{Context, Policy};

fuzz_target!(|text: &str| {
    let today = jiff::civil::date(2026, 11, 23);
    let context = Context { today, has_file: &|_| false };
    let said = match Policy::check(text, "fuzz.yaml", &context) {
        Ok((policy, warnings)) => {
            policy.run_tests();
            policy.untested_cells();
            warnings
        }
        Err(problems) => problems,
    };
    assert!(!said.to_string().is_empty());
});
