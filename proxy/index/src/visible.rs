//! Text that somebody else wrote, on a terminal or in a table.

/// `text` on one line in which everything can be seen: what a terminal would obey, and what hides or turns text, is
/// written as `\u{...}`.
#[must_use]
pub fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' => shown.push_str("\\t"),
            c if is_deceptive(c) => shown.push_str(&format!("\\u{{{:x}}}", u32::from(c))),
            c => shown.push(c),
        }
    }
    shown
}

/// JSON in which the same characters are escaped, as JSON escapes them: they occur in strings alone.
#[must_use]
pub fn visible_json(json: &str) -> String {
    let mut shown = String::with_capacity(json.len());
    for c in json.chars() {
        match is_deceptive(c) && c != '\n' {
            true => c
                .encode_utf16(&mut [0; 2])
                .iter()
                .for_each(|unit| shown.push_str(&format!("\\u{unit:04x}"))),
            false => shown.push(c),
        }
    }
    shown
}

/// Controls (C0, DEL, C1), separators of lines, marks that are not seen or change the direction, and tags.
fn is_deceptive(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}' | '\u{61c}' | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{fe00}'..='\u{fe0f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

#[cfg(test)]
mod tests {
    use super::{visible, visible_json};

    #[test]
    fn nothing_reaches_a_terminal_that_it_would_obey() {
        let hostile = "a\u{1b}[2Jb\u{9b}31m\r\n\u{202e}c\u{200b}\u{e0041}\u{7f}é😀";
        assert_eq!(
            visible(hostile),
            "a\\u{1b}[2Jb\\u{9b}31m\\r\\n\\u{202e}c\\u{200b}\\u{e0041}\\u{7f}é😀"
        );
        let json = serde_json::to_string(hostile).expect("a text is JSON");
        let shown = visible_json(&json);
        assert!(!shown.contains(super::is_deceptive));
        assert_eq!(serde_json::from_str::<String>(&shown).expect("it is JSON"), hostile);
    }
}
