//! What is said just before a number: without it some numbers mean nothing.

/// So many bytes before a number are looked at.
const REACH: usize = 64;

/// Whether one of `words` (lower case) stands in the last bytes before `place`.
pub(crate) fn says(text: &[u8], place: usize, words: &[&str]) -> bool {
    let before = text.get(place.saturating_sub(REACH)..place).unwrap_or_default();
    let before = before.to_ascii_lowercase();
    words.iter().any(|word| memchr::memmem::find(&before, word.as_bytes()).is_some())
}

/// What announces a telephone number in the eight languages.
pub(crate) const TELEPHONE: &[&str] = &[
    "phone",
    "mobile",
    "cell",
    "call",
    "tel.",
    "tel:",
    "tel ",
    "fax",
    "whatsapp",
    "sms",
    "telefon",
    "handy",
    "rufnummer",
    "télé",
    "tél",
    "portable",
    "cellulare",
    "telemóvel",
    "celular",
    "móvil",
    "teléf",
    "फ़ोन",
    "फोन",
    "मोबाइल",
    "โทร",
    "มือถือ",
];
