//! Every rule finds its bad example and not its good one; where code is found; what is left out.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test that panics has found something"
)]

use classifiers_code_shield::{CodeShield, Language};
use proptest::prelude::*;

fn shield() -> CodeShield {
    CodeShield::new().unwrap()
}

fn found(text: &str) -> Vec<(String, String)> {
    let shield = shield();
    let all = shield.find(text).unwrap();
    all.iter().map(|w| (w.rule.id.clone(), text[w.span.clone()].to_owned())).collect()
}

fn ids(text: &str) -> Vec<String> {
    found(text).into_iter().map(|(id, _)| id).collect()
}

#[test]
fn every_rule_finds_its_bad_example_and_not_its_good_one() {
    let shield = shield();
    let mut names = std::collections::HashSet::new();
    for rule in shield.rules() {
        assert!(names.insert(&rule.id), "{} is there twice", rule.id);
        assert!(rule.cwe.starts_with("CWE-") && rule.message.ends_with(['.', '"']), "{}", rule.id);
        for language in &rule.languages {
            let fenced = |code: &str| format!("Look:\n```{}\n{code}\n```\nDone.", language.name());
            let fires = |code: &str| {
                let code = fenced(code);
                shield.find(&code).unwrap().iter().any(|w| w.rule.id == rule.id)
            };
            assert!(fires(&rule.bad), "{} does not find {}", rule.id, rule.bad);
            assert!(!fires(&rule.good), "{} finds {}", rule.id, rule.good);
        }
        // The same without fences, as in the arguments of a tool.
        let bare = shield.find(&rule.bad).unwrap();
        assert!(
            bare.iter().any(|w| w.rule.id == rule.id),
            "{} does not find bare {}",
            rule.id,
            rule.bad
        );
    }
    for name in [
        "c",
        "cpp",
        "csharp",
        "java",
        "typescript",
        "php",
        "python",
        "rust",
        "go",
        "ruby",
        "swift",
        "objc",
        "kotlin",
        "sql",
        "bash",
    ] {
        let language = Language::of_name(name).unwrap();
        let rules = shield.rules().iter().filter(|rule| rule.languages.contains(&language)).count();
        assert!(rules >= 3, "{name} has {rules} rules");
    }
}

#[test]
fn comments_texts_and_sentences_are_no_code() {
    for text in [
        "```python\n# os.system(command)\nx = 1\n```",
        "```python\ndef f():\n    \"\"\"Like os.system(command).\"\"\"\n```",
        "```python\nprint('never call os.system(command)')\n```",
        "```c\n/* gets(line); */ // gets(line);\nint x;\n```",
        "Never use `os.system(command)` in a server, and avoid eval(x) if you can.",
        "```rust\nfn f<'a>(x: &'a str) { println!(\"{x}\"); }\n```",
    ] {
        assert_eq!(ids(text), Vec::<String>::new(), "{text}");
    }
}

#[test]
fn spans_lie_in_the_original_and_languages_are_told_without_a_fence() {
    let text = "Grüße:\n```\nimport os\ndef f(self, x):\n    os.system('ls ' + x)  # é\n```\nund\n~~~js\neval(input)\n~~~";
    let found = found(text);
    assert_eq!(found[0].0, "python-shell-with-variable");
    assert!(found[0].1.starts_with("os.system('ls ' + x"));
    assert_eq!(found[1].0, "js-eval");
    assert!(!ids("import os\ndef f(self, x):\n    os.system('ls ' + x)\n").is_empty());
    // The first part of a window of a stream may be the end of a block whose fence has left.
    assert!(!ids("    os.system('ls ' + x)\n```\nThat was it.").is_empty());
    // A block that has no end yet.
    assert!(!ids("```python\nos.system('ls ' + x)").is_empty());
}

#[test]
fn what_is_known_or_tests_weighs_less() {
    let score = |text: &str| {
        let shield = shield();
        shield.find(text).unwrap().iter().map(|w| w.score).fold(0.0, f32::max)
    };
    assert_eq!(score("```python\nos.system(x)\n```"), 0.92);
    assert_eq!(score("```python\nos.system(x)  # nosec\n```"), 0.3);
    assert_eq!(score("```python\ndef test_it():\n    os.system(x)\n```"), 0.5);
}

proptest! {
    #[test]
    fn any_text_is_judged(pieces in prop::collection::vec(prop_oneof![
        "[ -~\n]{0,20}",
        prop::sample::select(vec!["```", "\n```python\n", "\"\"\"", "'", "\"", "/*", "*/", "//", "#", "\\", "é", "eval(x)",
            "os.system(x", "SELECT * FROM t WHERE a=\"", "\" % x", "<b>", "exec(`${", "gets(x);", "cmd = '"])
            .prop_map(str::to_owned)], 0..60))
    {
        let text = pieces.concat();
        for weakness in shield().find(&text).unwrap() {
            prop_assert!(text.get(weakness.span).is_some());
        }
    }
}
