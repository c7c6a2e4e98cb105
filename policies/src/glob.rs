//! Patterns in which `*` stands for any text.

/// A pattern: literal text, and `*` for any text, also none.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Glob(String);

impl Glob {
    pub(crate) fn new(pattern: &str) -> Self {
        Self(pattern.to_owned())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `text` as a whole is what the pattern describes. Upper and lower case differ.
    pub(crate) fn matches(&self, text: &str) -> bool {
        let mut pieces = self.0.split('*');
        let Some(mut rest) = pieces.next().and_then(|first| text.strip_prefix(first)) else {
            return false;
        };
        let Some(last) = pieces.next_back() else { return rest.is_empty() };
        // The leftmost place of each piece leaves the most room for the others.
        for piece in pieces {
            let Some((_, after)) = rest.split_once(piece) else { return false };
            rest = after;
        }
        rest.len() >= last.len() && rest.ends_with(last)
    }

    /// Whether every text that `other` matches is matched by this one too.
    ///
    /// The star of `other` is taken as a letter that only a star can match: whatever it stands for, this
    /// pattern's star stands for it too.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        self.matches(&other.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Glob;

    #[test]
    fn stars_stand_for_any_text() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("kids-*", "kids-tablet", true),
            ("kids-*", "kid-tablet", false),
            ("*coder*", "qwen-coder-32b", true),
            ("*coder*", "qwen", false),
            ("a*b*c", "abbc", true),
            ("a*b*c", "acb", false),
            ("ab*ba", "aba", false),
            ("*-x", "a-x-x", true),
        ] {
            assert_eq!(Glob::new(pattern).matches(text), expected, "{pattern} {text}");
        }
        for (wide, narrow, expected) in [
            ("*", "a*", true),
            ("kids-*", "kids-t*", true),
            ("kids-*", "*", false),
            ("a*", "a", true),
            ("a", "a*", false),
            ("*b*", "ab*", true),
        ] {
            assert_eq!(Glob::new(wide).covers(&Glob::new(narrow)), expected, "{wide} {narrow}");
        }
    }

    proptest! {
        #[test]
        fn what_is_covered_is_matched(wide in "[ab*]{0,5}", narrow in "[ab*]{0,5}", text in "[ab]{0,6}") {
            let (wide, narrow) = (Glob::new(&wide), Glob::new(&narrow));
            let follows = wide.covers(&narrow) && narrow.matches(&text);
            prop_assert!(!follows || wide.matches(&text));
        }
    }
}
