//! The policies shipped with the proxy.

/// Blocks clear attacks and clear harm with few false alarms; flags what needs judgement.
pub const DEFAULT: &str = include_str!("../library/default.yaml");

/// Blocks nearly everything it finds, and looks hard.
pub const STRICT: &str = include_str!("../library/strict.yaml");

/// The rules of [`DEFAULT`], recorded and never acted upon.
pub const OBSERVE: &str = include_str!("../library/observe.yaml");

/// For assistants that children talk to.
pub const CHILDREN: &str = include_str!("../library/children.yaml");

/// For assistants that read, write and run code.
pub const CODING_ASSISTANT: &str = include_str!("../library/coding-assistant.yaml");

/// For assistants that patients talk to.
pub const HEALTHCARE: &str = include_str!("../library/healthcare.yaml");

/// For assistants about money.
pub const FINANCE: &str = include_str!("../library/finance.yaml");

/// Every shipped policy with its name.
pub const ALL: [(&str, &str); 7] = [
    ("default", DEFAULT),
    ("strict", STRICT),
    ("observe", OBSERVE),
    ("children", CHILDREN),
    ("coding-assistant", CODING_ASSISTANT),
    ("healthcare", HEALTHCARE),
    ("finance", FINANCE),
];

/// The shipped calibrations, each with the name of its file.
pub const CALIBRATIONS: [(&str, &str); 1] =
    [("starter.yaml", include_str!("../calibrations/starter.yaml"))];

/// The names of all shipped policies, for a sentence.
#[must_use]
pub fn names() -> String {
    ALL.map(|(name, _)| name).join(", ")
}

/// The shipped policy called `name`.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static str> {
    ALL.iter().find(|(known, _)| *known == name).map(|(_, source)| *source)
}
