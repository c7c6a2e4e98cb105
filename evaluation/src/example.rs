//! Labelled texts.

use std::collections::BTreeMap;

use classifiers_core::{Category, Direction, Passage, Role};

/// What is known about prompt attacks in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attack {
    /// There is none.
    Benign,
    /// Instructions in third-party data.
    Injection,
    /// An attempt to override the model's rules.
    Jailbreak,
}

/// One labelled text. What a label does not say is unknown, which is neither clean nor positive.
#[derive(Clone, Debug)]
pub struct Example {
    /// The text; none where only `scores` are known.
    pub text: Option<String>,
    /// Who wrote it.
    pub role: Role,
    /// Prompt attacks.
    pub attack: Option<Attack>,
    /// Every hazard in it.
    pub hazards: Option<Vec<Category>>,
    /// What is known about single categories beside.
    pub labels: BTreeMap<Category, bool>,
    /// The language, as the file names it.
    pub language: String,
    /// The data set it is from.
    pub source: String,
    /// What a classifier said about it elsewhere, such as one that was not trained on it.
    pub scores: Option<BTreeMap<Category, f32>>,
    /// The case of a CyberSecEval set, with the fields its statistics go by.
    pub case: Option<crate::cyberseceval::Case>,
}

impl Example {
    /// A text of which nothing is known.
    #[must_use]
    pub fn new(text: impl Into<String>, role: Role) -> Self {
        Self {
            text: Some(text.into()),
            role,
            attack: None,
            hazards: None,
            labels: BTreeMap::new(),
            language: String::new(),
            source: String::new(),
            scores: None,
            case: None,
        }
    }

    /// The policy column that governs the text.
    #[must_use]
    pub const fn direction(&self) -> Direction {
        match self.role {
            Role::Assistant => Direction::Output,
            Role::Tool => Direction::Tools,
            Role::User | Role::Operator => Direction::Input,
        }
    }

    /// What a classifier is shown.
    #[must_use]
    pub fn passage(&self) -> Option<Passage> {
        Some(Passage::new(self.text.as_deref()?, self.role, self.direction(), "/text"))
    }

    /// Known to hold no attack and no hazard.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.attack == Some(Attack::Benign)
            && self.hazards.as_ref().is_some_and(Vec::is_empty)
            && !self.labels.values().any(|is| *is)
    }

    /// Everything that is known to be in it.
    #[must_use]
    pub fn positive(&self) -> Vec<Category> {
        Category::ALL.into_iter().filter(|category| self.holds(*category) == Some(true)).collect()
    }

    fn holds(&self, category: Category) -> Option<bool> {
        if let Some(label) = self.labels.get(&category) {
            return Some(*label);
        }
        let attack = |kind| match self.attack? {
            Attack::Benign => Some(false),
            // The other kind of attack is no negative: the two are told apart loosely.
            known => (known == kind).then_some(true),
        };
        match category {
            Category::PromptInjection => attack(Attack::Injection),
            Category::Jailbreak => attack(Attack::Jailbreak),
            Category::InsecureCode | Category::Secrets | Category::PersonalData => None,
            hazard => self.hazards.as_ref().map(|known| known.contains(&hazard)),
        }
    }
}

/// What a figure is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Measure {
    /// The guard as a whole: anything that is not clean should be blocked.
    Any,
    /// Prompt attacks of either kind.
    PromptAttack,
    /// One category.
    Category(Category),
}

impl Measure {
    /// Every measure.
    pub fn all() -> impl Iterator<Item = Self> {
        [Self::Any, Self::PromptAttack]
            .into_iter()
            .chain(Category::ALL.into_iter().map(Self::Category))
    }

    /// Its name in reports and gates.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::PromptAttack => "prompt_attack",
            Self::Category(category) => category.name(),
        }
    }

    /// What a person reads.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Any => "Anything, blocked",
            Self::PromptAttack => "Prompt attacks of either kind",
            Self::Category(category) => category.title(),
        }
    }

    /// Whether `example` should be found; none if that is not known.
    #[must_use]
    pub fn label(self, example: &Example) -> Option<bool> {
        match self {
            Self::Any if !example.positive().is_empty() => Some(true),
            Self::Any => example.is_clean().then_some(false),
            Self::PromptAttack => example.attack.map(|attack| attack != Attack::Benign),
            Self::Category(category) => example.holds(category),
        }
    }

    /// The categories whose scores it goes by.
    pub(crate) fn covers(self, category: Category) -> bool {
        match self {
            Self::Any => true,
            Self::PromptAttack => category.is_prompt_attack(),
            Self::Category(own) => own == category,
        }
    }
}
