//! What API keys are called.

use std::collections::HashMap;
use std::sync::Arc;

use crate::arrival;

/// Names for keys, by fingerprint: a policy speaks of `kids-tablet`, and no file holds a key.
#[derive(Clone, Debug, Default)]
pub struct KeyNames {
    names: Arc<HashMap<String, String>>,
    /// Whether nobody else may come.
    only: bool,
}

impl KeyNames {
    /// Names by fingerprint.
    pub fn new(names: impl IntoIterator<Item = (String, String)>) -> Self {
        Self { names: Arc::new(names.into_iter().collect()), only: false }
    }

    /// The same, and whoever has none of these keys is turned away.
    #[must_use]
    pub fn only(self) -> Self {
        Self { only: true, ..self }
    }

    /// Whether the holder of the key with this fingerprint may come in.
    pub(crate) fn admits(&self, fingerprint: Option<&str>) -> bool {
        !self.only || fingerprint.is_some_and(|known| self.names.contains_key(known))
    }

    /// What the key with this fingerprint is called, if the operator has said.
    pub(crate) fn name(&self, fingerprint: &str) -> Option<&str> {
        self.names.get(fingerprint).map(String::as_str)
    }
}

/// The fingerprint of an API key, as records show it: `key-` and 16 hexadecimal digits.
#[must_use]
pub fn fingerprint(key: &str) -> String {
    arrival::fingerprint(format!("Bearer {key}").as_bytes())
}
