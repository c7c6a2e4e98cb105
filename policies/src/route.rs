//! Who gets which rules.

use std::fmt;

use crate::glob::Glob;

/// What a policy may look at to choose the rules for a request.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The name of the caller's API key, or its fingerprint where it has no name.
    pub key: Option<&'a str>,
    /// The model that is asked for.
    pub model: Option<&'a str>,
    /// The path of the request.
    pub path: Option<&'a str>,
    /// The value of a header that is there exactly once, by its name in lower case.
    pub header: &'a dyn Fn(&str) -> Option<String>,
}

impl Default for Request<'_> {
    fn default() -> Self {
        Self { key: None, model: None, path: None, header: &|_| None }
    }
}

impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, model, path, .. } = self;
        f.debug_struct("Request")
            .field("key", key)
            .field("model", model)
            .field("path", path)
            .finish_non_exhaustive()
    }
}

/// One line of `routes`.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    pub(crate) conditions: Vec<(Subject, Glob)>,
    /// The profile's place in the policy; 0 is `base`.
    pub(crate) profile: usize,
}

/// What a condition is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Subject {
    Key,
    Model,
    Path,
    /// A header, its name in lower case.
    Header(String),
}

impl Route {
    /// Whether every condition holds. What a request does not have matches nothing.
    pub(crate) fn matches(&self, request: &Request<'_>) -> bool {
        self.conditions.iter().all(|(subject, glob)| match subject {
            Subject::Key => request.key.is_some_and(|key| glob.matches(key)),
            Subject::Model => request.model.is_some_and(|model| glob.matches(model)),
            Subject::Path => request.path.is_some_and(|path| glob.matches(path)),
            Subject::Header(name) => {
                (request.header)(name).is_some_and(|value| glob.matches(&value))
            }
        })
    }

    /// Whether whatever takes `other` would have taken this one.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        self.conditions.iter().all(|(subject, glob)| {
            other.conditions.iter().any(|(theirs, narrow)| theirs == subject && glob.covers(narrow))
        })
    }
}
