//! Overlapping windows over a sequence of tokens.

use std::ops::Range;

/// The fewest windows of `size` tokens, evenly spread, that cover all of `tokens` and of which two neighbours share
/// at least `overlap`: whatever is no longer than that lies whole inside a window.
///
/// A sequence that fits is one window. An `overlap` of `size` or more counts as `size - 1`.
pub fn windows(
    tokens: usize,
    size: usize,
    overlap: usize,
) -> impl ExactSizeIterator<Item = Range<usize>> + Clone {
    let size = size.max(1);
    let step = size - overlap.min(size - 1);
    let rest = tokens.saturating_sub(size);
    let steps = rest.div_ceil(step);
    (0..steps + 1).map(move |window| {
        let start = rest.checked_mul(window).map_or(rest, |at| at / steps.max(1));
        start..(start + size).min(tokens)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// A marker of up to `overlap` tokens at any place lies whole inside a window.
        #[test]
        fn nothing_falls_between_two_windows(tokens in 0usize..3000, size in 1usize..520, overlap in 0usize..520) {
            let windows: Vec<_> = windows(tokens, size, overlap).collect();
            let longest = overlap.clamp(1, size.max(2) - 1).min(size);
            for start in 0..tokens {
                let end = (start + longest).min(tokens);
                prop_assert!(windows.iter().any(|w| w.start <= start && end <= w.end), "{start}..{end}");
            }
            prop_assert!(windows.iter().all(|w| w.len() == size.min(tokens) && w.end <= tokens));
            prop_assert!(windows.windows(2).all(|pair| pair[0] != pair[1]));
        }
    }

    #[test]
    fn a_text_that_fits_is_one_window() {
        let of = |tokens| windows(tokens, 510, 255).map(|w| (w.start, w.end)).collect::<Vec<_>>();
        assert_eq!(of(510), [(0, 510)]);
        assert_eq!(of(0), [(0, 0)]);
        assert_eq!(of(511), [(0, 510), (1, 511)]);
        assert_eq!(of(1020).len(), 3);
    }
}
