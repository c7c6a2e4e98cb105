//! Any server of OpenAI's `/v1/moderations`.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use classifiers_core::{Assessment, Category, ClassifierId, ClassifyError, Finding, Passage};
use serde_json::{Map, Value, json};
use tower::Service;

use crate::fault::Fault;
use crate::fleet::{Fleet, Question};
use crate::llama_guard::short;
use crate::settings::{Settings, SetupError};

/// OpenAI's names for what it looks for, and the hazard that each is nearest to.
const OPENAI: [(&str, Category); 13] = [
    ("harassment", Category::Hate),
    ("harassment/threatening", Category::ViolentCrimes),
    ("hate", Category::Hate),
    ("hate/threatening", Category::Hate),
    ("illicit", Category::NonViolentCrimes),
    ("illicit/violent", Category::ViolentCrimes),
    ("self-harm", Category::SuicideSelfHarm),
    ("self-harm/instructions", Category::SuicideSelfHarm),
    ("self-harm/intent", Category::SuicideSelfHarm),
    ("sexual", Category::SexualContent),
    ("sexual/minors", Category::ChildSexualExploitation),
    ("violence", Category::ViolentCrimes),
    ("violence/graphic", Category::ViolentCrimes),
];

/// A server of `/v1/moderations`: a [`Classify`](classifiers_core::Classify) service.
#[derive(Clone, Debug)]
pub struct RemoteModerations {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    id: ClassifierId,
    fleet: Fleet,
    model: String,
    names: BTreeMap<String, Category>,
}

impl RemoteModerations {
    /// The name findings carry.
    pub const NAME: &'static str = "moderations";

    /// Servers whose categories are OpenAI's, MLCommons' names or codes, ours, or those of `names`.
    ///
    /// # Errors
    /// When the settings cannot be used.
    pub fn new(
        settings: &Settings,
        names: &BTreeMap<String, Category>,
    ) -> Result<Self, SetupError> {
        let fleet = Fleet::new(settings)?;
        let mut known: BTreeMap<String, Category> =
            OPENAI.into_iter().map(|(name, category)| (name.to_owned(), category)).collect();
        for category in Category::ALL {
            let spelled = [Some(category.name()), Some(category.title()), category.code()];
            known.extend(spelled.into_iter().flatten().map(|name| (name.to_owned(), category)));
        }
        known.extend(names.clone());
        let hash = blake3::hash(format!("{} {known:?}", settings.model).as_bytes());
        let id = ClassifierId::new(Self::NAME, format!("remote-{}", short(&hash)));
        let model = settings.model.clone();
        Ok(Self { inner: Arc::new(Inner { id, fleet, model, names: known }) })
    }

    /// Name and revision: of the model's name and what categories are called.
    #[must_use]
    pub fn id(&self) -> &ClassifierId {
        &self.inner.id
    }

    /// Servers, and how many of them are failing.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        self.inner.fleet.counts()
    }

    pub(crate) fn fleet(&self) -> &Fleet {
        &self.inner.fleet
    }

    /// What is found in `text`.
    ///
    /// # Errors
    /// When no server gives a verdict.
    pub async fn findings(&self, text: &str) -> Result<Vec<Finding>, ClassifyError> {
        Ok(self.inner.ask(text).await?)
    }
}

impl Inner {
    async fn ask(&self, text: &str) -> Result<Vec<Finding>, Fault> {
        let body = match &*self.model {
            "" => json!({ "input": text }),
            model => json!({ "input": text, "model": model }),
        };
        let question = Question::new("/v1/moderations", Bytes::from(body.to_string()));
        self.fleet.ask(&question, |answer| self.read(answer)).await
    }

    /// The one result: a score for each category, and what is flagged counts in full whatever its score.
    fn read(&self, answer: &Value) -> Result<Vec<Finding>, Fault> {
        let results = answer.get("results").and_then(Value::as_array);
        let Some([result]) = results.map(Vec::as_slice) else {
            return Err(Fault::odd("it has not one result for one text"));
        };
        let field = |name: &str| result.get(name).and_then(Value::as_object);
        let flagged = result.get("flagged").and_then(Value::as_bool);
        let (Some(flagged), Some(scores), Some(marks)) =
            (flagged, field("category_scores"), field("categories"))
        else {
            return Err(Fault::odd("it lacks `flagged`, `categories` or `category_scores`"));
        };
        if scores.is_empty() {
            return Err(Fault::odd("it has no scores"));
        }
        if !marks.keys().all(|name| scores.contains_key(name)) {
            return Err(Fault::odd("a category has no score"));
        }
        let mut strongest = BTreeMap::new();
        for (name, score) in scores {
            let (category, score) = self.score(name, score, marks)?;
            let best: &mut f32 = strongest.entry(category).or_default();
            *best = best.max(score);
        }
        if flagged && strongest.values().all(|score| *score < 1.0) {
            return Err(Fault::odd("it is flagged, and no category is"));
        }
        Ok(strongest.into_iter().map(|(category, score)| Finding::whole(category, score)).collect())
    }

    fn score(
        &self,
        name: &str,
        score: &Value,
        marks: &Map<String, Value>,
    ) -> Result<(Category, f32), Fault> {
        let category = self.names.get(name).copied();
        let category = category.ok_or_else(|| {
            Fault::odd("it has a category that no hazard stands for: name it in the settings")
        })?;
        #[expect(clippy::cast_possible_truncation, reason = "scores are single precision")]
        let score = score.as_f64().map(|score| score as f32);
        let score = score.filter(|score| (0.0..=1.0).contains(score));
        let score = score.ok_or_else(|| Fault::odd("a score is not between 0 and 1"))?;
        match marks.get(name).and_then(Value::as_bool) {
            Some(true) => Ok((category, 1.0)),
            Some(false) => Ok((category, score)),
            None => Err(Fault::odd("a category is neither flagged nor not")),
        }
    }
}

impl Service<Passage> for RemoteModerations {
    type Response = Assessment;
    type Error = ClassifyError;
    // Boxed: it waits for a server, which takes far longer than an allocation.
    type Future = Pin<Box<dyn Future<Output = Result<Assessment, ClassifyError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ClassifyError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, passage: Passage) -> Self::Future {
        let inner = Arc::clone(&self.inner);
        Box::pin(async move {
            let findings = inner.ask(&passage.text).await?;
            Ok(Assessment::new(inner.id.clone(), findings))
        })
    }
}
