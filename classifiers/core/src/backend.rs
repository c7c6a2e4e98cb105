//! The seam a model author implements.

use std::fmt;
use std::sync::Arc;

use crate::{Category, ClassifyError, Finding, Passage};

/// Which classifier said something, and in which revision of its weights or rules.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClassifierId {
    /// The name policies and records use, such as `starter` or `prompt_guard`.
    pub name: Arc<str>,
    /// What must change when its answers may change: a digest of weights or rules.
    pub revision: Arc<str>,
}

impl ClassifierId {
    /// The classifier `name` in `revision`.
    pub fn new(name: impl Into<Arc<str>>, revision: impl Into<Arc<str>>) -> Self {
        Self { name: name.into(), revision: revision.into() }
    }
}

impl fmt::Display for ClassifierId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.revision)
    }
}

/// A classifier: a batch of passages in, findings out.
///
/// An answer must depend on the passages' text, role and context alone, so that it may be cached by content and
/// revision. A backend judges each passage whole, whatever its length.
pub trait Backend: Send + Sync + 'static {
    /// Name and revision.
    fn id(&self) -> &ClassifierId;

    /// The categories it looks for; each appears in every answer.
    fn covers(&self) -> &[Category];

    /// Judges `batch`; the answer has one list of findings for each passage, in order.
    ///
    /// # Errors
    /// When any passage of the batch could not be judged: there is no verdict for any of them.
    fn assess(&self, batch: &[Passage]) -> Result<Vec<Vec<Finding>>, ClassifyError>;
}

impl<B: Backend + ?Sized> Backend for Arc<B> {
    fn id(&self) -> &ClassifierId {
        (**self).id()
    }

    fn covers(&self) -> &[Category] {
        (**self).covers()
    }

    fn assess(&self, batch: &[Passage]) -> Result<Vec<Vec<Finding>>, ClassifyError> {
        (**self).assess(batch)
    }
}
