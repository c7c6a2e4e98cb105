//! Where SQLite and PostgreSQL differ.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use super::Table;
use crate::schema;

/// Which SQL is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Sqlite,
    Postgres,
}

use Dialect::{Postgres, Sqlite};

impl Dialect {
    /// Begins a transaction beside which nobody else changes anything. So lists grow at their end only, whoever writes.
    pub(crate) fn begin(self) -> &'static str {
        match self {
            Sqlite => "BEGIN IMMEDIATE",
            Postgres => "BEGIN; SELECT pg_advisory_xact_lock(7086472150116)",
        }
    }

    /// The version of the tables that are there. In a database they are all of this one, if they are there.
    pub(crate) fn version(self) -> &'static str {
        match self {
            Sqlite => "SELECT user_version FROM pragma_user_version",
            Postgres => {
                "SELECT CAST(substr(nspname::text, 12) AS BIGINT) FROM pg_namespace WHERE nspname = current_setting('search_path')"
            }
        }
    }

    /// Everything that must be there before the first question.
    pub(crate) fn tables(self) -> String {
        match self {
            Sqlite => format!("{}{}", schema::TABLES, schema::TEXTS),
            Postgres => {
                let tables = schema::TABLES
                    .replace(
                        "entry INTEGER PRIMARY KEY",
                        "entry BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
                    )
                    .replace(
                        "id INTEGER PRIMARY KEY",
                        "id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
                    )
                    .replace("INTEGER", "BIGINT")
                    .replace("BLOB", "BYTEA")
                    .replace("REAL", "DOUBLE PRECISION")
                    .replace(") WITHOUT ROWID", ")");
                format!("{tables}{}", schema::POSTGRES)
            }
        }
    }

    /// Rids the store of what was deleted: the answer says whether somebody is in the way. SQLite leaves words in the
    /// search tables until these are put together again, and what was overwritten in its own log until that is cut.
    /// PostgreSQL uses the room again.
    pub(crate) fn purge(self) -> (&'static str, Option<&'static str>) {
        match self {
            Sqlite => (
                "INSERT INTO texts(texts) VALUES('optimize')",
                Some("PRAGMA wal_checkpoint(TRUNCATE)"),
            ),
            Postgres => ("VACUUM texts, records, decisions, opened, tags", None),
        }
    }

    /// Whether the records themselves are kept, because not everybody who asks has the log.
    pub(crate) fn keeps_records(self) -> bool {
        self == Postgres
    }

    /// The number behind which later decisions will be.
    pub(crate) fn last(self) -> &'static str {
        match self {
            Sqlite => "SELECT max(record) FROM position",
            Postgres => "SELECT max(seq) FROM decisions",
        }
    }

    /// Where a search for words is walked. SQLite begins with the words, from the newest row on, and stops when a page is
    /// full; PostgreSQL finds its own way.
    pub(crate) fn searched(self) -> &'static str {
        match self {
            Sqlite => "texts CROSS JOIN decisions ON decisions.seq = texts.rowid",
            Postgres => "texts JOIN decisions ON decisions.seq = texts.number",
        }
    }

    /// Where time, action and outcome of decisions are, and nothing else to be read.
    pub(crate) fn by_time(self) -> &'static str {
        match self {
            Sqlite => "decisions INDEXED BY decisions_time",
            Postgres => "decisions",
        }
    }

    /// The number of a row of texts.
    pub(crate) fn text_row(self) -> &'static str {
        match self {
            Sqlite => "texts.rowid",
            Postgres => "texts.number",
        }
    }

    /// The condition that a row of texts has what is looked for.
    pub(crate) fn has_words(self) -> &'static str {
        match self {
            Sqlite => "texts MATCH ?",
            Postgres => "texts.words @@ to_tsquery('simple', ?)",
        }
    }

    /// What is looked for, as that condition takes it: words one after the other, the last of which goes on if it ends in
    /// `*`.
    pub(crate) fn phrase(self, text: &str) -> String {
        let (words, goes_on) = match text.strip_suffix('*') {
            Some(words) => (words, true),
            None => (text, false),
        };
        match self {
            // In quotes nothing but quotes has a meaning.
            Sqlite => {
                let star = if goes_on { " *" } else { "" };
                format!("\"{}\"{star}", words.replace('"', "\"\""))
            }
            Postgres => {
                let star = if goes_on { ":*" } else { "" };
                format!("({}{star})", folded(words).replace(' ', " <-> "))
            }
        }
    }

    /// Joins phrases all of which must be there.
    pub(crate) fn all(self, phrases: &[String]) -> String {
        phrases.join(match self {
            Sqlite => " AND ",
            Postgres => " & ",
        })
    }

    /// A text as it is taken in to be searched.
    pub(crate) fn text(self, text: String) -> String {
        match self {
            Sqlite => text,
            Postgres => folded(&text),
        }
    }

    /// Where texts are added.
    pub(crate) fn texts(self) -> Table {
        match self {
            Sqlite => Table { into: "texts(rowid, text)", row: "(?, ?)" },
            Postgres => Table { into: "texts", row: "(?, to_tsvector('simple', ?))" },
        }
    }

    /// The condition that a column is like a pattern.
    pub(crate) fn is_like(self, column: &str) -> String {
        match self {
            Sqlite => format!("{column} GLOB ?"),
            Postgres => format!("{column} LIKE ?"),
        }
    }

    /// Adds a character of a pattern that stands for itself.
    pub(crate) fn add_literal(self, pattern: &mut String, c: char) {
        match (self, c) {
            (Sqlite, '*' | '?' | '[') => pattern.extend(['[', c, ']']),
            (Postgres, '%' | '_' | '\\') => pattern.extend(['\\', c]),
            _ => pattern.push(c),
        }
    }

    /// What stands for anything in a pattern.
    pub(crate) fn anything(self) -> char {
        match self {
            Sqlite => '*',
            Postgres => '%',
        }
    }
}

/// The words of a text as SQLite's search takes them, for a search that would take them otherwise: in lower case, without
/// diacritics, with one blank between them.
fn folded(text: &str) -> String {
    let plain = text.nfd().filter(|c| !is_combining_mark(*c)).flat_map(char::to_lowercase);
    let plain: String = plain.collect();
    let words = plain.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ")
}

impl Table {
    /// The text that adds so many rows.
    pub(crate) fn insert(self, rows: usize) -> String {
        format!("INSERT INTO {} VALUES {}", self.into, vec![self.row; rows].join(", "))
    }
}
