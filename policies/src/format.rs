//! What a policy document may contain: the one list that the reader checks keys against, and that the JSON
//! Schema and the reference page are generated from.

/// A table of the document with the keys it may have.
#[derive(Debug)]
pub(crate) struct Table {
    /// What it is called in messages.
    pub(crate) name: &'static str,
    /// What it is for.
    pub(crate) about: &'static str,
    /// Its keys, in the order in which they are usually written.
    pub(crate) keys: &'static [Key],
}

/// A key of a table.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) kind: Kind,
    pub(crate) required: bool,
}

/// What may stand behind a key.
#[derive(Debug)]
pub(crate) enum Kind {
    /// A text that says something.
    Text,
    /// A text of this shape: a regular expression, and what it is called.
    Shaped(&'static str, &'static str),
    /// One of these words.
    Words(&'static [&'static str]),
    /// `true` or `false`.
    Truth,
    /// A number from the first to the second.
    Number(f64, f64),
    /// A whole number from the first to the second.
    Whole(u32, u32),
    /// One of several.
    Either(&'static [Kind]),
    /// A list of these.
    List(&'static Kind),
    /// A table with known keys.
    Table(&'static Table),
    /// A table of names, of which the second is the shape, and the first says what they are.
    Map(&'static str, Names, &'static Kind),
}

impl Kind {
    /// The words that may stand there, alone or in a list.
    pub(crate) const fn words(&self) -> &'static [&'static str] {
        match self {
            Self::Words(words) => words,
            Self::List(inner) => inner.words(),
            _ => &[],
        }
    }
}

/// The keys of a table that names its own.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Names {
    /// Any name.
    Any,
    /// Hazards, and these words beside them.
    Hazards(&'static [&'static str]),
    /// Language tags.
    Languages,
}

impl Table {
    /// Whether `key` may stand in this table.
    pub(crate) fn knows(&self, key: &str) -> bool {
        self.keys.iter().any(|known| known.name == key)
    }
}

const fn key(name: &'static str, kind: Kind, about: &'static str) -> Key {
    Key { name, about, kind, required: false }
}

const fn required(name: &'static str, kind: Kind, about: &'static str) -> Key {
    Key { name, about, kind, required: true }
}

// === shapes ===

pub(crate) const ACTIONS: &[&str] = &["allow", "flag", "redact", "block"];
pub(crate) const MODES: &[&str] = &["enforce", "shadow"];
pub(crate) const FORWARDS: &[&str] = &["after_verdict", "race"];
pub(crate) const LEVELS: &[&str] = &["low", "medium", "high"];
pub(crate) const DIRECTIONS: &[&str] = &["input", "output", "tools"];

const ACTION: Kind = Kind::Words(ACTIONS);
const WITHOUT_VERDICT: Kind = Kind::Words(&["allow", "flag", "block"]);
const MODE: Kind = Kind::Words(MODES);
const FORWARD: Kind = Kind::Words(FORWARDS);
const FORWARD_ABOUT: &str = "When a request goes to the model server. `after_verdict`: when it was judged. `race`: while it is being judged; nothing comes back before the verdict, and the call is broken off if that blocks. With `race` no hazard may be redacted at input or tools.";
const SENSITIVITY: Kind = Kind::Either(&[Kind::Words(LEVELS), Kind::Number(0.0, 1.0)]);
const RATE: Kind = Kind::Shaped("^[0-9]+[KMG]?/[0-9]*(s|min|h|d)$", "a rate such as `600/min`");
const DURATION: Kind = Kind::Shaped("^[0-9]+(ms|s)$", "a duration such as `1500ms` or `2s`");
const DAYS: Kind = Kind::Shaped("^[0-9]+d$", "days such as `90d`");
const CHARACTERS: Kind = Kind::Shaped("^[0-9]+ *chars$", "a length such as `400 chars`");
const SHARE: Kind = Kind::Shaped("^[0-9]+(\\.[0-9]+)?%$", "a share such as `0.5%`");
const DATE: Kind = Kind::Shaped("^[0-9]{4}-[0-9]{2}-[0-9]{2}$", "a day such as `2027-02-15`");
const PATTERN: Kind = Kind::Text;
const TEXTS: Kind = Kind::List(&Kind::Text);
const HAZARD_NAME: Kind = Kind::Text;
const PLACES: Kind = Kind::Either(&[Kind::Words(DIRECTIONS), Kind::List(&Kind::Words(DIRECTIONS))]);

