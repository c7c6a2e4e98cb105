//! The seam the proxy consumes.

use tower::Service;
use tower::util::BoxCloneSyncService;

use crate::{Assessment, ClassifyError, Passage};

/// A tower service that judges one passage. Timeouts, load shedding and caches are layers around it, the
/// same for local and remote models.
pub trait Classify: Service<Passage, Response = Assessment, Error = ClassifyError> {}

impl<S: Service<Passage, Response = Assessment, Error = ClassifyError>> Classify for S {}

/// A [`Classify`] with its type erased. Boxed here because which classifiers run is decided at start-up.
pub type BoxClassify = BoxCloneSyncService<Passage, Assessment, ClassifyError>;
