//! What the console knows about the policy.

use policies::{ClassifierCalibration, Policy};

/// A policy document as it stands.
#[derive(Clone, Debug)]
pub struct Document {
    /// What the file is called.
    pub file: String,
    /// What is in it.
    pub text: String,
}

type Ask<T> = Box<dyn Fn() -> T + Send + Sync>;

/// The policy in force and the document that it comes from. The console reads both and changes neither.
pub struct Rules {
    policy: Ask<Policy>,
    document: Ask<Result<Document, String>>,
    calibrations: Vec<ClassifierCalibration>,
}

impl Rules {
    /// `policy` gives the one in force, calibrated; `document` what it was read from, or why that cannot be had;
    /// `calibrations` are those of the classifiers.
    pub fn new(
        policy: impl Fn() -> Policy + Send + Sync + 'static,
        document: impl Fn() -> Result<Document, String> + Send + Sync + 'static,
        calibrations: Vec<ClassifierCalibration>,
    ) -> Self {
        Self { policy: Box::new(policy), document: Box::new(document), calibrations }
    }

    /// The policy in force.
    pub(crate) fn policy(&self) -> Policy {
        (self.policy)()
    }

    /// What it was read from.
    pub(crate) fn document(&self) -> Result<Document, String> {
        (self.document)()
    }

    /// What a changed document would mean.
    pub(crate) fn compile(&self, text: &str, file: &str) -> Result<Policy, String> {
        let (policy, _) = Policy::parse(text, file).map_err(|wrong| wrong.to_string())?;
        Ok(policy.calibrated(self.calibrations.iter().cloned()))
    }
}

impl std::fmt::Debug for Rules {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rules").finish_non_exhaustive()
    }
}