// === tables ===

/// The whole document.
pub(crate) const DOCUMENT: Table = Table {
    name: "the policy",
    about: "What may be sent and said, and what happens otherwise.",
    keys: &[
        required("version", Kind::Whole(1, 1), "The version of this format: 1."),
        required(
            "name",
            Kind::Shaped("^[A-Za-z0-9_.-]{1,64}$", "a name such as `acme-assistant`"),
            "What the policy is called, in records and in a header of every answer.",
        ),
        key("about", Kind::Text, "What it is for, in a sentence."),
        key("owner", Kind::Text, "Who answers for it."),
        key("mode", MODE, "`shadow` decides and records everything and touches nothing."),
        key("since", DATE, "Since when `mode: shadow` lasts; `check` reminds after 30 days."),
        key(
            "test_triggers",
            Kind::Truth,
            "Whether texts such as PORTCULLIS-TEST-S1 count as findings. Usually true.",
        ),
        required(
            "hazards",
            Kind::Map("hazards", Names::Hazards(&["defaults"]), &Kind::Table(&HAZARD)),
            "What to look for, and what to do where. A hazard without a line is as `defaults` says; what nobody says is blocked.",
        ),
        key(
            "custom_hazards",
            Kind::Map("hazards of your own", Names::Any, &Kind::Table(&CUSTOM_HAZARD)),
            "Hazards in your own words. They stay in shadow until a classifier has passed their examples.",
        ),
        key(
            "never_below",
            Kind::Map("hazards", Names::Hazards(&[]), &Kind::Table(&FLOOR)),
            "Floors that nothing else in the document can weaken: no profile, no exemption, no shadow, no failed check.",
        ),
        key(
            "languages",
            Kind::Table(&LANGUAGES),
            "What happens to languages that no classifier was trained for.",
        ),
        key(
            "profiles",
            Kind::Map("profiles", Names::Any, &Kind::Table(&PROFILE)),
            "Named differences from the rules above; `routes` say who gets them.",
        ),
        key(
            "routes",
            Kind::List(&Kind::Table(&ROUTE)),
            "Who gets which profile: the first line that matches, and the last must match everything.",
        ),
        key("limits", Kind::Table(&LIMITS), "How much one API key may use."),
        key("forward", FORWARD, FORWARD_ABOUT),
        key("streaming", Kind::Table(&STREAMING), "How streamed answers are released."),
        key("on_failure", Kind::Table(&ON_FAILURE), "What happens when a check gives no verdict."),
        key(
            "exemptions",
            Kind::List(&Kind::Table(&EXEMPTION)),
            "Exceptions for one key, one hazard and some directions, each with a reason, an approver and an end.",
        ),
        key("audit", Kind::Table(&AUDIT), "What is kept, and who may read it."),
        key("messages", Kind::Table(&MESSAGES), "What people read when something was blocked."),
        key(
            "tests",
            Kind::List(&Kind::Table(&CASE)),
            "What the policy must do; `portcullis test` runs them.",
        ),
    ],
};

