//! From fitted numbers to the small file.

#![expect(clippy::indexing_slicing, reason = "columns index arrays of as many columns")]

use classifiers_starter::training::{CATEGORIES, COLUMNS, Knots, Parts, SLOT};

use crate::fit::Fitted;

/// Share of the weights of a column that are represented without clipping.
const UNCLIPPED: f32 = 0.9998;

/// Makes the parts of a file of weights.
pub(crate) fn parts(
    fitted: &Fitted,
    concepts: &[[u8; SLOT]],
    surprise: &[u8],
    knots: [Knots; CATEGORIES],
) -> Parts {
    let scales = std::array::from_fn(|column| scale(fitted, column));
    let quantised = |[weights, _]: &[[f32; COLUMNS]; 2]| {
        std::array::from_fn(|c| (weights[c] / scales[c]).round().clamp(-127.0, 127.0) as i8)
    };
    Parts {
        rows: fitted.table.iter().map(quantised).collect(),
        scales,
        pools: fitted.pools,
        dense: fitted.dense.iter().map(|[weights, _]| *weights).collect(),
        concepts: concepts.to_vec(),
        surprise: surprise.to_vec(),
        knots,
    }
}

fn scale(fitted: &Fitted, column: usize) -> f32 {
    let mut sizes: Vec<f32> =
        fitted.table.iter().map(|[w, _]| w[column].abs()).filter(|&w| w > 0.0).collect();
    sizes.sort_by(f32::total_cmp);
    let at = (sizes.len() as f32 * UNCLIPPED) as usize;
    sizes.get(at.min(sizes.len().saturating_sub(1))).copied().unwrap_or(1.0).max(1e-6) / 127.0
}
