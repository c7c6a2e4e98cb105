//! Plots as SVG, in the colours of the page they stand on.

use crate::position::Cell;
use crate::ranking::Curves;

const SIDE: f64 = 240.0;
/// Room for the axes' words.
const LEFT: f64 = 34.0;
const BOTTOM: f64 = 30.0;

/// ROC curve.
pub(crate) fn roc(curves: &Curves) -> String {
    let chance = line(&[[0.0, 0.0], [1.0, 1.0]], "guide");
    plot("ROC curve", "false-positive rate", "recall", &(chance + &line(&curves.roc, "curve")))
}

/// Precision-recall curve.
pub(crate) fn precision_recall(curves: &Curves) -> String {
    let curve = line(&curves.precision_recall, "curve");
    plot("Precision-recall curve", "recall", "precision", &curve)
}

/// Reliability diagram: a dot for each bin of scores.
pub(crate) fn reliability(curves: &Curves) -> String {
    let points: Vec<[f64; 2]> = curves.reliability.iter().map(|[x, y, _]| [*x, *y]).collect();
    let mut body = line(&[[0.0, 0.0], [1.0, 1.0]], "guide") + &line(&points, "curve");
    for [score, share, count] in &curves.reliability {
        let [x, y] = place([*score, *share]);
        body.push_str(&format!(
            "<circle class=\"dot\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\"><title>score {score:.2}: {share:.3} of {count} are positive</title></circle>"
        ));
    }
    plot("Reliability diagram", "mean score", "share of positives", &body)
}

fn plot(title: &str, x: &str, y: &str, body: &str) -> String {
    let (width, height) = (SIDE + LEFT + 8.0, SIDE + BOTTOM + 8.0);
    let mut grid = String::new();
    for tick in [0.0, 0.25, 0.5, 0.75, 1.0] {
        grid += &line(&[[tick, 0.0], [tick, 1.0]], "grid");
        grid += &line(&[[0.0, tick], [1.0, tick]], "grid");
        let ([across, _], [_, up]) = (place([tick, 0.0]), place([0.0, tick]));
        let (below, left) = (SIDE + 20.0, LEFT - 4.0);
        grid +=
            &format!("<text x=\"{across:.1}\" y=\"{below}\" text-anchor=\"middle\">{tick}</text>");
        grid +=
            &format!("<text x=\"{left}\" y=\"{:.1}\" text-anchor=\"end\">{tick}</text>", up + 3.0);
    }
    let (middle, half) = (LEFT + SIDE / 2.0, 8.0 + SIDE / 2.0);
    format!(
        "<svg class=\"plot\" role=\"img\" aria-label=\"{title}\" viewBox=\"0 0 {width} {height}\"><title>{title}</title>{grid}{body}\
         <text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">{x}</text>\
         <text transform=\"translate(9 {half}) rotate(-90)\" text-anchor=\"middle\">{y}</text></svg>",
        height - 4.0
    )
}

/// A point between (0, 0) and (1, 1), in the drawing.
fn place([x, y]: [f64; 2]) -> [f64; 2] {
    [LEFT + x * SIDE, 8.0 + (1.0 - y) * SIDE]
}

fn line(points: &[[f64; 2]], class: &str) -> String {
    let points: Vec<String> = points
        .iter()
        .map(|point| {
            let [x, y] = place(*point);
            format!("{x:.1},{y:.1}")
        })
        .collect();
    format!("<polyline class=\"{class}\" points=\"{}\"/>", points.join(" "))
}

/// Recall by position (across) and length (down).
pub(crate) fn heat_map(cells: &[Cell]) -> String {
    const WIDE: usize = 54;
    const HIGH: usize = 30;
    const MARGIN: usize = 72;
    let mut columns: Vec<u32> = cells.iter().map(|cell| cell.position).collect();
    columns.sort_unstable();
    columns.dedup();
    let mut rows: Vec<usize> = cells.iter().map(|cell| cell.tokens).collect();
    rows.sort_unstable();
    rows.dedup();
    let mut body = String::new();
    for cell in cells {
        let column = columns.iter().position(|known| *known == cell.position).unwrap_or_default();
        let row = rows.iter().position(|known| *known == cell.tokens).unwrap_or_default();
        let (x, y) = (MARGIN + column * WIDE, row * HIGH);
        let recall = cell.found.map_or(0.0, |found| found.value);
        body += &format!(
            "<g><title>{} tokens, at {} %: {} of {} found</title><rect x=\"{x}\" y=\"{y}\" width=\"{}\" height=\"{}\" class=\"heat\" fill-opacity=\"{:.2}\"/>\
             <text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{recall:.2}</text></g>",
            cell.tokens,
            cell.position,
            cell.hits,
            cell.attacks,
            WIDE - 2,
            HIGH - 2,
            0.05 + 0.75 * recall,
            x + WIDE / 2 - 1,
            y + HIGH / 2 + 3
        );
    }
    for (row, tokens) in rows.iter().enumerate() {
        let y = row * HIGH + HIGH / 2 + 3;
        body +=
            &format!("<text x=\"{}\" y=\"{y}\" text-anchor=\"end\">{tokens}</text>", MARGIN - 8);
    }
    for (column, position) in columns.iter().enumerate() {
        let (x, y) = (MARGIN + column * WIDE + WIDE / 2, rows.len() * HIGH + 14);
        body += &format!("<text x=\"{x}\" y=\"{y}\" text-anchor=\"middle\">{position} %</text>");
    }
    let (width, height) = (MARGIN + columns.len() * WIDE, rows.len() * HIGH + 34);
    format!(
        "<svg class=\"map\" role=\"img\" aria-label=\"Recall by position and length\" viewBox=\"0 0 {width} {height}\">{body}\
         <text x=\"{}\" y=\"{}\" text-anchor=\"middle\">where the attack stands</text></svg>",
        MARGIN + columns.len() * WIDE / 2,
        height - 4
    )
}