/// A line of the hazard table.
pub(crate) const HAZARD: Table = Table {
    name: "a hazard",
    about: "What is done about one hazard. Actions, weakest to strongest: allow, flag, redact, block; of several findings the strongest wins.",
    keys: &[
        key(
            "sensitivity",
            SENSITIVITY,
            "From when on a finding counts: `low`, `medium` and `high` are 1, 5 and 20 false alarms in 1,000 clean texts; or a score from 0 to 1.",
        ),
        key("input", ACTION, "What is done with what people send."),
        key("output", ACTION, "What is done with what the model says."),
        key("tools", ACTION, "What is done with tool definitions, calls and results."),
        key(
            "mode",
            MODE,
            "`shadow` records what would be done about this hazard and does nothing.",
        ),
        key("since", DATE, "Since when `mode: shadow` lasts; `check` reminds after 30 days."),
    ],
};

/// A hazard in the owner's own words.
pub(crate) const CUSTOM_HAZARD: Table = Table {
    name: "a custom hazard",
    about: "A category that a classifier is told about in words.",
    keys: &[
        required("title", Kind::Text, "What it is called."),
        required("should_not", TEXTS, "What should not be said."),
        key("can", TEXTS, "What may be said nevertheless."),
        key(
            "examples",
            Kind::Text,
            "A file of labelled examples, beside the policy, that must pass before it may be enforced.",
        ),
        key("sensitivity", SENSITIVITY, "As for other hazards."),
        key("input", WITHOUT_VERDICT, "What is done with what people send."),
        key("output", WITHOUT_VERDICT, "What is done with what the model says."),
        key("tools", WITHOUT_VERDICT, "What is done with tool definitions, calls and results."),
        required("mode", Kind::Words(&["shadow"]), "`shadow`, until its examples have passed."),
        key("since", DATE, "Since when it is in shadow."),
    ],
};

/// A floor.
pub(crate) const FLOOR: Table = Table {
    name: "a floor",
    about: "The weakest action that may ever be taken.",
    keys: &[
        key(
            "sensitivity",
            SENSITIVITY,
            "From when on a finding counts for the floor; as in `hazards` unless said.",
        ),
        key("input", ACTION, "The weakest action for what people send."),
        key("output", ACTION, "The weakest action for what the model says."),
        key("tools", ACTION, "The weakest action for tool definitions, calls and results."),
    ],
};

/// Languages.
pub(crate) const LANGUAGES: Table = Table {
    name: "`languages`",
    about: "Classifiers know some languages; what happens to the others is a choice, not silence.",
    keys: &[
        required(
            "checked",
            TEXTS,
            "Tags of the languages that the classifiers were trained for, such as `en`.",
        ),
        required("others", WITHOUT_VERDICT, "What is done with a text in any other language."),
    ],
};

/// A profile.
pub(crate) const PROFILE: Table = Table {
    name: "a profile",
    about: "Only the differences; everything else is as in the rest of the document.",
    keys: &[
        key("about", Kind::Text, "Who it is for."),
        key("mode", MODE, "Whether this profile touches traffic."),
        key("since", DATE, "Since when `mode: shadow` lasts."),
        key("sensitivity", SENSITIVITY, "For every hazard, unless `hazards` below says otherwise."),
        key(
            "hazards",
            Kind::Map("hazards", Names::Hazards(&[]), &Kind::Table(&HAZARD)),
            "Lines that differ.",
        ),
        key("forward", FORWARD, FORWARD_ABOUT),
        key("streaming", Kind::Table(&STREAMING), "How streamed answers are released."),
    ],
};

/// A route.
pub(crate) const ROUTE: Table = Table {
    name: "a route",
    about: "A request takes the first route of which every condition matches. `*` stands for any text.",
    keys: &[
        key("key", PATTERN, "The name or fingerprint of the API key."),
        key("model", PATTERN, "The model that is asked for."),
        key("path", PATTERN, "The path of the request."),
        key(
            "header",
            Kind::Map("headers", Names::Any, &PATTERN),
            "Headers and what they must say. Callers choose them.",
        ),
        required("use", Kind::Text, "The profile, or `base` for the rules without one."),
    ],
};

