//! What is signed, and what somebody may expect of it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A policy with what is said about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// Whom it is for: guards that go by this name, or by none.
    pub audience: Option<String>,
    /// Each policy for an audience has a higher number than the one before it; never 0.
    pub serial: u64,
    /// Until when it is good.
    pub expires: Option<Timestamp>,
    /// The policy document (YAML).
    pub policy: String,
}

/// What somebody expects of a statement.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// Who asks.
    pub audience: Option<&'a str>,
    /// The highest number seen so far, or the lowest that is wanted.
    pub at_least: u64,
    /// What was accepted last.
    pub last: Option<&'a Statement>,
}

/// Why an envelope is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is not an envelope with a policy in it.
    #[error("not a signed policy: {0}")]
    Malformed(&'static str),
    /// None of its signatures names a key that is believed.
    #[error("it is not signed by a key that is listed")]
    UnknownKey,
    /// Something was changed after it was signed.
    #[error("the signature is not of what it holds: it was altered or forged")]
    Forged,
    /// It is for other guards.
    #[error("it is for {}, and this guard is {}", named(theirs.as_ref()), named(ours.as_ref()))]
    OtherAudience {
        /// Whom it is for.
        theirs: Option<String>,
        /// Who asks.
        ours: Option<String>,
    },
    /// It is older than what was seen.
    #[error("its serial is {serial}, and {seen} was seen or is asked for: it is an old one")]
    RolledBack {
        /// Its number.
        serial: u64,
        /// The highest so far.
        seen: u64,
    },
    /// There are two of the same number.
    #[error("its serial {0} is that of the policy before it, but it says something else")]
    Reused(u64),
    /// It was good for a time, and that is over.
    #[error("it was good until {0}")]
    Expired(Timestamp),
}

fn named(audience: Option<&String>) -> String {
    audience.map_or("guards without an audience".to_owned(), |name| format!("`{name}`"))
}

impl Statement {
    /// Whether it is what was expected. Whether it is still good is another question: see [`Self::in_date`].
    ///
    /// # Errors
    /// The first thing that it is not.
    pub fn meets(&self, expected: &Expected<'_>) -> Result<(), Refused> {
        if self.audience.as_deref() != expected.audience {
            let (theirs, ours) = (self.audience.clone(), expected.audience.map(str::to_owned));
            return Err(Refused::OtherAudience { theirs, ours });
        }
        let last = expected.last.map_or(0, |last| last.serial);
        let seen = expected.at_least.max(last);
        if self.serial < seen {
            return Err(Refused::RolledBack { serial: self.serial, seen });
        }
        match expected.last {
            Some(last) if last.serial == self.serial && last != self => {
                Err(Refused::Reused(self.serial))
            }
            _ => Ok(()),
        }
    }

    /// Whether it is good at `now`.
    ///
    /// # Errors
    /// When its time is over.
    pub fn in_date(&self, now: Timestamp) -> Result<(), Refused> {
        match self.expires {
            Some(end) if end <= now => Err(Refused::Expired(end)),
            _ => Ok(()),
        }
    }
}

/// A statement as it is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Payload {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    audience: Option<String>,
    serial: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires: Option<String>,
    policy: String,
}

/// The bytes that are signed.
pub(crate) fn to_bytes(statement: &Statement) -> Vec<u8> {
    let payload = Payload {
        audience: statement.audience.clone(),
        serial: statement.serial,
        expires: statement.expires.map(|end| end.to_string()),
        policy: statement.policy.clone(),
    };
    // Names, numbers and texts are always JSON.
    serde_json::to_vec(&payload).unwrap_or_default()
}

/// What signed bytes say.
pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Statement, Refused> {
    let payload: Payload = serde_json::from_slice(bytes).map_err(|_| {
        Refused::Malformed("its payload has not the fields audience, serial, expires, policy")
    })?;
    let expires = payload.expires.map(|end| end.parse()).transpose();
    let expires = expires
        .map_err(|_| Refused::Malformed("`expires` is not a time such as 2027-01-31T00:00:00Z"))?;
    if payload.serial == 0 {
        return Err(Refused::Malformed("`serial` is 0; numbers begin with 1"));
    }
    Ok(Statement {
        audience: payload.audience,
        serial: payload.serial,
        expires,
        policy: payload.policy,
    })
}
