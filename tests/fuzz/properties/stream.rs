//! However a model server's bytes are cut, the same answer leaves or none; and what leaves is an answer that leaves as
//! it is. Choices do not wait for each other, so the order of events between them is left open.

use std::time::Duration;

use proxy_dialects::Dialect;
use proxy_stream::{Mode, Settings, StreamGuard};

/// The first byte says how the others are cut and held.
pub fn check(bytes: &[u8]) {
    let Some((&first, bytes)) = bytes.split_first() else { return };
    let mode = if first & 1 == 0 { Mode::Hold } else { Mode::Whole };
    let whole = pass(bytes, bytes.len().max(1), mode);
    let cut = pass(bytes, usize::from(first >> 1) % 24 + 1, mode);
    assert_eq!(whole.is_some(), cut.is_some(), "it depends on how the bytes are cut");
    if let (Some(whole), Some(cut)) = (whole, cut) {
        assert_eq!(whole.last().map(Vec::as_slice), Some(&b"[DONE]"[..]));
        let (mut one, mut other) = (whole.clone(), cut);
        one.sort();
        other.sort();
        assert_eq!(one, other, "something else leaves when the bytes are cut otherwise");
        let events: Vec<u8> =
            whole.iter().flat_map(|event| Dialect::OPENAI_CHAT.encode_event(event)).collect();
        let mut again = pass(&events, 7, mode).expect("what left can be read");
        again.sort();
        assert_eq!(one, again, "what left is read otherwise");
    }
}

/// What leaves if every verdict allows it; none if the bytes are not an answer.
fn pass(bytes: &[u8], size: usize, mode: Mode) -> Option<Vec<Vec<u8>>> {
    let settings = Settings { mode, window: 3, overlap: 2, max_wait: Duration::ZERO };
    let mut guard = StreamGuard::new(Dialect::OPENAI_CHAT, settings, 3, 1 << 16);
    let mut left = Vec::new();
    let judge = |guard: &mut StreamGuard, left: &mut Vec<Vec<u8>>| {
        while let Some(examination) = guard.examine(Duration::ZERO) {
            guard.clear(examination, &[]).ok()?;
        }
        left.extend(guard.release());
        Some(())
    };
    for piece in bytes.chunks(size) {
        guard.feed(piece, Duration::ZERO).ok()?;
        judge(&mut guard, &mut left)?;
    }
    if !guard.is_ended() {
        guard.end().ok()?;
        judge(&mut guard, &mut left)?;
    }
    if !guard.is_over() {
        guard.clear(proxy_stream::Examination::empty(), &[]).ok()?;
        left.extend(guard.release());
    }
    assert!(guard.is_over(), "it ended and is not over");
    Some(left)
}
