//! What is looked for, as one readable text.
//!
//! ```text
//! action:block hazard:violent_crimes -route:/v1/embeddings score>0.8 since:24h "free text"
//! ```
//!
//! Every term must hold; `a,b` means one of several; `-` in front means not. The command line, the page's address and
//! saved views all use this text, so what one shows the other can be asked for.

use std::fmt;
use std::str::FromStr;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::filter::{self, FilterError};

/// Which decisions are meant. The empty query means all.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Query {
    /// What must hold, in the order written.
    pub terms: Vec<Term>,
}

/// One condition.
#[derive(Debug, Clone, PartialEq)]
pub struct Term {
    /// Whether it must not hold.
    pub exclude: bool,
    /// What is asked.
    pub test: Test,
}

/// What a condition asks.
#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    /// The field has one of these values. `*` stands for anything, and `none` for no value at all.
    Is(Field, Vec<String>),
    /// The strongest score, of a category or of any, compared with a number.
    Score {
        /// Of which category; none: of whichever scored most.
        category: Option<String>,
        /// How it is compared.
        order: Order,
        /// With what.
        than: f32,
    },
    /// It is in a fixed random sample of so many percent of all decisions. A larger sample has those of a smaller one.
    Sample(f64),
    /// It was decided at that time or later.
    Since(Moment),
    /// It was decided before that time.
    Until(Moment),
    /// The kept texts have these words, one after the other; the last may go on if it ends in `*`.
    Text(String),
}

/// How a score is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// `>`
    Above,
    /// `>=`
    AtLeast,
    /// `<`
    Below,
    /// `<=`
    AtMost,
}

/// A moment, fixed or counted from now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// That time.
    At(Timestamp),
    /// So long before the query is asked.
    Ago(SignedDuration),
}

/// Declares the fields that a filter may name: the variants, their spelling, and what they mean.
macro_rules! fields {
    ($($variant:ident = $word:literal, $about:literal;)+) => {
        /// What a decision can be filtered by.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Field {
            $(#[doc = $about] $variant,)+
        }

        impl Field {
            /// Every field, in the order in which they are explained.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// Its name in a filter.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            /// What it is, for whoever writes a filter.
            #[must_use]
            pub const fn about(self) -> &'static str {
                match self { $(Self::$variant => $about,)+ }
            }
        }
    };
}

fields! {
    Action = "action", "What was done: allow, flag, redact, block; the stronger of request and answer.";
    Would = "would", "What would have been done without shadow.";
    Outcome = "outcome", "How the exchange ended: allowed, flagged, redacted, blocked, refused, abandoned, ...";
    Hazard = "hazard", "A category or rule that led to the action.";
    Classifier = "classifier", "A classifier that found something noteworthy.";
    Failed = "failed", "A classifier that gave no verdict.";
    Route = "route", "The path of the request.";
    Model = "model", "The model that was asked for.";
    Key = "key", "The caller's key: the name given to it, or its fingerprint.";
    Policy = "policy", "The policy that decided, as name@digest.";
    Profile = "profile", "The profile of the policy.";
    Exemption = "exemption", "An exemption without which more would have been done.";
    Language = "language", "A language of the texts.";
    Reason = "reason", "Why it was refused or failed.";
    Status = "status", "The HTTP status that the client got.";
    Method = "method", "The HTTP method.";
    Mode = "mode", "Whether the policy acted: enforce or shadow.";
    Instance = "instance", "The proxy that decided.";
    Trace = "trace", "The W3C trace id.";
    Id = "id", "The decision's id.";
    Review = "review", "The last verdict: correct, false_alarm, missed, wrong_category, test_traffic, unsure; or disputed.";
    Reviewer = "reviewer", "Somebody whose verdict stands.";
}

impl Field {
    /// What the review page offers to narrow its list by.
    pub const FACETS: &'static [Self] = &[
        Self::Outcome,
        Self::Hazard,
        Self::Key,
        Self::Model,
        Self::Route,
        Self::Review,
        Self::Classifier,
        Self::Would,
        Self::Failed,
        Self::Exemption,
        Self::Profile,
        Self::Language,
        Self::Policy,
    ];

    /// The field of that name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|field| field.name() == name)
    }
}

impl Order {
    /// Its sign in a filter.
    #[must_use]
    pub const fn sign(self) -> &'static str {
        match self {
            Self::Above => ">",
            Self::AtLeast => ">=",
            Self::Below => "<",
            Self::AtMost => "<=",
        }
    }
}

impl Moment {
    /// The time that is meant if it is `now`.
    #[must_use]
    pub fn resolve(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(time) => time,
            Self::Ago(span) => now.checked_sub(span).unwrap_or(Timestamp::MIN),
        }
    }
}

impl Query {
    /// The query with one more condition.
    #[must_use]
    pub fn and(mut self, test: Test) -> Self {
        self.terms.push(Term { exclude: false, test });
        self
    }

    /// The query with one more condition, which must not hold.
    #[must_use]
    pub fn and_not(mut self, test: Test) -> Self {
        self.terms.push(Term { exclude: true, test });
        self
    }

    /// The query with `field` limited to `value`, taken literally.
    #[must_use]
    pub fn with(self, field: Field, value: &str) -> Self {
        self.and(Test::Is(field, vec![filter::literal(value)]))
    }
}

impl FromStr for Query {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        filter::parse(text)
    }
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        filter::print(self, f)
    }
}

impl Serialize for Query {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Query {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}
