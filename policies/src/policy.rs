//! The compiled policy.

use std::sync::Arc;
use std::time::Duration;

use classifiers_core::{Category, Direction};
use jiff::civil::Date;

use crate::calibration::Sensitivity;
use crate::cases::{self, Case, TestOutcome};
use crate::languages::Languages;
use crate::messages::Messages;
use crate::profile::{Profile, Rule, Stance};
use crate::retention::MASKED;
use crate::route::{Request, Route};
use crate::{
    Action, Because, ClassifierCalibration, Context, Diagnostics, Exemption, Forward, Limits, Mode,
    Quota, ReplyAs, Retention, Streaming, TextRetention, compile,
};

/// A policy that was read, checked and compiled, as it applies to some traffic. Immutable and cheap to clone.
///
/// As [`parse`](Self::parse) returns it, it is what applies where no route and no exemption say otherwise;
/// [`for_request`](Self::for_request) gives what applies to one request.
#[derive(Clone, Debug)]
pub struct Policy {
    pub(crate) document: Arc<Document>,
    pub(crate) profile: Arc<Profile>,
    /// Places in the document's list.
    pub(crate) exemptions: Vec<usize>,
    pub(crate) calibrations: Arc<[ClassifierCalibration]>,
    /// No finding below this score counts, whatever it is about.
    pub(crate) least: f32,
}

/// Everything that is the same for all traffic.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) identity: Identity,
    pub(crate) test_triggers: bool,
    pub(crate) floors: Floors,
    pub(crate) custom: Vec<CustomHazard>,
    pub(crate) languages: Option<Languages>,
    /// `base` first.
    pub(crate) profiles: Vec<Arc<Profile>>,
    pub(crate) routes: Vec<Route>,
    pub(crate) limits: Limits,
    pub(crate) on_failure: OnFailure,
    pub(crate) exemptions: Vec<Exemption>,
    pub(crate) retention: Option<Retention>,
    pub(crate) messages: Messages,
    pub(crate) cases: Vec<Case>,
}

/// Who a policy is.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) name: String,
    pub(crate) about: Option<String>,
    pub(crate) owner: Option<String>,
    pub(crate) revision: String,
    pub(crate) label: String,
}

/// One value for each direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ByDirection<T> {
    pub(crate) input: T,
    pub(crate) output: T,
    pub(crate) tools: T,
}

/// The weakest actions that may be taken about one category, and from when on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Floor {
    pub(crate) sensitivity: Sensitivity,
    pub(crate) actions: ByDirection<Action>,
}

/// Floors, by category.
#[derive(Clone, Debug, Default)]
pub(crate) struct Floors(pub(crate) Vec<(Category, Floor)>);

/// A hazard in the owner's own words. Always in shadow: no classifier has passed its examples yet.
#[derive(Clone, Debug)]
pub(crate) struct CustomHazard {
    pub(crate) name: Arc<str>,
    pub(crate) sensitivity: Sensitivity,
    pub(crate) actions: ByDirection<Action>,
}

/// What is done when a check gives no verdict.
#[derive(Clone, Debug)]
pub(crate) struct OnFailure {
    pub(crate) actions: ByDirection<Action>,
    pub(crate) timeout: Duration,
    /// Checks, and who judges in their place, in order.
    pub(crate) instead: Vec<(Arc<str>, Vec<Arc<str>>)>,
}

impl Policy {
    /// The name of the rules that apply where no route says otherwise.
    pub const BASE: &'static str = "base";

    /// Reads and compiles the document `source`; `file` is the name diagnostics use.
    ///
    /// Returns the policy with the warnings about it.
    ///
    /// # Errors
    /// Everything that is wrong with the document, warnings included. Only a document that is not YAML at
    /// all ends the reading early.
    pub fn parse(source: &str, file: &str) -> Result<(Self, Diagnostics), Diagnostics> {
        compile::policy(source, file, None)
    }

    /// Reads the document as [`parse`](Self::parse) does, and looks at what is right today and may be wrong
    /// tomorrow: ends of exemptions, long shadows, missing examples and texts.
    ///
    /// # Errors
    /// As [`parse`](Self::parse), and for an exemption that does not hold today.
    pub fn check(
        source: &str,
        file: &str,
        context: &Context<'_>,
    ) -> Result<(Self, Diagnostics), Diagnostics> {
        compile::policy(source, file, Some(context))
    }

    /// The same policy, with the words for sensitivities as measured for these classifiers.
    #[must_use]
    pub fn calibrated(self, measured: impl IntoIterator<Item = ClassifierCalibration>) -> Self {
        let calibrations: Arc<[_]> = measured.into_iter().collect();
        Self { least: self.document.least(&calibrations), calibrations, ..self }
    }

