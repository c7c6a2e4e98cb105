//! Documents with something wrong, and what is said about them.
//!
//! Each `broken/<name>.yaml` is one document beside its snapshot; what cannot be a readable file is built
//! below.

use proptest::prelude::*;

use crate::support::{checked, said};

fn check(name: &str, source: &str) {
    let diagnostics = said(source);
    assert!(!diagnostics.is_empty(), "{name}: nothing was said");
    insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true, snapshot_path => "broken" }, {
        insta::assert_snapshot!(name, diagnostics);
    });
}

#[test]
fn files() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/broken");
    let mut paths: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    paths.sort();
    assert!(paths.len() >= 60, "only {} documents found", paths.len());
    for path in paths {
        let name = path.file_stem().unwrap().to_str().unwrap();
        check(name, &std::fs::read_to_string(&path).unwrap());
    }
}

/// What a check finds beside what any reading finds: each document with the day it is looked at.
#[test]
fn right_today_and_wrong_tomorrow() {
    let exemption = |expires: &str| {
        format!(
            "{FINE}exemptions:\n  - {{ id: EX-1, key: a, hazard: hate, where: [input], action: allow, \
             why: a, approved_by: b, expires: {expires} }}\n"
        )
    };
    let cases: [(&str, String); 8] = [
        ("exemption_over", exemption("2026-11-22")),
        ("exemption_too_long", exemption("2027-02-22")),
        ("exemption_ends_soon", exemption("2026-12-01")),
        ("shadow_for_long", format!("{FINE}mode: shadow\nsince: 2026-09-01\n")),
        ("languages_unsaid", FINE.to_owned()),
        (
            "score_uncalibrated",
            "version: 1\nname: test\nhazards: { hate: { sensitivity: 0.95 } }\n".to_owned(),
        ),
        (
            "language_without_message",
            format!(
                "{FINE}languages: {{ checked: [en, de], others: flag }}\nmessages: {{ default: {{ en: x }} }}\n"
            ),
        ),
        (
            "examples_missing",
            format!(
                "{FINE}custom_hazards: {{ a: {{ title: a, should_not: [b], examples: c.jsonl, mode: shadow }} }}\n"
            ),
        ),
    ];
    for (name, source) in cases {
        insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true, snapshot_path => "broken" }, {
            insta::assert_snapshot!(name, checked(&source, "2026-11-23"));
        });
    }
}

/// `version`, `name` and `hazards`, so that only what follows is wrong.
const FINE: &str = "version: 1\nname: test\nhazards: {}\n";

#[test]
fn documents_that_are_no_files() {
    let billion_laughs = (1..12).fold("a0: &a0 [x, x, x, x, x, x, x, x]\n".to_owned(), |doc, n| {
        let before = format!("*a{}", n - 1);
        format!("{doc}a{n}: &a{n} [{}]\n", [before.as_str(); 8].join(", "))
    });
    let flat_bomb = format!("a: &a [{}]\nb: [{}]\n", "x, ".repeat(1000), "*a, ".repeat(900));
    let many_errors =
        format!("{{ {} }}", (0..20_000).map(|n| format!("k{n}: {{ }}, ")).collect::<String>());
    let cases: [(&str, String); 16] = [
        ("many_errors", many_errors),
        ("byte_order_mark", format!("\u{feff}{FINE}modes: shadow\n")),
        ("empty", String::new()),
        ("only_blanks", "\n  \n\n".to_owned()),
        ("only_a_comment", "# nothing yet\n".to_owned()),
        ("billion_laughs", billion_laughs),
        ("flat_alias_bomb", flat_bomb),
        ("self_alias", "version: 1\nname: &a [*a]\n".to_owned()),
        ("too_deep", "[".repeat(5_000)),
        ("too_deep_in_blocks", (0..100).map(|n| format!("{}a:\n", " ".repeat(n))).collect()),
        ("too_many_values", format!("tests: [{}]", "1, ".repeat(60_000))),
        ("too_large", format!("{FINE}about: {}\n", "x".repeat(1 << 20))),
        ("binary", "\u{0}\u{1}\u{7f}ELF\u{fffd}\u{2}".to_owned()),
        ("carriage_returns", "version: 1\r\nname: test\r\nhazards: { hat: {} }\r\n".to_owned()),
        ("escapes", format!("{FINE}\"\\e[31mred\\u202e\": 1 # \u{202e}\n")),
        ("long_line", format!("{FINE}limits: {{ requests: {}/day }}\n", "9".repeat(500))),
    ];
    for (name, source) in cases {
        check(name, &source);
    }
}

/// What the fuzzer found worth keeping; it also starts from the documents beside this file.
#[test]
fn the_corpus_of_the_fuzzer_panics_nowhere() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/parse");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        assert!(!checked(&text, "2026-11-23").to_string().is_empty());
        count += 1;
    }
    assert!(count > 0, "there is no corpus");
}

proptest! {
    #[test]
    fn no_text_panics(text in any::<String>(), cut in 0..3_000usize) {
        let rendered = said(&text).to_string();
        prop_assert!(!rendered.is_empty());
        // A good policy cut anywhere, and continued with anything.
        let start: String = policies::library::DEFAULT.chars().take(cut).collect();
        let rendered = said(&format!("{start}{text}")).to_string();
        prop_assert!(!rendered.chars().any(|c| c.is_control() && c != '\n'));
    }

    #[test]
    fn no_yaml_panics(pieces in prop::collection::vec(piece(), 0..60)) {
        let rendered = said(&pieces.concat()).to_string();
        prop_assert!(!rendered.is_empty());
    }
}

/// Pieces of which many combinations are YAML, and nearly none a policy.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(vec![
            "version: 1\n", "name: x\n", "hazards:\n", "  defaults: ", "  hate: ", "  S9: ", "{ ", " }",
            "input: ", "block", "redact", "tests:\n", "  - name: a\n    at: input\n", "    expect: ",
            "messages:\n", "  default: ", "en: ", "limits: ", "on_failure: ", "sensitivity: ", "mode: ",
            "routes:\n", "  - { use: base }\n", "profiles:\n", "never_below:\n", "exemptions:\n", "audit:\n",
            "languages: ", "custom_hazards:\n", "streaming: ", "key: ", "expires: 2027-01-01",
        ]).prop_map(str::to_owned),
        2 => prop::sample::select(vec![
            "\n", "  ", ": ", "- ", "[", "]", "{", "}", ", ", "&a ", "*a", "!!str ", "!x ", "|\n", ">\n",
            "? ", "\"", "'", "#", "---\n", "...\n", "\t", "<<: *a\n", ".nan", "0x1", "~", "\u{feff}", "é",
        ]).prop_map(str::to_owned),
        1 => any::<char>().prop_map(String::from),
        1 => any::<f64>().prop_map(|n| n.to_string()),
    ]
}