/// Limits.
pub(crate) const LIMITS: Table = Table {
    name: "`limits`",
    about: "For each API key; callers without one are counted by address.",
    keys: &[
        key("requests", RATE, "Requests, at most so many in any such time."),
        key("tokens", RATE, "Tokens of requests and answers, counted when an exchange ends."),
        key(
            "blocked",
            Kind::Table(&BLOCKED),
            "How often one may be blocked before everything stops for a while.",
        ),
    ],
};

/// The blocked-attempt budget.
pub(crate) const BLOCKED: Table = Table {
    name: "`blocked`",
    about: "Who is blocked again and again is probing.",
    keys: &[
        required("allow", RATE, "So many blocks are nothing special."),
        required(
            "then",
            Kind::Shaped("^pause [0-9]*(s|min|h|d)$", "`pause` and a time such as `15min`"),
            "How long the key is refused after one block more.",
        ),
    ],
};

/// Streaming.
pub(crate) const STREAMING: Table = Table {
    name: "`streaming`",
    about: "Streamed answers are released in windows.",
    keys: &[
        key(
            "mode",
            Kind::Words(&["hold", "follow", "whole"]),
            "`hold`: nobody sees unchecked text. `follow`: text flows and checks trail behind it. `whole`: the answer leaves when all of it is judged.",
        ),
        key("window", CHARACTERS, "How much text is judged at a time."),
        key("overlap", CHARACTERS, "How much of the text before is judged with it."),
        key("max_wait", DURATION, "How long text may wait for a window to fill."),
    ],
};

/// Failure.
pub(crate) const ON_FAILURE: Table = Table {
    name: "`on_failure`",
    about: "A check was too slow, broke, or could not read the content. What is not said is `block`.",
    keys: &[
        key("input", WITHOUT_VERDICT, "What is done with what people send."),
        key("output", WITHOUT_VERDICT, "What is done with what the model says."),
        key("tools", WITHOUT_VERDICT, "What is done with tool definitions, calls and results."),
        key(
            "audit",
            Kind::Words(&["block"]),
            "Without a record there is no answer: always `block`.",
        ),
        key("timeout", DURATION, "How long a check may take before it counts as failed."),
        key(
            "instead",
            Kind::Table(&INSTEAD),
            "Who judges when a check gives no verdict, in this order, each with the same `timeout`; if none of them can, the lines above decide. The server's settings say what each of them is. Every such verdict is recorded and counted with its place in the list.",
        ),
    ],
};

/// Who judges in whose place.
pub(crate) const INSTEAD: Table = Table {
    name: "`instead`",
    about: "Who judges when a check gives no verdict, in this order.",
    keys: &[
        key("llama_guard", FOR_HAZARDS, "In place of Llama Guard; `starter` knows S1 to S13."),
        key("prompt_guard", FOR_ATTACKS, "In place of Prompt Guard."),
        key("moderations", FOR_HAZARDS, "In place of a server of moderations."),
    ],
};

/// Who can judge what Llama Guard judges: one that knows attacks alone would turn its failure into a clean bill.
const FOR_HAZARDS: Kind = Kind::List(&Kind::Words(&["llama_guard_local", "starter"]));
/// Who can judge what Prompt Guard judges.
const FOR_ATTACKS: Kind = Kind::List(&Kind::Words(&["prompt_guard_local", "starter"]));

/// An exemption.
pub(crate) const EXEMPTION: Table = Table {
    name: "an exemption",
    about: "It weakens one hazard for some keys until a day, and never below a floor.",
    keys: &[
        required(
            "id",
            Kind::Shaped("^[A-Za-z0-9_.-]{1,32}$", "an id such as `EX-7`"),
            "What records call it.",
        ),
        required(
            "key",
            PATTERN,
            "The name or fingerprint of the API key; `*` stands for any text.",
        ),
        required("hazard", HAZARD_NAME, "The one hazard it is about."),
        required("where", Kind::List(&Kind::Words(DIRECTIONS)), "In which directions."),
        required("action", ACTION, "What is done instead."),
        required("why", Kind::Text, "The reason, for whoever reads it in a year."),
        required("approved_by", Kind::Text, "Who approved it."),
        required("expires", DATE, "The last day on which it holds, at most 90 days ahead."),
    ],
};

