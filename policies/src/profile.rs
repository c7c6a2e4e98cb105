//! The rules for some traffic: the hazard table, and how much of it is in shadow.

use std::sync::Arc;

use classifiers_core::{Category, Direction};

use crate::calibration::Sensitivity;
use crate::policy::ByDirection;
use crate::{Action, Forward, Mode, Policy, Streaming};

/// What is done about one category in one direction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rule {
    /// What is done when a finding counts.
    pub action: Action,
    /// A finding counts from this score on.
    pub threshold: f32,
    /// Whether this touches traffic; shadow when the hazard or the whole profile is in shadow.
    pub mode: Mode,
}

/// What one part of the policy says about a category in a direction, for one classifier.
#[derive(Clone, Debug)]
pub(crate) struct Stance {
    pub(crate) action: Action,
    pub(crate) threshold: f32,
    pub(crate) mode: Mode,
    /// The exemption that made the action weaker.
    pub(crate) exemption: Option<Arc<str>>,
}

/// One compiled set of rules.
#[derive(Clone, Debug)]
pub(crate) struct Profile {
    pub(crate) name: Arc<str>,
    pub(crate) mode: Mode,
    pub(crate) hazards: Hazards,
    pub(crate) streaming: Streaming,
    pub(crate) forward: Forward,
}

/// One compiled line of the hazard table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Hazard {
    pub(crate) sensitivity: Sensitivity,
    pub(crate) actions: ByDirection<Action>,
    pub(crate) mode: Mode,
}

/// The hazard table: one line for each category.
#[derive(Clone, Debug)]
pub(crate) struct Hazards([Hazard; Category::ALL.len()]);

impl Policy {
    /// What the rules and what the floors say. Both count: a floor is enforced whatever the rules say.
    pub(crate) fn stances(
        &self,
        category: Category,
        direction: Direction,
        classifier: &str,
    ) -> [Option<Stance>; 2] {
        let measured = self.calibration_of(classifier);
        let hazard = self.profile.hazards.get(category);
        let rule = self.profile.rule(category, direction);
        let exemption = self.exemption(category, direction, rule.action);
        let stance = Stance {
            action: exemption.as_ref().map_or(rule.action, |(action, _)| *action),
            threshold: hazard.sensitivity.threshold(category, measured),
            mode: rule.mode,
            exemption: exemption.map(|(_, id)| id),
        };
        let floor = self.document.floors.get(category).map(|floor| Stance {
            action: *floor.actions.get(direction),
            threshold: floor.sensitivity.threshold(category, measured),
            mode: Mode::Enforce,
            exemption: None,
        });
        [Some(stance), floor]
    }

    /// The weakest exemption that makes `action` weaker, with its id.
    fn exemption(
        &self,
        category: Category,
        direction: Direction,
        action: Action,
    ) -> Option<(Action, Arc<str>)> {
        let mine = self.exemptions.iter().filter_map(|place| self.document.exemptions.get(*place));
        let fitting = mine
            .filter(|e| e.hazard == category && e.directions.contains(&direction))
            .filter(|e| e.action < action);
        fitting
            .min_by(|a, b| a.action.cmp(&b.action).then_with(|| a.id.cmp(&b.id)))
            .map(|e| (e.action, Arc::clone(&e.id)))
    }
}

impl Profile {
    pub(crate) fn rule(&self, category: Category, direction: Direction) -> Rule {
        let hazard = self.hazards.get(category);
        let mode = if self.mode == Mode::Shadow { Mode::Shadow } else { hazard.mode };
        let threshold = hazard.sensitivity.reference();
        Rule { action: *hazard.actions.get(direction), threshold, mode }
    }
}

impl Hazard {
    /// Every finding counts and blocks.
    const STRICTEST: Self = Self {
        sensitivity: Sensitivity::Score(0.0),
        actions: ByDirection::all(Action::Block),
        mode: Mode::Enforce,
    };
}

impl Hazards {
    pub(crate) fn new(line: impl FnMut(Category) -> Hazard) -> Self {
        Self(Category::ALL.map(line))
    }

    // INVARIANT: `Category::ALL` is in the order of declaration, so the discriminant is the position.
    // Were it ever not, a position out of range blocks.
    pub(crate) fn get(&self, category: Category) -> &Hazard {
        self.0.get(category as usize).unwrap_or(&Hazard::STRICTEST)
    }
}
