//! A few entries by category.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

use crate::record::Text;

/// Something for each of a few categories, in the order noted. On disk it is an object.
///
/// A list, because there are never more than some tens, and every exchange makes several.
#[derive(Debug, Clone, PartialEq)]
pub struct ByCategory<T>(Vec<(Text, T)>);

impl<T> ByCategory<T> {
    /// Nothing, with room for `entries`.
    #[must_use]
    pub fn with_capacity(entries: usize) -> Self {
        Self(Vec::with_capacity(entries))
    }

    /// What is noted for `category`.
    #[must_use]
    pub fn get(&self, category: &str) -> Option<&T> {
        self.0.iter().find(|(name, _)| name == category).map(|(_, value)| value)
    }

    /// Notes `value` for `category`, in place of what was noted before.
    pub fn insert(&mut self, category: Text, value: T) {
        match self.0.iter_mut().find(|(name, _)| *name == category) {
            Some((_, noted)) => *noted = value,
            None => self.0.push((category, value)),
        }
    }

    /// Every entry.
    pub fn iter(&self) -> impl Iterator<Item = (&Text, &T)> {
        self.0.iter().map(|(name, value)| (name, value))
    }

    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing is noted.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T> Default for ByCategory<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> FromIterator<(Text, T)> for ByCategory<T> {
    fn from_iter<I: IntoIterator<Item = (Text, T)>>(entries: I) -> Self {
        Self(entries.into_iter().collect())
    }
}

impl<T> Extend<(Text, T)> for ByCategory<T> {
    /// Notes entries about categories of which nothing is noted yet.
    fn extend<I: IntoIterator<Item = (Text, T)>>(&mut self, entries: I) {
        self.0.extend(entries);
    }
}

impl<T> IntoIterator for ByCategory<T> {
    type Item = (Text, T);
    type IntoIter = std::vec::IntoIter<(Text, T)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for ByCategory<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Entries(PhantomData))
    }
}

struct Entries<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Entries<T> {
    type Value = ByCategory<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<ByCategory<T>, A::Error> {
        let mut noted = ByCategory::default();
        while let Some((category, value)) = entries.next_entry()? {
            noted.insert(category, value);
        }
        Ok(noted)
    }
}