/// Audit.
pub(crate) const AUDIT: Table = Table {
    name: "`audit`",
    about: "What is kept of the texts themselves, and who may read it.",
    keys: &[
        key(
            "text",
            Kind::Words(&["full", "redacted", "fingerprint", "none"]),
            "How much of the examined texts is kept.",
        ),
        key("redact", Kind::List(&HAZARD_NAME), "What is cut out of kept texts."),
        key("keep", Kind::Table(&KEEP), "How long records are kept."),
        key("review", Kind::Table(&REVIEW), "How much lands in the review queue."),
        key("reveal", Kind::Table(&REVEAL), "Who may see kept texts."),
    ],
};

/// Retention.
pub(crate) const KEEP: Table = Table {
    name: "`keep`",
    about: "By outcome.",
    keys: &[
        key("allowed", DAYS, "What passed."),
        key("flagged", DAYS, "What was marked."),
        key("blocked", DAYS, "What did not pass."),
    ],
};

/// Review sampling.
pub(crate) const REVIEW: Table = Table {
    name: "`review`",
    about: "By outcome. Misses are found only in what was allowed.",
    keys: &[
        key("allowed", SHARE, "Of what passed."),
        key("flagged", SHARE, "Of what was marked."),
        key("blocked", SHARE, "Of what did not pass."),
    ],
};

/// Access to texts.
pub(crate) const REVEAL: Table = Table {
    name: "`reveal`",
    about: "Who may see kept texts, and whether they must say why.",
    keys: &[
        key("roles", TEXTS, "Roles of the review page."),
        key("reason", Kind::Words(&["required", "optional"]), "Whether a reason must be given."),
    ],
};

/// Messages.
pub(crate) const MESSAGES: Table = Table {
    name: "`messages`",
    about: "Texts by reason and language. `{reference}` is the number of the decision, `{helpline}` an address where people find help.",
    keys: &[
        key(
            "reply_as",
            Kind::Words(&["refusal", "error"]),
            "`refusal`: an ordinary answer that refuses. `error`: status 400 with the code content_filter.",
        ),
        key("helpline", Kind::Text, "What stands for `{helpline}`."),
        key(
            "default",
            Kind::Map("languages", Names::Languages, &Kind::Text),
            "For every reason without texts of its own.",
        ),
    ],
};

/// A test.
pub(crate) const CASE: Table = Table {
    name: "a test",
    about: "Evidence that is made up, and the decision it must lead to.",
    keys: &[
        required("name", Kind::Text, "What is expected, in a few words."),
        key("key", Kind::Text, "Whose request it is."),
        key("model", Kind::Text, "Which model it asks for."),
        key("path", Kind::Text, "Which path it takes."),
        key("header", Kind::Map("headers", Names::Any, &Kind::Text), "Headers it has."),
        required(
            "at",
            PLACES,
            "Where it is decided: `input`, `output`, `tools`, or a list of these.",
        ),
        key(
            "scores",
            Kind::Map("hazards", Names::Any, &Kind::Number(0.0, 1.0)),
            "What classifiers say about the text as a whole.",
        ),
        key(
            "found",
            Kind::Map("hazards", Names::Any, &Kind::Whole(1, 100)),
            "How many certain findings with exact places there are.",
        ),
        key("failed", TEXTS, "Checks that give no verdict."),
        key("language", Kind::Text, "The language of the text."),
        key("user", Kind::Text, "What a person says, for `portcullis test --live`."),
        key("reply", Kind::Text, "What the model says, for `portcullis test --live`."),
        required("expect", Kind::Table(&EXPECT), "What must come out."),
    ],
};