    /// What applies to `request` on `today`; without a day, every exemption holds.
    #[must_use]
    pub fn for_request(&self, request: &Request<'_>, today: Option<Date>) -> Self {
        let document = &self.document;
        let route = document.routes.iter().find(|route| route.matches(request));
        let profile = route.and_then(|route| document.profiles.get(route.profile));
        let mine = |exemption: &Exemption| {
            request.key.is_some_and(|key| exemption.key.matches(key))
                && today.is_none_or(|today| exemption.holds_on(today))
        };
        let exemptions = document.exemptions.iter().enumerate();
        Self {
            document: Arc::clone(document),
            profile: Arc::clone(profile.unwrap_or(&self.profile)),
            exemptions: exemptions.filter(|(_, e)| mine(e)).map(|(place, _)| place).collect(),
            calibrations: Arc::clone(&self.calibrations),
            least: self.least,
        }
    }

    /// The name it gives itself: ASCII letters, digits, `-`, `_` and `.`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.document.identity.name
    }

    /// What it is for, in its owner's words.
    #[must_use]
    pub fn about(&self) -> Option<&str> {
        self.document.identity.about.as_deref()
    }

    /// Who answers for it.
    #[must_use]
    pub fn owner(&self) -> Option<&str> {
        self.document.identity.owner.as_deref()
    }

    /// A digest of the document's text, such as `b3:0123456789ab`.
    #[must_use]
    pub fn revision(&self) -> &str {
        &self.document.identity.revision
    }

    /// Name and revision, such as `default@b3:0123456789ab`.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.document.identity.label
    }

    /// The profile that applies: `base` unless a route chose another.
    #[must_use]
    pub fn profile(&self) -> &str {
        &self.profile.name
    }

    /// The names of all profiles, `base` first.
    pub fn profiles(&self) -> impl Iterator<Item = &str> {
        self.document.profiles.iter().map(|profile| &*profile.name)
    }

    /// What applies to those who get the profile called `name`, without exemptions.
    #[must_use]
    pub fn with_profile(&self, name: &str) -> Option<Self> {
        let profile = self.document.profiles.iter().find(|profile| &*profile.name == name)?;
        Some(Self { profile: Arc::clone(profile), exemptions: Vec::new(), ..self.clone() })
    }

    /// Whether traffic is touched.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.profile.mode
    }

    /// Whether the harmless test strings count as findings.
    #[must_use]
    pub fn test_triggers(&self) -> bool {
        self.document.test_triggers
    }

    /// How long a check may take before it counts as failed.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.document.on_failure.timeout
    }

    /// Who judges when `check` gives no verdict, in order; each has the same [`timeout`](Self::timeout).
    #[must_use]
    pub fn instead_of(&self, check: &str) -> &[Arc<str>] {
        let mut ladders = self.document.on_failure.instead.iter();
        ladders.find(|(name, _)| **name == *check).map_or(&[], |(_, rungs)| rungs)
    }

    /// Everyone who may have to judge in another's place.
    pub fn standbys(&self) -> impl Iterator<Item = &Arc<str>> {
        self.document.on_failure.instead.iter().flat_map(|(_, rungs)| rungs)
    }

    /// How long all who may judge in each other's place take together.
    #[must_use]
    pub fn patience(&self) -> Duration {
        let rungs = self.document.on_failure.instead.iter().map(|(_, rungs)| rungs.len());
        self.timeout() * (1 + u32::try_from(rungs.max().unwrap_or_default()).unwrap_or(u32::MAX))
    }

    /// How much one API key may use.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.document.limits
    }

    /// How many requests one API key may send.
    #[must_use]
    pub fn requests(&self) -> Option<Quota> {
        self.document.limits.requests
    }

    /// How a streamed answer is released.
    #[must_use]
    pub fn streaming(&self) -> Streaming {
        self.profile.streaming
    }

    /// When a request goes to the model server.
    #[must_use]
    pub fn forward(&self) -> Forward {
        self.profile.forward
    }

    /// What is to be kept of the texts; nothing is said where the document has no `audit` section.
    #[must_use]
    pub fn retention(&self) -> Option<&Retention> {
        self.document.retention.as_ref()
    }

    /// How much of examined texts is kept.
    #[must_use]
    pub fn keeps(&self) -> TextRetention {
        self.retention().map(|retention| retention.text).unwrap_or_default()
    }

    /// What is masked in kept texts.
    #[must_use]
    pub fn masks(&self) -> &[Category] {
        self.retention().map_or(&MASKED, Retention::masks)
    }

    /// Every exemption of the document, whoever it is for and whether or not it holds.
    #[must_use]
    pub fn exemptions(&self) -> &[Exemption] {
        &self.document.exemptions
    }

    /// Whether it matters in which language a text is.
    #[must_use]
    pub fn asks_for_languages(&self) -> bool {
        self.document.languages.as_ref().is_some_and(|l| l.others != Action::Allow)
    }

    /// Whether classifiers were trained for `language`; where the policy does not say, for every one.
    #[must_use]
    pub fn is_checked(&self, language: &str) -> bool {
        self.document.languages.as_ref().is_none_or(|l| l.is_checked(language))
    }

    /// The languages that are listed as checked, as tags in lower case.
    pub fn checked_languages(&self) -> impl Iterator<Item = &str> {
        let languages = self.document.languages.as_ref();
        languages.into_iter().flat_map(|l| l.checked.iter().map(String::as_str))
    }

    /// How a blocked request is answered.
    #[must_use]
    pub fn reply_as(&self) -> ReplyAs {
        self.document.messages.reply_as
    }

    /// The text a person reads when something was blocked for these reasons.
    ///
    /// `language` is a tag such as `de` or `pt-BR`; without one, or without a text in it, the text is
    /// English. `reference` is the decision's id.
    #[must_use]
    pub fn message(&self, because: &[Because], language: Option<&str>, reference: &str) -> String {
        self.document.messages.say(because, language, reference)
    }

    /// What is done about `category` in `direction`, on the reference scale.
    #[must_use]
    pub fn rule(&self, category: Category, direction: Direction) -> Rule {
        self.profile.rule(category, direction)
    }

    /// The weakest action that may be taken about `category` in `direction`.
    #[must_use]
    pub fn floor(&self, category: Category, direction: Direction) -> Action {
        let floor = self.document.floors.get(category);
        floor.map_or(Action::Allow, |floor| *floor.actions.get(direction))
    }

    /// Whether a finding of this score may weigh in a decision.
    #[must_use]
    pub fn counts(
        &self,
        category: Category,
        direction: Direction,
        classifier: &str,
        score: f32,
    ) -> bool {
        let stances = || self.stances(category, direction, classifier).into_iter().flatten();
        score >= self.least && stances().any(|stance| score >= stance.threshold)
    }

    /// Whether a finding of this score asks for its place to be cut out.
    #[must_use]
    pub fn cuts(
        &self,
        category: Category,
        direction: Direction,
        classifier: &str,
        score: f32,
    ) -> bool {
        let stances = || self.stances(category, direction, classifier).into_iter().flatten();
        let cuts = |stance: Stance| stance.action == Action::Redact && score >= stance.threshold;
        score >= self.least && stances().any(cuts)
    }

    /// What is done when a check of `direction` gives no verdict: block, flag or allow.
    #[must_use]
    pub fn on_failure(&self, direction: Direction) -> Action {
        *self.document.on_failure.actions.get(direction)
    }

    /// Runs the tests the document contains, in its order.
    #[must_use]
    pub fn run_tests(&self) -> Vec<TestOutcome> {
        self.document.cases.iter().map(|case| cases::run(self, case)).collect()
    }

    /// The strongest floor in `direction`, which a check that gives no verdict may not lift.
    pub(crate) fn strongest_floor(&self, direction: Direction) -> Action {
        let floors = self.document.floors.0.iter();
        floors.map(|(_, floor)| *floor.actions.get(direction)).max().unwrap_or(Action::Allow)
    }

    pub(crate) fn calibration_of(&self, classifier: &str) -> Option<&ClassifierCalibration> {
        self.calibrations.iter().find(|measured| *measured.classifier == *classifier)
    }
}

