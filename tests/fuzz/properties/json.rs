//! What is read from bytes is what goes on, and another parser reads the same in it; no text in it was overlooked.

use proxy_dialects::{Dialect, Json, Request};

/// Texts up to this length may be words of a format (`json_schema`), which nobody judges.
const WORD: usize = 32;

/// The first byte says in which format.
pub fn check(bytes: &[u8]) {
    let Some((&choice, body)) = bytes.split_first() else { return };
    if let Ok(json) = Json::parse(body) {
        let written = json.to_bytes();
        let theirs: serde_json::Value =
            serde_json::from_slice(body).expect("another parser reads it");
        assert_eq!(serde_json::from_slice::<serde_json::Value>(&written).unwrap(), theirs);
    }
    let dialect = Dialect::ALL[usize::from(choice) % Dialect::ALL.len()];
    let Ok(request) = dialect.read_request(body) else { return };
    let written = request.to_bytes();
    let again = dialect.read_request(&written).expect("what is written can be read");
    assert_eq!(again.to_bytes(), written);
    assert_eq!(texts(&again), texts(&request));
    let judged = texts(&request);
    overlooked(&serde_json::from_slice(&written).unwrap(), &judged);
}

fn texts(request: &Request) -> Vec<String> {
    request.passages().iter().map(|passage| passage.text.to_string()).collect()
}

/// Fails at a string in `value` that is neither judged nor could be a word of the format.
fn overlooked(value: &serde_json::Value, judged: &[String]) {
    match value {
        serde_json::Value::String(text) => {
            let word = |byte: u8| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte)
            };
            let is_word = text.len() <= WORD && text.bytes().all(word);
            assert!(
                is_word || judged.iter().any(|seen| seen.contains(text)),
                "overlooked: {text:?}"
            );
        }
        serde_json::Value::Array(items) => items.iter().for_each(|item| overlooked(item, judged)),
        serde_json::Value::Object(fields) => {
            fields.values().for_each(|item| overlooked(item, judged))
        }
        _ => {}
    }
}
