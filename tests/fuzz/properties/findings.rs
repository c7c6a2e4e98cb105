//! Whatever a text says, it is judged, and what is found lies in it.

use classifiers_code_shield::CodeShield;
use classifiers_patterns::Patterns;

/// Judges `bytes` as a text.
pub fn check(bytes: &[u8]) {
    thread_local! {
        static SHIELD: CodeShield = CodeShield::new().unwrap();
        static PATTERNS: Patterns = Patterns::new();
    }
    let text = String::from_utf8_lossy(bytes);
    PATTERNS.with(|patterns| {
        for span in patterns.find(&text).into_iter().filter_map(|finding| finding.span) {
            assert!(!span.is_empty() && text.get(span).is_some());
        }
    });
    SHIELD.with(|shield| {
        for weakness in shield.find(&text).into_iter().flatten() {
            assert!(text.get(weakness.span).is_some());
        }
    });
}
