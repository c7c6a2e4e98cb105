//! All views of a text.

use std::ops::Range;
use std::sync::Arc;

use crate::mapped::{Map, Mapped};
use crate::signs::{Signs, signs};
use crate::stretches::{STRETCH, stretches};
use crate::{bidi, cipher, decode, hidden, letters, shape};

/// Disguises inside disguises are undone this often.
const MOST_ROUNDS: usize = 6;
/// More views than any text in earnest has; each costs an inference of every classifier.
const MOST_VIEWS: usize = 40;

/// A text, or what it says once a disguise is taken off.
#[derive(Clone, Debug)]
pub struct View {
    text: Arc<str>,
    /// What was done to get here, first things first, each with the way back.
    steps: Vec<(&'static str, Map)>,
}

/// A stretch of text has more views than are examined: too many disguises at once, or one inside the other. There is
/// no verdict on such a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyViews;

impl std::fmt::Display for TooManyViews {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the text is disguised in more ways than are examined")
    }
}

impl std::error::Error for TooManyViews {}

impl View {
    /// What the view says.
    #[must_use]
    pub const fn text(&self) -> &Arc<str> {
        &self.text
    }

    /// The names of the disguises taken off, and `stretch` where a part of a long text was looked at; none for the text
    /// as it stands.
    pub fn steps(&self) -> impl ExactSizeIterator<Item = &'static str> {
        self.steps.iter().map(|(name, _)| *name)
    }

    /// The bytes of the original that `span` of this view comes from. Where they lie apart or out of order, all
    /// from the first to the last.
    #[must_use]
    pub fn original(&self, span: &Range<usize>) -> Range<usize> {
        self.steps.iter().rev().fold(span.clone(), |span, (_, map)| map.back(&span))
    }

    /// A stretch of it.
    fn stretch(&self, stretch: Range<usize>) -> Option<Self> {
        let mut mapped = Mapped::default();
        mapped.copy(&self.text, stretch);
        mapped.skip();
        let (text, map) = mapped.finish()?;
        Some(self.then("stretch", text, map))
    }

    fn then(&self, name: &'static str, text: String, map: Map) -> Self {
        let mut steps = self.steps.clone();
        steps.push((name, map));
        Self { text: text.into(), steps }
    }
}

