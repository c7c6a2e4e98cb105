//! Reading JSON that a stranger wrote, with errors that name the place.

use std::path::Path;

use serde_json::{Map, Value};

use classifiers_llama_guard_prompt::LoadError;

/// The fields of a JSON object in a file.
pub(crate) struct Fields<'a> {
    path: &'a Path,
    fields: Option<&'a Map<String, Value>>,
}

impl<'a> Fields<'a> {
    pub(crate) fn new(path: &'a Path, value: &'a Value) -> Self {
        Self { path, fields: value.as_object() }
    }

    pub(crate) fn fault(&self, fault: impl Into<String>) -> LoadError {
        LoadError::wrong(self.path, fault)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &'a str> {
        self.fields.into_iter().flat_map(Map::keys).map(String::as_str)
    }

    /// A field that is there and not null.
    fn get(&self, name: &str) -> Option<&'a Value> {
        self.fields.and_then(|fields| fields.get(name)).filter(|value| !value.is_null())
    }

    fn typed<T>(
        &self,
        name: &str,
        kind: &str,
        read: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, LoadError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let typed = read(value).ok_or_else(|| self.fault(format!("`{name}` is not {kind}")))?;
        Ok(Some(typed))
    }

    fn needed<T>(&self, name: &str, found: Option<T>) -> Result<T, LoadError> {
        found.ok_or_else(|| {
            self.fault(format!("`{name}` is missing, and there is no safe default for it"))
        })
    }

    pub(crate) fn inner(&self, name: &str) -> Result<Option<Fields<'a>>, LoadError> {
        let inner = self.typed(name, "an object", |value| value.is_object().then_some(value))?;
        Ok(inner.map(|value| Fields::new(self.path, value)))
    }

    pub(crate) fn optional_text(&self, name: &str) -> Result<Option<&'a str>, LoadError> {
        self.typed(name, "a text", Value::as_str)
    }

    pub(crate) fn text(&self, name: &str) -> Result<&'a str, LoadError> {
        let found = self.optional_text(name)?;
        self.needed(name, found)
    }

    pub(crate) fn flag(&self, name: &str) -> Result<Option<bool>, LoadError> {
        self.typed(name, "true or false", Value::as_bool)
    }

    pub(crate) fn optional_count(&self, name: &str) -> Result<Option<usize>, LoadError> {
        self.typed(name, "a count", |value| usize::try_from(value.as_u64()?).ok())
    }

    pub(crate) fn count(&self, name: &str) -> Result<usize, LoadError> {
        let found = self.optional_count(name)?.filter(|count| *count > 0);
        self.needed(name, found)
    }

    pub(crate) fn optional_number(&self, name: &str) -> Result<Option<f64>, LoadError> {
        self.typed(name, "a number", Value::as_f64)
    }

    pub(crate) fn number(&self, name: &str) -> Result<f64, LoadError> {
        let found = self.optional_number(name)?;
        self.needed(name, found)
    }
}
