//! Places in a JSON document.
//!
//! A pointer goes into records, which hold no text that is masked: a key that a caller chose is a text too. So a pointer
//! is RFC 6901's for the keys of an API, and says `*2` for the third entry of an object whose keys a caller chose.

/// One step further down from a place.
#[derive(Clone, Copy)]
pub(crate) enum Step<'a> {
    /// To the value of an object's key, which the API names.
    Key(&'a str),
    /// To the value of an object's entry, by its number.
    Entry(usize),
    /// To an array's item.
    Index(usize),
    /// To another reading of the same value.
    Note(&'static str),
}

/// Words of JSON Schema, which are in every definition of a tool.
const SCHEMA: [&str; 12] = [
    "type",
    "properties",
    "required",
    "items",
    "description",
    "title",
    "enum",
    "const",
    "default",
    "anyOf",
    "oneOf",
    "allOf",
];

impl<'a> Step<'a> {
    /// To an entry of an object whose keys a caller chose.
    pub(crate) fn chosen(index: usize, key: &'a str) -> Self {
        if SCHEMA.contains(&key) { Self::Key(key) } else { Self::Entry(index) }
    }
}

impl Step<'_> {
    /// Appends the step to `pointer`, keys escaped as RFC 6901 says.
    pub(crate) fn append_to(self, pointer: &mut String) {
        match self {
            Self::Key(key) => {
                pointer.push('/');
                if key.contains(['~', '/']) {
                    pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
                } else {
                    pointer.push_str(key);
                }
            }
            Self::Entry(index) => {
                pointer.push_str("/*");
                pointer.push_str(itoa::Buffer::new().format(index));
            }
            Self::Index(index) => {
                pointer.push('/');
                pointer.push_str(itoa::Buffer::new().format(index));
            }
            Self::Note(note) => pointer.push_str(note),
        }
    }
}

/// `parent` with the object key `key` appended.
pub(crate) fn child(parent: &str, key: &str) -> String {
    let mut pointer = parent.to_owned();
    Step::Key(key).append_to(&mut pointer);
    pointer
}

/// A pointer in the notation of OpenAI's `param`: `/messages/3/content` is `messages[3].content`.
pub(crate) fn param(pointer: &str) -> String {
    let mut out = String::with_capacity(pointer.len());
    let pointer = pointer.split_once('#').map_or(pointer, |(pointer, _)| pointer);
    for token in pointer.split('/').skip(1) {
        if !token.is_empty() && token.bytes().all(|b| b.is_ascii_digit()) {
            out.push('[');
            out.push_str(token);
            out.push(']');
        } else {
            if !out.is_empty() {
                out.push('.');
            }
            out.push_str(&token.replace("~1", "/").replace("~0", "~"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_become_params() {
        let mut pointer = child("", "messages");
        Step::Index(3).append_to(&mut pointer);
        let pointer = child(&pointer, "content");
        assert_eq!(pointer, "/messages/3/content");
        assert_eq!(param(&pointer), "messages[3].content");
        assert_eq!(param("/messages/3/content#joined"), "messages[3].content");
        assert_eq!(param(&child("/metadata", "a/b~c")), "metadata.a/b~c");
    }
}
