//! Text as it is seen where the direction of writing is overridden.

use unicode_bidi::{BidiInfo, Level};

use crate::hidden::is_hidden;
use crate::mapped::Mapped;

/// The characters of `text` from left to right as a page shows them, without those that are not seen.
pub(crate) fn visual(text: &str) -> Option<Mapped> {
    let info = BidiInfo::new(text, Some(Level::ltr()));
    let mut out = Mapped::like(text);
    for paragraph in &info.paragraphs {
        let (levels, runs) = info.visual_runs(paragraph, paragraph.range.clone());
        for run in runs {
            let backwards = levels.get(run.start).is_some_and(Level::is_rtl);
            let part = text.get(run.clone())?;
            let place = |(at, c): (usize, char)| (run.start + at, c);
            if backwards {
                part.char_indices().rev().map(place).for_each(|seen| show(seen, text, &mut out));
            } else {
                part.char_indices().map(place).for_each(|seen| show(seen, text, &mut out));
            }
        }
    }
    Some(out)
}

fn show((at, c): (usize, char), text: &str, out: &mut Mapped) {
    let place = at..at + c.len_utf8();
    if is_hidden(c) {
        out.skip();
    } else {
        out.copy(text, place);
    }
}