/// One way to take a disguise off: what shows that it could be there, its name, and what does it.
type Transform = (Signs, &'static str, fn(&str) -> Option<Mapped>);

/// Those that repair what is disguised where it stands and leave the rest alone. Taken together in this order.
const REPAIRS: [Transform; 13] = [
    (Signs::DELETION, "deletions", hidden::deletions),
    (Signs::HIDDEN, "hidden", hidden::stripped),
    (Signs::LETTERS, "letters", letters::plain),
    (Signs::ESCAPED, "escapes", decode::escapes),
    (Signs::SPACED, "spacing", shape::unspaced),
    (Signs::NUMBERS, "binary", decode::binary),
    (Signs::NUMBERS, "hexadecimal", decode::hexadecimal),
    (Signs::NUMBERS, "decimal", decode::decimal),
    (Signs::NUMBERS, "octal", decode::octal),
    (Signs::SPELLED, "spelling", decode::spelling),
    (Signs::ENCODED, "encoding", decode::encoded),
    (Signs::CIPHER, "cipher", cipher::deciphered),
    (Signs::LEET, "leet", shape::unleet),
];

/// The signs of repairs that make a new text out of an old one rather than the same one easier to read.
const NOTATIONS: Signs = Signs::ENCODED.and(Signs::NUMBERS).and(Signs::SPELLED).and(Signs::CIPHER);

/// Those that read the whole text in another way.
const READINGS: [Transform; 11] = [
    (Signs::HIDDEN, "tags", hidden::tags),
    (Signs::HIDDEN, "selectors", hidden::selectors),
    (Signs::HIDDEN, "bits", hidden::bits),
    (Signs::BIDI, "direction", bidi::visual),
    (Signs::FLIPPED, "flipped", letters::unflipped),
    (Signs::LEET, "leet-l", shape::unleet_l),
    (Signs::LEET, "leet-numbers", shape::unleet_numbers),
    (Signs::CAPITALS, "capitals", shape::lower),
    (Signs::ENCODED, "uuencoded", decode::uuencoded),
    (Signs::CIPHER, "backwards", cipher::backwards),
    (Signs::CIPHER, "words-backwards", cipher::words_backwards),
];

/// Every view of `text`; the first is the text itself.
///
/// Each disguise is taken off singly and all that can be repaired in place are taken off together; then again from
/// there, until nothing is left to take off. Of a long text this is done stretch by stretch, so that what one costs
/// does not depend on the others, and many disguises in many places are no more trouble than one; only what is hidden
/// in characters nobody sees is also put together over the whole.
///
/// # Errors
/// When a stretch has more views than are examined.
pub fn views(text: &Arc<str>) -> Result<Vec<View>, TooManyViews> {
    views_of(View { text: Arc::clone(text), steps: Vec::new() })
}

fn views_of(view: View) -> Result<Vec<View>, TooManyViews> {
    let signs = signs(&view.text);
    if signs.is_empty() {
        return Ok(vec![view]);
    }
    if view.text.len() <= STRETCH {
        return views_of_stretch(view, signs);
    }
    let mut all = Vec::new();
    let hidden = READINGS.into_iter().filter(|(sign, ..)| *sign == Signs::HIDDEN);
    for spread in hidden.filter_map(|reading| apply(&view, signs, reading)) {
        // It is a fraction of the text that it was hidden in, so this ends.
        all.extend(views_of(spread)?);
    }
    for stretch in stretches(&view.text).into_iter().filter_map(|stretch| view.stretch(stretch)) {
        let signs = self::signs(&stretch.text);
        if !signs.is_empty() {
            // The stretch as it stands was seen with the whole.
            all.extend(views_of_stretch(stretch, signs)?.into_iter().skip(1));
        }
    }
    all.insert(0, view);
    Ok(all)
}

fn views_of_stretch(view: View, signs: Signs) -> Result<Vec<View>, TooManyViews> {
    let mut views = vec![view.clone()];
    let mut looked_at = Vec::new();
    let mut to_look_at = vec![(view, signs)];
    for _ in 0..MOST_ROUNDS {
        let mut next = Vec::new();
        for (view, signs) in to_look_at {
            looked_at.push(Arc::clone(&view.text));
            next.extend(take_off(&view, signs, &mut views));
        }
        if views.len() > MOST_VIEWS {
            return Err(TooManyViews);
        }
        next.retain(|(view, _)| !looked_at.contains(&view.text));
        if next.is_empty() {
            return Ok(views);
        }
        to_look_at = next;
    }
    Err(TooManyViews)
}

/// Adds what `view` says without its disguises; returns those that may still be disguised.
fn take_off(view: &View, shown: Signs, views: &mut Vec<View>) -> Vec<(View, Signs)> {
    let mut together = (view.clone(), shown);
    let (mut changed, mut ended) = (false, false);
    for repair in REPAIRS {
        let single = apply(view, shown, repair);
        single.iter().for_each(|found| add(found, views));
        if ended {
            continue;
        }
        let repaired = if changed { apply(&together.0, together.1, repair) } else { single };
        if let Some(repaired) = repaired {
            together = with_signs(repaired);
            changed = true;
            // What was written in another notation may be anything: it is looked at from the start.
            ended = repair.0.has(NOTATIONS);
        }
    }
    let read = READINGS.into_iter().filter_map(|reading| apply(view, shown, reading));
    let next: Vec<_> = std::iter::once(together).chain(read.map(with_signs)).collect();
    next.iter().for_each(|(found, _)| add(found, views));
    next
}

fn with_signs(view: View) -> (View, Signs) {
    let shown = signs(&view.text);
    (view, shown)
}

fn apply(view: &View, shown: Signs, (sign, name, transform): Transform) -> Option<View> {
    if !shown.has(sign) {
        return None;
    }
    let (text, map) = transform(&view.text)?.finish()?;
    Some(view.then(name, text, map))
}

fn add(view: &View, views: &mut Vec<View>) {
    if views.iter().all(|known| known.text != view.text) {
        views.push(view.clone());
    }
}
