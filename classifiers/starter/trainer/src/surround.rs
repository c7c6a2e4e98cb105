//! Labelled rows with harmless rows around them: a text is no better for what stands beside it.
//!
//! Without these an attack is found alone and lost in a paragraph. Harmless rows are put together too, so that length
//! and a change of subject say nothing.

use std::collections::BTreeMap;

use crate::data::Row;
use crate::random::Random;

/// How many attacks among harmless text, and as many harmless texts put together.
pub(crate) const COUNT: usize = 10000;
/// Of so many attacks one hazard: these are said in a sentence more often than hidden.
const HAZARDS: usize = 4;
/// Longest harmless text around a row, in bytes. What is longer is judged in chunks of about this size.
const MOST: usize = 900;
/// Longest row that is surrounded, in bytes.
const LONGEST: usize = 1200;
/// Most harmless rows around one.
const MOST_PARTS: usize = 12;
/// What stands between two texts.
const JOINTS: [&str; 4] = ["\n\n", "\n", " ", "\n---\n"];

/// Rows made from `rows`, somewhat more than twice `count` of them.
pub(crate) fn rows(rows: &[Row], count: usize) -> Vec<Row> {
    let mut random = Random(0x5A77);
    let short = |row: &&Row| !row.tool && row.text.len() <= LONGEST;
    let clean = Clean::new(rows);
    let attacks = by_group(rows.iter().filter(short).filter(|r| r.is_attack() == Some(true)));
    let harmful = by_group(rows.iter().filter(short).filter(|r| r.hazards.is_some_and(|h| h != 0)));
    let mut out = Vec::new();
    for number in 0..count {
        let attack = pick(&attacks, &mut random);
        let harmful = if number % HAZARDS == 0 { pick(&harmful, &mut random) } else { None };
        let clean_row = clean.any(&mut random);
        for row in [attack, harmful, clean_row].into_iter().flatten() {
            out.extend(clean.around(row, &mut random));
        }
    }
    out
}

/// Harmless rows of the dialogue by language and group.
struct Clean<'a> {
    languages: BTreeMap<&'a str, Vec<Vec<&'a Row>>>,
}

impl<'a> Clean<'a> {
    fn new(rows: &'a [Row]) -> Self {
        let usable = |row: &&Row| row.is_clean() && !row.tool && row.text.len() <= MOST;
        let mut languages = BTreeMap::<_, Vec<&Row>>::new();
        for row in rows.iter().filter(usable) {
            languages.entry(row.lang.as_str()).or_default().push(row);
        }
        let grouped = languages.into_iter().map(|(lang, rows)| (lang, by_group(rows.into_iter())));
        Self { languages: grouped.collect() }
    }

    fn any(&self, random: &mut Random) -> Option<&'a Row> {
        let groups = self.languages.values().nth(random.below(self.languages.len()))?;
        pick(groups, random)
    }

    /// `row` with harmless rows of one group before it, after it, or on both sides.
    fn around(&self, row: &Row, random: &mut Random) -> Option<Row> {
        let groups = match random.below(8) {
            0 => self.languages.get("en")?,
            _ => self.languages.get(row.lang.as_str()).or_else(|| self.languages.get("en"))?,
        };
        let group = groups.get(random.below(groups.len()))?;
        let mut parts = vec![row.text.as_str()];
        let mut room = random.below(MOST);
        let first = group.get(random.below(group.len()))?;
        let mut next = *first;
        for _ in 0..MOST_PARTS {
            parts.insert(random.below(2) * parts.len(), &next.text);
            room = room.saturating_sub(next.text.len());
            next = group.get(random.below(group.len()))?;
            if next.text.len() > room {
                break;
            }
        }
        let joint = JOINTS.get(random.below(JOINTS.len()))?;
        Some(Row {
            text: parts.join(joint),
            around: Some(first.group.clone()).filter(|around| *around != row.group),
            own: true,
            source: "surrounded".to_owned(),
            ..row.clone()
        })
    }
}

/// By language and group, so that no language is rare.
fn by_group<'a>(rows: impl Iterator<Item = &'a Row>) -> Vec<Vec<&'a Row>> {
    let mut groups = BTreeMap::<(&str, &str), Vec<&Row>>::new();
    for row in rows {
        groups.entry((&row.lang, &row.group)).or_default().push(row);
    }
    groups.into_values().collect()
}

/// A random row: from a random group, but from a large one rather than from a small one.
fn pick<'a>(groups: &[Vec<&'a Row>], random: &mut Random) -> Option<&'a Row> {
    let first = groups.get(random.below(groups.len()))?;
    let second = groups.get(random.below(groups.len()))?;
    let group = if first.len() >= second.len() { first } else { second };
    group.get(random.below(group.len())).copied()
}
