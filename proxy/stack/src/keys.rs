//! What API keys are called.

use std::collections::HashMap;
use std::sync::Arc;

use crate::arrival::{self, Caller, Shown};

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

    /// What the operator calls who asks: by the token that they have shown, or else by their key.
    pub(crate) fn name<'a>(
        &'a self,
        caller: &'a Caller,
        shown: Option<&'a Shown>,
    ) -> Option<&'a str> {
        match shown {
            Some(identity) => identity.as_ref().ok().and_then(|identity| identity.name.as_deref()),
            None => caller.key().and_then(|key| self.names.get(key)).map(String::as_str),
        }
    }
}

/// The fingerprint of an API key, as records show it: `key-` and 16 hexadecimal digits.
#[must_use]
pub fn fingerprint(key: &str) -> String {
    arrival::fingerprint(format!("Bearer {key}").as_bytes())
}
