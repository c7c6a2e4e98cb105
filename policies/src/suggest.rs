//! Did you mean ...?

/// The one of `known` that `written` was most likely meant to be.
pub(crate) fn closest<'k>(
    written: &str,
    known: impl IntoIterator<Item = &'k str>,
) -> Option<&'k str> {
    let written = plain(written);
    // One slip in three letters still reads as the same word.
    let tolerated = (written.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|word| (distance(&written, &plain(word)), word))
        .filter(|(distance, word)| *distance <= tolerated && *distance < word.chars().count())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

/// As policies spell names: `Violent-Crimes` becomes `violent_crimes`.
///
/// Cut off where no known word can match any more, which bounds the work below.
fn plain(text: &str) -> String {
    const LONGEST: usize = 64;
    let letters = text.trim().chars().take(LONGEST).flat_map(char::to_lowercase);
    letters.map(|c| if matches!(c, ' ' | '-') { '_' } else { c }).collect()
}

/// Edit distance where swapping two neighbours counts once (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut two_up: Vec<usize> = Vec::new();
    let mut up: Vec<usize> = (0..=b.len()).collect();
    let mut before: Option<char> = None;
    for (i, letter) in a.chars().enumerate() {
        let mut row = vec![i + 1];
        for (j, &other) in b.iter().enumerate() {
            let at = |row: &[usize], k: usize| row.get(k).copied().unwrap_or(usize::MAX - 1);
            let mut best = (at(&up, j) + usize::from(letter != other))
                .min(at(&up, j + 1) + 1)
                .min(at(&row, j) + 1);
            let left = j.checked_sub(1).and_then(|k| b.get(k).copied());
            if left == Some(letter) && before == Some(other) {
                best = best.min(at(&two_up, j - 1) + 1);
            }
            row.push(best);
        }
        before = Some(letter);
        two_up = std::mem::replace(&mut up, row);
    }
    up.last().copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::{closest, distance};

    #[test]
    fn distances_and_suggestions() {
        for (a, b, expected) in
            [("", "abc", 3), ("hate", "hate", 0), ("haet", "hate", 1), ("jailbrek", "jailbreak", 1)]
        {
            assert_eq!(distance(a, b), expected, "{a} {b}");
        }
        let known = ["hate", "jailbreak", "violent_crimes", "non_violent_crimes"];
        for (written, expected) in [
            ("haet", Some("hate")),
            ("Violent Crimes", Some("violent_crimes")),
            ("jail-break", Some("jailbreak")),
            ("x", None),
            ("weather", None),
        ] {
            assert_eq!(closest(written, known), expected, "{written}");
        }
    }
}
