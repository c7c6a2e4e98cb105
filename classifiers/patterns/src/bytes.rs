//! Looking at bytes without ever missing the end.

/// The byte at `at`, or 0 outside of the text: no format has one.
pub(crate) fn at(text: &[u8], at: usize) -> u8 {
    text.get(at).copied().unwrap_or(0)
}

/// The byte before `at`, or 0.
pub(crate) fn before(text: &[u8], place: usize) -> u8 {
    place.checked_sub(1).map_or(0, |before| at(text, before))
}

/// Where the run of `wanted` bytes that begins at `from` ends; no further than `most` bytes on.
pub(crate) fn run(text: &[u8], from: usize, most: usize, wanted: fn(u8) -> bool) -> usize {
    let rest = text.get(from..).unwrap_or_default();
    from + rest.iter().take(most).take_while(|byte| wanted(**byte)).count()
}

/// The bytes of `from..to`, or none.
pub(crate) fn part(text: &[u8], from: usize, to: usize) -> &[u8] {
    text.get(from..to).unwrap_or_default()
}

/// What may stand inside a name or a key.
pub(crate) const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}
