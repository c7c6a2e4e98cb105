//! What a token says, and what it must say.

use serde_json::{Map, Value};

use crate::fault::Fault;

/// What an issuer has said of somebody.
#[derive(Clone, Debug)]
pub struct Claims(Map<String, Value>);

impl Claims {
    pub(crate) const fn new(claims: Map<String, Value>) -> Self {
        Self(claims)
    }

    /// A claim that is text.
    #[must_use]
    pub fn text(&self, claim: &str) -> Option<&str> {
        self.0.get(claim).and_then(Value::as_str)
    }

    /// Whether all of this is said.
    #[must_use]
    pub fn hold(&self, requirements: &[Requirement]) -> bool {
        requirements.iter().all(|requirement| requirement.holds(&self.0))
    }

    /// The same, and what the issuer says of the same subject in a JSON document besides; what was signed prevails.
    ///
    /// # Errors
    /// When that is no such document, or about somebody else.
    pub fn and(self, userinfo: &[u8]) -> Result<Self, Fault> {
        let mut all: Map<String, Value> =
            serde_json::from_slice(userinfo).map_err(|_| Fault::Malformed)?;
        if all.get("sub") != self.0.get("sub") {
            return Err(Fault::Claims);
        }
        all.extend(self.0);
        Ok(Self(all))
    }
}

/// A claim, and the values of which it must have one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    claim: String,
    one_of: Vec<String>,
}

impl Requirement {
    /// `claim` must be one of these values, or a list with one of them. Claims within claims are named with dots
    /// (`realm_access.roles`), where no claim has that very name.
    pub fn new(claim: impl Into<String>, one_of: impl IntoIterator<Item = String>) -> Self {
        Self { claim: claim.into(), one_of: one_of.into_iter().collect() }
    }

    /// Whether `claims` say so.
    pub(crate) fn holds(&self, claims: &Map<String, Value>) -> bool {
        let named = claims.get(&self.claim).or_else(|| {
            let (first, rest) = self.claim.split_once('.')?;
            rest.split('.').try_fold(claims.get(first)?, |value, name| value.get(name))
        });
        let is = |said: &str| self.one_of.iter().any(|wanted| wanted == said);
        match named {
            // A list of words, as OAuth writes it (RFC 8693, section 4.2).
            Some(Value::String(said)) if matches!(&*self.claim, "scope" | "scp") => {
                said.split(' ').any(is)
            }
            Some(Value::String(said)) => is(said),
            Some(Value::Bool(said)) => is(if *said { "true" } else { "false" }),
            Some(Value::Number(said)) => is(&said.to_string()),
            Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).any(is),
            Some(Value::Null | Value::Object(_)) | None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_claim_is_a_value_or_a_list_with_it() {
        let Value::Object(claims) = json!({
            "tenant": "acme", "groups": ["kids", "school"], "scope": "read guard.use", "text": "a kids b",
            "realm_access": { "roles": ["admin"] }, "https://acme.example/plan": "gold", "beta": true, "level": 3,
        }) else {
            panic!("these are claims")
        };
        for (claim, value, holds) in [
            ("tenant", "acme", true),
            ("tenant", "acm", false),
            ("groups", "kids", true),
            ("groups", "kid", false),
            ("scope", "guard.use", true),
            ("scope", "guard", false),
            ("text", "kids", false),
            ("realm_access.roles", "admin", true),
            ("realm_access.roles.admin", "admin", false),
            ("realm_access", "roles", false),
            ("https://acme.example/plan", "gold", true),
            ("beta", "true", true),
            ("level", "3", true),
            ("missing", "", false),
        ] {
            let requirement = Requirement::new(claim, [value.to_owned(), "other".to_owned()]);
            assert_eq!(requirement.holds(&claims), holds, "{claim} {value}");
        }
    }
}
