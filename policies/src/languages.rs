//! Languages that classifiers were trained for, and the others.

use crate::Action;
use crate::messages::normal_tag;

/// The `languages` section.
#[derive(Clone, Debug)]
pub(crate) struct Languages {
    /// Tags in lower case.
    pub(crate) checked: Vec<String>,
    pub(crate) others: Action,
}

impl Languages {
    /// Whether `language` is one of those listed; a region makes no difference.
    pub(crate) fn is_checked(&self, language: &str) -> bool {
        let general = |tag: &str| tag.split('-').next().unwrap_or_default().to_owned();
        let language = general(&normal_tag(language));
        self.checked.iter().any(|tag| general(tag) == language)
    }
}
