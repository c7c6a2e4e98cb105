//! One ruling from the rulings about the parts of an answer.

use policies::Action;
use proxy_audit::limits::SPAN_ENTRIES;
use proxy_audit::{ByCategory, Check, CheckStatus, Ruling, Text, Verdict};
use proxy_stream::Examination;

use super::panel::IN_PLACE_OF;
use super::ruling::recorded;

/// What was decided about an answer so far.
#[derive(Default)]
pub(super) struct Tally {
    ruling: Option<Ruling>,
    action: Option<Action>,
    would: Option<Action>,
}

impl Tally {
    /// Adds the decision about a part of the answer; `ruling` is its record.
    pub(super) fn add(&mut self, (action, would): (Action, Option<Action>), ruling: Ruling) {
        self.action = self.action.max(Some(action));
        // What shadow would have done about the whole is the strongest of what it would have done anywhere.
        self.would = self.would.max(would.or(Some(action)));
        let Some(all) = &mut self.ruling else {
            self.ruling = Some(ruling);
            return;
        };
        if rank(ruling.verdict) > rank(all.verdict) {
            all.verdict = ruling.verdict;
        }
        add_new(&mut all.because, ruling.because);
        add_new(&mut all.exemptions, ruling.exemptions);
        add_new(&mut all.languages, ruling.languages);
        for check in ruling.checks {
            match all.checks.iter_mut().find(|own| same(own, &check)) {
                Some(own) => merge(own, check),
                None => all.checks.push(check),
            }
        }
    }

    /// Whether nothing was decided yet.
    pub(super) const fn is_empty(&self) -> bool {
        self.ruling.is_none()
    }

    /// The strongest action so far.
    pub(super) fn action(&self) -> Action {
        self.action.unwrap_or(Action::Allow)
    }

    /// The record so far.
    pub(super) fn ruling(&self) -> Option<Ruling> {
        let mut ruling = self.ruling.clone()?;
        ruling.action = recorded(self.action());
        ruling.would = self.would.filter(|would| *would != self.action()).map(recorded);
        Some(ruling)
    }
}

fn add_new(all: &mut Vec<Text>, more: Vec<Text>) {
    for name in more {
        if !all.contains(&name) {
            all.push(name);
        }
    }
}

/// The scores of what no tool said: apart, where a tool said something.
fn dialogue(check: &Check) -> &ByCategory<f32> {
    if check.tools.is_empty() { &check.scores } else { &check.dialogue }
}

/// The strongest of each category.
fn strongest(one: &ByCategory<f32>, other: &ByCategory<f32>) -> ByCategory<f32> {
    let mut all = one.clone();
    for (category, score) in other.iter() {
        if all.get(category).is_none_or(|best| score > best) {
            all.insert(category.clone(), *score);
        }
    }
    all
}

fn same(one: &Check, other: &Check) -> bool {
    one.name == other.name && one.revision == other.revision && rung(one) == rung(other)
}

/// In whose place it judged.
fn rung(check: &Check) -> Option<&Text> {
    check.measures.iter().map(|(name, _)| name).find(|name| name.starts_with(IN_PLACE_OF))
}

/// The first measure of what was judged, which is the most telling.
fn telling(check: &Check) -> Option<f32> {
    let mut measures = check.measures.iter();
    measures.find(|(name, _)| !name.starts_with(IN_PLACE_OF)).map(|(_, value)| *value)
}

const fn rank(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Safe => 0,
        Verdict::Unknown => 1,
        _ => 2,
    }
}

fn merge(into: &mut Check, other: Check) {
    if into.status == CheckStatus::Ok {
        into.status = other.status;
    }
    into.ms += other.ms;
    into.passages = into.passages.saturating_add(other.passages);
    if !into.tools.is_empty() || !other.tools.is_empty() {
        into.dialogue = strongest(dialogue(into), dialogue(&other));
        into.tools = strongest(&into.tools, &other.tools);
    }
    if telling(&other) > telling(into) {
        into.measures = other.measures.clone();
    }
    for (category, score) in other.scores {
        if into.scores.get(&category).is_none_or(|best| score > *best) {
            if let Some(place) = other.at.get(&category) {
                into.at.insert(category.clone(), place.clone());
            }
            into.scores.insert(category, score);
        }
    }
    for span in other.spans {
        if into.spans.contains(&span) {
            // The overlap of two windows.
        } else if into.spans.len() < SPAN_ENTRIES {
            into.spans.push(span);
        } else {
            into.spans_left_out = into.spans_left_out.saturating_add(1);
        }
    }
}

/// Moves the places in a record from the passages of an examination to the texts they are stretches of.
pub(super) fn place(ruling: &mut Ruling, examination: &Examination) {
    let spans = ruling.checks.iter_mut().flat_map(|check| &mut check.spans);
    for span in spans {
        let (Ok(start), Ok(end)) = (usize::try_from(span.start), usize::try_from(span.end)) else {
            continue;
        };
        // Of what goes on in another block, the beginning.
        if let Some(place) = examination.places(&span.at, &(start..end)).into_iter().next() {
            span.at = place.channel.to_string().into();
            (span.start, span.end) = (place.span.start as u64, place.span.end as u64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(measures: &[(&'static str, f32)]) -> Check {
        Check {
            name: "starter".into(),
            revision: "1".into(),
            status: CheckStatus::Ok,
            ms: 1.0,
            passages: 1,
            scores: ByCategory::default(),
            tools: ByCategory::default(),
            dialogue: ByCategory::default(),
            measures: measures.iter().map(|(name, value)| ((*name).into(), *value)).collect(),
            at: ByCategory::default(),
            spans: Vec::new(),
            spans_left_out: 0,
        }
    }

    /// One check may judge in the place of two in one stream: the record says both.
    #[test]
    fn in_whose_place_it_judged_stays_in_the_record() {
        let parts = [
            check(&[("in_place_of_llama_guard", 1.0), ("unsafe", 0.2)]),
            check(&[("in_place_of_prompt_guard", 1.0), ("unsafe", 0.1)]),
            check(&[("in_place_of_llama_guard", 1.0), ("unsafe", 0.9)]),
        ];
        let mut tally = Tally::default();
        for part in parts {
            let ruling = Ruling {
                verdict: Verdict::Safe,
                action: recorded(Action::Allow),
                would: None,
                because: Vec::new(),
                exemptions: Vec::new(),
                languages: Vec::new(),
                checks: vec![part],
                checks_left_out: 0,
            };
            tally.add((Action::Allow, None), ruling);
        }
        let checks = tally.ruling().map(|ruling| ruling.checks).unwrap_or_default();
        let [first, second] = &checks[..] else { panic!("{checks:?}") };
        assert_eq!(first.measures.get("in_place_of_llama_guard"), Some(&1.0));
        assert_eq!(first.measures.get("unsafe"), Some(&0.9));
        assert_eq!(second.measures.get("in_place_of_prompt_guard"), Some(&1.0));
    }
}
