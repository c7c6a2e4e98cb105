//! The fixed words of a record. Each enum has one spelling per value, in code and on disk, and reads
//! a word that it does not know as `Other`, so that a newer writer does not break an older reader.

/// Declares an enum of words: the variants, their spelling, and serde through that spelling.
macro_rules! words {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$doc])* $variant,)+
            /// A word from a newer version. Read only: it is never written by this version.
            Other,
        }

        impl $name {
            /// Every word of this version, in order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The spelling in a record, fit for a metric label.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                    Self::Other => "other",
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let word = std::borrow::Cow::<str>::deserialize(deserializer)?;
                Ok(match word.as_ref() {
                    $($word => Self::$variant,)+
                    _ => Self::Other,
                })
            }
        }
    };
}

words! {
    /// How a request ended.
    Outcome {
        /// Nothing was found; the answer was delivered.
        Allowed = "allowed",
        /// Something was found and noted; the answer was delivered.
        Flagged = "flagged",
        /// Parts were cut out; the rest was delivered.
        Redacted = "redacted",
        /// The policy stopped the request or its answer.
        Blocked = "blocked",
        /// Turned away before any policy was asked: bad request, unknown route, rate limit.
        Refused = "refused",
        /// A check gave no verdict and the policy does not let that pass.
        GuardUnavailable = "guard_unavailable",
        /// The model server could not be reached or broke off.
        UpstreamFailed = "upstream_failed",
        /// The client went away before the end.
        ClientGone = "client_gone",
        /// The proxy itself failed.
        Failed = "failed",
    }
}

words! {
    /// What was done with a text, weakest to strongest.
    Action {
        /// Let through.
        Allow = "allow",
        /// Let through and noted.
        Flag = "flag",
        /// Let through without the found spans.
        Redact = "redact",
        /// Not let through.
        Block = "block",
    }
}

words! {
    /// What the checks together say about a text, before the policy's mode is applied.
    Verdict {
        /// No category reached its threshold.
        Safe = "safe",
        /// At least one category reached its threshold.
        Unsafe = "unsafe",
        /// A check that was needed gave no answer.
        Unknown = "unknown",
    }
}

words! {
    /// Whether the policy acts or only watches.
    Mode {
        /// Decisions are carried out.
        Enforce = "enforce",
        /// Decisions are recorded (as `would`) and not carried out.
        Shadow = "shadow",
    }
}

words! {
    /// How one check went.
    CheckStatus {
        /// It gave a verdict.
        Ok = "ok",
        /// It did not answer in time.
        Timeout = "timeout",
        /// It had no room for another text.
        Overloaded = "overloaded",
        /// It failed.
        Failed = "failed",
    }
}

words! {
    /// How much of a text is kept.
    Keep {
        /// All of it.
        Full = "full",
        /// All of it but what is masked.
        Redacted = "redacted",
        /// A keyed hash.
        Fingerprint = "fingerprint",
        /// Nothing.
        None = "none",
    }
}

words! {
    /// What a reviewer says about a decision.
    Assessment {
        /// It was right.
        Correct = "correct",
        /// Something was found that is not there, or is harmless.
        FalseAlarm = "false_alarm",
        /// Something was not found.
        Missed = "missed",
        /// Something was found and called by a wrong name.
        WrongCategory = "wrong_category",
        /// It is traffic of tests, and counts for nothing.
        TestTraffic = "test_traffic",
        /// The reviewer cannot tell.
        Unsure = "unsure",
    }
}

words! {
    /// Why a `started` record was written.
    StartReason {
        /// The journal is new.
        New = "new",
        /// A process opened an existing journal.
        Restart = "restart",
        /// The segment before was full.
        Rotated = "rotated",
    }
}
