//! How files look.

use std::fs;

use crate::run::output;

/// More lines than this and a file holds more than one thing.
const LONGEST: usize = 600;

/// Every fault, in words.
pub(crate) fn check() -> Result<Vec<String>, String> {
    let listed = output("git", &["ls-files", "--cached", "--others", "--exclude-standard"])?;
    Ok(listed.lines().flat_map(faults).collect())
}

fn faults(path: &str) -> Vec<String> {
    // What cannot be read as text has no lines to look at.
    let Ok(text) = fs::read_to_string(path) else { return Vec::new() };
    // Found by machines, and kept as they are.
    if path.starts_with("tests/fuzz/corpus/") {
        return Vec::new();
    }
    if path.ends_with(".snap") || path.ends_with(".lock") || path.ends_with(".json") {
        return Vec::new();
    }
    let mut faults = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if line.ends_with([' ', '\t']) {
            faults.push(format!("{path}:{}: white space at the end of a line", number + 1));
        }
    }
    if !text.is_empty() && !text.ends_with('\n') {
        faults.push(format!("{path}: no line break at the end"));
    }
    if path.ends_with(".rs") {
        if !text.starts_with("//!") {
            faults.push(format!("{path}: does not begin with what it is for (`//! ...`)"));
        }
        if text.lines().count() > LONGEST {
            faults.push(format!("{path}: more than {LONGEST} lines"));
        }
    }
    faults
}