impl Document {
    /// The lowest score from which anything counts: most scores lie below it, and need no closer look.
    pub(crate) fn least(&self, calibrations: &[ClassifierCalibration]) -> f32 {
        let tables = self.profiles.iter().flat_map(|profile| {
            Category::ALL.map(|category| (category, profile.hazards.get(category).sensitivity))
        });
        let floors = self.floors.0.iter().map(|(category, floor)| (*category, floor.sensitivity));
        tables
            .chain(floors)
            .flat_map(|(category, sensitivity)| {
                let measured = calibrations.iter().map(Some).chain([None]);
                measured.map(move |measured| sensitivity.threshold(category, measured))
            })
            .fold(1.0, f32::min)
    }
}

impl Floors {
    pub(crate) fn get(&self, category: Category) -> Option<&Floor> {
        self.0.iter().find(|(known, _)| *known == category).map(|(_, floor)| floor)
    }
}

impl<T> ByDirection<T> {
    pub(crate) const fn get(&self, direction: Direction) -> &T {
        match direction {
            Direction::Input => &self.input,
            Direction::Output => &self.output,
            Direction::Tools => &self.tools,
        }
    }

    pub(crate) const fn get_mut(&mut self, direction: Direction) -> &mut T {
        match direction {
            Direction::Input => &mut self.input,
            Direction::Output => &mut self.output,
            Direction::Tools => &mut self.tools,
        }
    }
}

impl<T: Copy> ByDirection<T> {
    pub(crate) const fn all(value: T) -> Self {
        Self { input: value, output: value, tools: value }
    }

    pub(crate) fn build(mut value: impl FnMut(Direction) -> T) -> Self {
        Self {
            input: value(Direction::Input),
            output: value(Direction::Output),
            tools: value(Direction::Tools),
        }
    }
}
