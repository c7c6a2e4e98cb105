//! In which languages texts are, as far as it can be told from the letters.

use std::sync::Arc;

use classifiers_core::{Passage, Role};
use policies::{Policy, Spoken};
use whatlang::Lang;

/// Below this many letters only the script tells anything.
const LETTERS: usize = 24;

/// The languages of `passages`, each once for each direction. What the operator wrote is left out: its language
/// is its choice.
pub(super) fn spoken(passages: &[Passage], policy: &Policy) -> Vec<Spoken> {
    let mut all: Vec<Spoken> = Vec::new();
    for passage in passages.iter().filter(|passage| passage.origin.role != Role::Operator) {
        let Some(language) = language(&passage.text, policy) else { continue };
        let spoken = Spoken { direction: passage.origin.direction, language: Arc::from(language) };
        if !all.contains(&spoken) {
            all.push(spoken);
        }
    }
    all
}

/// The language of `text`. A text too short to tell is in one of the checked languages, if any of them is
/// written like this; otherwise it is in none of them.
fn language(text: &str, policy: &Policy) -> Option<&'static str> {
    let info = whatlang::detect(text)?;
    if info.is_reliable() && text.chars().filter(|c| c.is_alphabetic()).count() >= LETTERS {
        return Some(tag(info.lang()));
    }
    let script = info.script();
    let checked = script.langs().iter().any(|lang| policy.is_checked(tag(*lang)));
    (!checked).then_some("und")
}

/// The two-letter tag (ISO 639-1) of a language.
fn tag(lang: Lang) -> &'static str {
    match lang {
        Lang::Afr => "af",
        Lang::Aka => "ak",
        Lang::Amh => "am",
        Lang::Ara => "ar",
        Lang::Aze => "az",
        Lang::Bel => "be",
        Lang::Ben => "bn",
        Lang::Bul => "bg",
        Lang::Cat => "ca",
        Lang::Ces => "cs",
        Lang::Cmn => "zh",
        Lang::Cym => "cy",
        Lang::Dan => "da",
        Lang::Deu => "de",
        Lang::Ell => "el",
        Lang::Eng => "en",
        Lang::Epo => "eo",
        Lang::Est => "et",
        Lang::Fin => "fi",
        Lang::Fra => "fr",
        Lang::Guj => "gu",
        Lang::Heb => "he",
        Lang::Hin => "hi",
        Lang::Hrv => "hr",
        Lang::Hun => "hu",
        Lang::Hye => "hy",
        Lang::Ind => "id",
        Lang::Ita => "it",
        Lang::Jav => "jv",
        Lang::Jpn => "ja",
        Lang::Kan => "kn",
        Lang::Kat => "ka",
        Lang::Khm => "km",
        Lang::Kor => "ko",
        Lang::Lat => "la",
        Lang::Lav => "lv",
        Lang::Lit => "lt",
        Lang::Mal => "ml",
        Lang::Mar => "mr",
        Lang::Mkd => "mk",
        Lang::Mya => "my",
        Lang::Nep => "ne",
        Lang::Nld => "nl",
        Lang::Nob => "no",
        Lang::Ori => "or",
        Lang::Pan => "pa",
        Lang::Pes => "fa",
        Lang::Pol => "pl",
        Lang::Por => "pt",
        Lang::Ron => "ro",
        Lang::Rus => "ru",
        Lang::Sin => "si",
        Lang::Slk => "sk",
        Lang::Slv => "sl",
        Lang::Sna => "sn",
        Lang::Spa => "es",
        Lang::Srp => "sr",
        Lang::Swe => "sv",
        Lang::Tam => "ta",
        Lang::Tel => "te",
        Lang::Tgl => "tl",
        Lang::Tha => "th",
        Lang::Tuk => "tk",
        Lang::Tur => "tr",
        Lang::Ukr => "uk",
        Lang::Urd => "ur",
        Lang::Uzb => "uz",
        Lang::Vie => "vi",
        Lang::Yid => "yi",
        Lang::Zul => "zu",
    }
}
