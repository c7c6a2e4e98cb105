//! Dense features: what a text looks like as a whole, each measure cut into eight bins.
//!
//! Bins rather than numbers: a linear model then learns any shape, and no outlier can run away with it.

use crate::features::Statistics;

/// How many measures there are.
pub const MEASURES: usize = 28;
/// Bins of a measure.
pub const BINS: usize = 8;

/// The bin of every measure.
pub type Dense = [u8; MEASURES];

/// Cuts the statistics of a text into bins.
pub(crate) fn dense(all: &Statistics) -> Dense {
    let s = &all.surface;
    let chars = s.chars.max(1);
    let words = s.words.max(1);
    let segments = s.segments.max(1);
    let mean = all.surprise.checked_div(all.letters).unwrap_or(0) as u32;
    [
        log(s.words / 2),
        steps(mean, [50, 58, 64, 70, 76, 84, 96]),
        steps(all.worst_surprise, [56, 66, 76, 86, 96, 110, 125]),
        share(all.surprising_words, all.judged_words.max(1)),
        share(s.single_letters, words),
        share(s.digits, chars),
        share(s.upper, chars),
        share(s.marks, chars),
        share(s.leet_words, words),
        log(s.percents),
        log(s.longest_run / 12),
        log(s.hidden),
        log(s.look_alikes),
        steps(words / segments, [3, 6, 10, 14, 18, 25, 35]),
        log(s.mark_runs),
        share(s.code_marks, chars),
        question(s.questions, s.ends_with_question),
        all.most_attack.min(7) as u8,
        share(all.attack_segments, segments),
        share(all.you_segments, segments),
        all.first_attack.min(7) as u8,
        all.last_attack.min(7) as u8,
        log(s.quotes),
        script(&s.scripts),
        all.most_hazard.min(7) as u8,
        steps((all.concepts & 0xFFFF_FFFF).count_ones(), [1, 2, 4, 6, 9, 13, 18]),
        log(s.newlines),
        log(s.brackets),
    ]
}

/// Bin by powers of two: 0, 1, 2-3, 4-7, ...
fn log(value: u32) -> u8 {
    (u32::BITS - value.leading_zeros()).min(7) as u8
}

/// Bin of `value` between rising `limits`.
fn steps(value: u32, limits: [u32; 7]) -> u8 {
    limits.iter().filter(|&&limit| value >= limit).count() as u8
}

/// Bin of a share, finer where it is small.
fn share(part: u32, whole: u32) -> u8 {
    if part == 0 {
        return 0;
    }
    let thousandths = u64::from(part) * 1000 / u64::from(whole);
    1 + steps(thousandths.min(1000) as u32, [10, 25, 50, 100, 200, 400, 2000])
}

fn question(count: u32, at_end: bool) -> u8 {
    (if at_end { 4 } else { 0 }) + count.min(3) as u8
}

/// The commonest script; 7 where two are well represented.
fn script(scripts: &[u32; 4]) -> u8 {
    let total: u32 = scripts.iter().fold(0, |sum, &n| sum.saturating_add(n));
    if total == 0 {
        return 6;
    }
    let most = scripts.iter().copied().max().unwrap_or(0);
    if u64::from(most) * 10 < u64::from(total) * 7 {
        return 7;
    }
    scripts.iter().position(|&n| n == most).unwrap_or(0) as u8
}
