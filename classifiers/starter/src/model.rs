//! A model: weights read in place, ready to score.

use classifiers_core::{Backend, Category, ClassifierId, ClassifyError, Finding, Passage, Role};

use crate::score::{self, Scores};
use crate::weights::{CATEGORIES, Weights, WeightsError};

static EMBEDDED: &[u8] = include_bytes!("../weights/starter.bin");

/// The categories scored, in the order of [`Scores`].
pub const COVERED: [Category; CATEGORIES] = [
    Category::PromptInjection,
    Category::Jailbreak,
    Category::ViolentCrimes,
    Category::NonViolentCrimes,
    Category::SexRelatedCrimes,
    Category::ChildSexualExploitation,
    Category::Defamation,
    Category::SpecializedAdvice,
    Category::Privacy,
    Category::IntellectualProperty,
    Category::IndiscriminateWeapons,
    Category::Hate,
    Category::SuicideSelfHarm,
    Category::SexualContent,
    Category::Elections,
];

/// Weights and nothing else: text in, scores out.
#[derive(Clone, Copy, Debug)]
pub struct Model<'a> {
    weights: Weights<'a>,
    /// Tells the memories of different weights apart.
    revision: u64,
}

impl<'a> Model<'a> {
    /// The model in `bytes`, a file written by the trainer.
    ///
    /// # Errors
    /// When the bytes are not such a file, of another format, damaged or cut off.
    pub fn read(bytes: &'a [u8]) -> Result<Self, WeightsError> {
        let weights = Weights::read(bytes)?;
        let revision = u64::from_str_radix(&weights.revision(), 16).unwrap_or_default();
        Ok(Self { weights, revision })
    }

    /// The scores of `text`; `tool` says that it came from a tool, not from the dialogue.
    #[must_use]
    pub fn score(&self, text: &str, tool: bool) -> Scores {
        score::score(&self.weights, self.revision, text, tool)
    }

    /// The raw scores of a category, by its place in [`COVERED`], that map to 0.40, 0.70 and 0.90.
    #[must_use]
    pub fn knots(&self, category: usize) -> [f32; 3] {
        self.weights.knots(category)
    }

    /// What changes with the weights: 16 hexadecimal digits of their BLAKE3 digest.
    #[must_use]
    pub fn revision(&self) -> String {
        self.weights.revision()
    }
}

/// The embedded default classifier: prompt attacks and hazards S1 to S13.
///
/// Small and fast, of low assurance: it is there so that nothing runs unguarded before real models are
/// configured. See `MODEL_CARD.md` beside the crate for what it finds and what it misses.
#[derive(Clone, Debug)]
pub struct Starter {
    model: Model<'static>,
    id: ClassifierId,
}

impl Starter {
    /// The name findings carry.
    pub const NAME: &'static str = "starter";

    /// The model compiled into this program.
    ///
    /// # Errors
    /// When the compiled-in weights are not intact.
    pub fn embedded() -> Result<Self, WeightsError> {
        let model = Model::read(EMBEDDED)?;
        Ok(Self { id: ClassifierId::new(Self::NAME, model.revision()), model })
    }

    /// The model itself, for callers that have no passage.
    #[must_use]
    pub const fn model(&self) -> &Model<'static> {
        &self.model
    }

    fn findings(&self, passage: &Passage) -> Vec<Finding> {
        let Scores { scores, spans, .. } =
            self.model.score(&passage.text, passage.origin.role == Role::Tool);
        COVERED
            .into_iter()
            .zip(scores)
            .zip(spans)
            .map(|((category, score), span)| Finding { category, score, span })
            .collect()
    }
}

impl Backend for Starter {
    fn id(&self) -> &ClassifierId {
        &self.id
    }

    fn covers(&self) -> &[Category] {
        &COVERED
    }

    fn assess(&self, batch: &[Passage]) -> Result<Vec<Vec<Finding>>, ClassifyError> {
        Ok(batch.iter().map(|passage| self.findings(passage)).collect())
    }
}