/// What a test expects.
pub(crate) const EXPECT: Table = Table {
    name: "`expect`",
    about: "The decision.",
    keys: &[
        required("action", ACTION, "What is done."),
        key(
            "because",
            Kind::Text,
            "One of the reasons: a hazard, an exemption, `languages` or `on_failure`.",
        ),
        key("would", ACTION, "What would be done without shadow, where that is more."),
    ],
};

/// Calibration files.
pub(crate) mod calibration {
    use super::{Kind, Names, Table, key, required};

    /// The whole file.
    pub(crate) const FILE: Table = Table {
        name: "the calibration",
        about: "What `low`, `medium` and `high` are for one revision of a classifier.",
        keys: &[
            required("version", Kind::Whole(1, 1), "The version of this format: 1."),
            required("classifier", Kind::Text, "The classifier's name."),
            required("revision", Kind::Text, "The exact revision that was measured."),
            key("measured", Kind::Text, "On what, and when."),
            required(
                "hazards",
                Kind::Map("hazards", Names::Hazards(&[]), &Kind::Table(&HAZARD)),
                "What was measured; for hazards without a line the reference scale holds.",
            ),
        ],
    };

    /// One hazard.
    pub(crate) const HAZARD: Table = Table {
        name: "a calibrated hazard",
        about: "One score for each word.",
        keys: &[
            key("clean", Kind::Number(0.0, 1e9), "Clean texts that were measured."),
            key("positive", Kind::Number(0.0, 1e9), "Texts of this hazard that were measured."),
            required("low", Kind::Table(&LEVEL), "1 false alarm in 1,000."),
            required("medium", Kind::Table(&LEVEL), "5 false alarms in 1,000."),
            required("high", Kind::Table(&LEVEL), "20 false alarms in 1,000."),
        ],
    };

    /// One word.
    pub(crate) const LEVEL: Table = Table {
        name: "a calibrated score",
        about: "With 95 % intervals (Wilson).",
        keys: &[
            required("score", Kind::Number(0.0, 1.0), "From when on a finding counts."),
            key("false_alarms", Kind::Number(0.0, 1000.0), "In 1,000 clean texts."),
            key("false_alarms_95", Kind::List(&Kind::Number(0.0, 1000.0)), "Between these."),
            key(
                "found",
                Kind::Number(0.0, 1.0),
                "The share of texts of this hazard that reach it.",
            ),
            key("found_95", Kind::List(&Kind::Number(0.0, 1.0)), "Between these."),
        ],
    };
}

#[cfg(test)]
mod tests {
    use classifiers_core::Direction;

    use super::{ACTIONS, DIRECTIONS, DOCUMENT, Kind, LEVELS, MODES, Table};
    use crate::{Action, Level, Mode, ReplyAs, StreamingMode, TextRetention};

    #[test]
    fn words_are_those_of_the_program() {
        assert_eq!(ACTIONS, Action::ALL.map(Action::name));
        assert_eq!(MODES, Mode::ALL.map(Mode::name));
        assert_eq!(LEVELS, Level::ALL.map(Level::name));
        assert_eq!(DIRECTIONS, Direction::ALL.map(Direction::name));
        let words = |table: &Table, key: &str| {
            let found = table.keys.iter().find(|known| known.name == key);
            match found.map(|key| &key.kind) {
                Some(Kind::Words(words)) => words.to_vec(),
                other => panic!("{key}: {other:?}"),
            }
        };
        let sorted = |mut words: Vec<&'static str>| {
            words.sort_unstable();
            words
        };
        let streaming = StreamingMode::ALL.map(StreamingMode::name).to_vec();
        assert_eq!(words(&super::STREAMING, "mode"), streaming);
        let replies = ReplyAs::ALL.map(ReplyAs::name).to_vec();
        assert_eq!(sorted(words(&super::MESSAGES, "reply_as")), sorted(replies));
        let texts = TextRetention::ALL.map(TextRetention::name).to_vec();
        assert_eq!(words(&super::AUDIT, "text"), texts);
        assert_eq!(words(&DOCUMENT, "mode"), MODES);
    }
}
