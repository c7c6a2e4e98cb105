//! Places in a JSON document.

/// `parent` with the object key `key` appended, escaped as RFC 6901 says.
pub(crate) fn child(parent: &str, key: &str) -> String {
    let mut pointer = String::with_capacity(parent.len() + key.len() + 1);
    pointer.push_str(parent);
    pointer.push('/');
    for c in key.chars() {
        match c {
            '~' => pointer.push_str("~0"),
            '/' => pointer.push_str("~1"),
            c => pointer.push(c),
        }
    }
    pointer
}

/// `parent` with the array index `index` appended.
pub(crate) fn element(parent: &str, index: usize) -> String {
    format!("{parent}/{index}")
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
        let pointer = child(&element(&child("", "messages"), 3), "content");
        assert_eq!(pointer, "/messages/3/content");
        assert_eq!(param(&pointer), "messages[3].content");
        assert_eq!(param("/messages/3/content#joined"), "messages[3].content");
        assert_eq!(param(&child("/metadata", "a/b~c")), "metadata.a/b~c");
    }
}
