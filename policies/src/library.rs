//! The policies shipped with the proxy.

/// Blocks clear attacks and clear harm with few false alarms; flags what needs judgement.
pub const DEFAULT: &str = include_str!("../library/default.yaml");

/// Blocks nearly everything it finds, and looks hard.
pub const STRICT: &str = include_str!("../library/strict.yaml");

/// The rules of [`DEFAULT`], recorded and never acted upon.
pub const OBSERVE: &str = include_str!("../library/observe.yaml");

/// Every shipped policy with its name.
pub const ALL: [(&str, &str); 3] = [("default", DEFAULT), ("strict", STRICT), ("observe", OBSERVE)];

/// The shipped policy called `name`.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static str> {
    ALL.iter().find(|(known, _)| *known == name).map(|(_, source)| *source)
}
