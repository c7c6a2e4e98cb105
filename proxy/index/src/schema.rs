//! The tables.

/// A file with another number is emptied and made anew.
pub(crate) const VERSION: i64 = 4;

/// Where the tables are in a database. Proxies of another version have tables of their own there.
pub(crate) const NAME: &str = "portcullis_4";

/// How much is decided by SQLite itself: readers beside one writer, and no wait for the disk, because everything here can
/// be made anew. What is deleted is overwritten: there are words of texts among it.
pub(crate) const PRAGMAS: &str = "
PRAGMA journal_mode = WAL;
PRAGMA synchronous = OFF;
PRAGMA temp_store = MEMORY;
PRAGMA secure_delete = ON;
PRAGMA cache_size = -65536;
PRAGMA mmap_size = 1073741824;
PRAGMA busy_timeout = 10000;
";

/// As SQLite takes them. PostgreSQL has other names for types and for numbers that count up.
pub(crate) const TABLES: &str = "
-- The logs that were taken in, by their public keys. A file has one.
CREATE TABLE logs(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
-- How far each was read: where the next record stands, and the number and hash of the last one.
CREATE TABLE position(
  log INTEGER NOT NULL, segment INTEGER, start INTEGER, last_segment INTEGER, last_start INTEGER, record INTEGER, hash TEXT
);
-- Lines of a log that are no sound records: they were passed over.
CREATE TABLE unsound(
  log INTEGER NOT NULL, segment TEXT NOT NULL, start INTEGER NOT NULL, PRIMARY KEY(log, segment, start)
) WITHOUT ROWID;
-- Words that occur again and again, by number.
CREATE TABLE names(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
-- Requests whose end was not seen yet.
CREATE TABLE opened(
  log INTEGER NOT NULL, id BLOB NOT NULL, route TEXT, method TEXT, instance TEXT, caller TEXT, trace TEXT, places BLOB NOT NULL,
  keep TEXT, text TEXT
);
CREATE INDEX opened_log ON opened(log);
-- One row for each decision, numbered as they come in. `record` is the number of the record that closed it.
CREATE TABLE decisions(
  seq INTEGER PRIMARY KEY, log INTEGER NOT NULL, record INTEGER NOT NULL, id BLOB NOT NULL, time INTEGER NOT NULL,
  outcome TEXT NOT NULL, action TEXT, would TEXT, mode TEXT, status INTEGER, reason TEXT, stream INTEGER,
  route TEXT, method TEXT, instance TEXT, key TEXT, key_name TEXT, trace TEXT,
  model TEXT, policy TEXT, profile TEXT,
  category TEXT, score REAL, scores BLOB, total REAL, guard REAL, upstream REAL, keep TEXT,
  review TEXT, places BLOB NOT NULL
);
CREATE UNIQUE INDEX decisions_id ON decisions(id);
CREATE INDEX decisions_log ON decisions(log, record);
CREATE INDEX decisions_time ON decisions(time, action, outcome);
CREATE INDEX decisions_action ON decisions(action, seq);
CREATE INDEX decisions_outcome ON decisions(outcome, seq);
CREATE INDEX decisions_key ON decisions(key, seq);
CREATE INDEX decisions_route ON decisions(route, seq);
CREATE INDEX decisions_model ON decisions(model, seq);
CREATE INDEX decisions_score ON decisions(score, seq);
CREATE INDEX decisions_policy ON decisions(policy, seq);
CREATE INDEX decisions_instance ON decisions(instance, seq);
CREATE INDEX decisions_status ON decisions(status, seq);
CREATE INDEX decisions_trace ON decisions(trace);
CREATE INDEX decisions_key_name ON decisions(key_name, seq);
CREATE INDEX decisions_caller ON decisions((coalesce(key_name, key)), seq);
CREATE INDEX decisions_would ON decisions(would, seq);
CREATE INDEX decisions_reason ON decisions(reason, seq);
CREATE INDEX decisions_profile ON decisions(profile, seq);
CREATE INDEX decisions_review ON decisions(review, seq);
-- What a decision has several of.
CREATE TABLE tags(kind INTEGER NOT NULL, name TEXT NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY(kind, name, seq)) WITHOUT ROWID;
CREATE INDEX tags_seq ON tags(seq);
-- What people said about decisions, all of it; the one that stands is the last of each reviewer.
CREATE TABLE reviews(
  entry INTEGER PRIMARY KEY, log INTEGER NOT NULL, record INTEGER NOT NULL, decision BLOB NOT NULL, act BLOB NOT NULL,
  time INTEGER NOT NULL, reviewer TEXT NOT NULL, verdict TEXT, category TEXT, comment TEXT NOT NULL, undoes BLOB,
  stands INTEGER NOT NULL
);
CREATE INDEX reviews_decision ON reviews(decision, entry);
CREATE INDEX reviews_act ON reviews(act);
CREATE TABLE reveals(
  log INTEGER NOT NULL, record INTEGER NOT NULL, decision BLOB NOT NULL, time INTEGER NOT NULL, reviewer TEXT NOT NULL,
  at TEXT NOT NULL, why TEXT NOT NULL
);
CREATE INDEX reveals_decision ON reveals(decision, time);
CREATE TABLE acts(
  log INTEGER NOT NULL, record INTEGER NOT NULL, time INTEGER NOT NULL, reviewer TEXT NOT NULL, act TEXT NOT NULL,
  about TEXT NOT NULL, PRIMARY KEY(log, record)
);
-- Filters that somebody gave a name.
CREATE TABLE views(
  name TEXT PRIMARY KEY, filter TEXT NOT NULL, reviewer TEXT NOT NULL, time INTEGER NOT NULL, log INTEGER NOT NULL
) WITHOUT ROWID;
-- Who has which decision on the desk, and until when. Not from a log: after a rebuild nobody has any.
CREATE TABLE desks(decision BLOB PRIMARY KEY, reviewer TEXT NOT NULL, until INTEGER NOT NULL) WITHOUT ROWID;
";

/// Kept texts; the row is the decision's.
pub(crate) const TEXTS: &str = "
CREATE VIRTUAL TABLE texts USING fts5(text, content='', contentless_delete=1, tokenize='unicode61 remove_diacritics 2');
";

/// What PostgreSQL has besides: the words of kept texts, the records themselves, and the functions that SQLite finds in
/// the program.
pub(crate) const POSTGRES: &str = "
CREATE TABLE texts(number BIGINT PRIMARY KEY, words TSVECTOR NOT NULL);
CREATE INDEX texts_words ON texts USING GIN (words);
CREATE TABLE records(log BIGINT NOT NULL, record BIGINT NOT NULL, decision BYTEA NOT NULL, line TEXT NOT NULL, PRIMARY KEY(log, record));
CREATE INDEX records_decision ON records(decision, log, record);
CREATE FUNCTION score_of(scores BYTEA, category BIGINT) RETURNS DOUBLE PRECISION LANGUAGE SQL IMMUTABLE PARALLEL SAFE AS $$
  SELECT max((get_byte(scores, at + 4) + 256 * (get_byte(scores, at + 5) & 127))::DOUBLE PRECISION / 10000)
  FROM generate_series(0, length(scores) - 6, 6) AS at
  WHERE get_byte(scores, at + 2) + 256 * get_byte(scores, at + 3) = category
$$;
CREATE FUNCTION share_of(id BYTEA) RETURNS DOUBLE PRECISION LANGUAGE SQL IMMUTABLE PARALLEL SAFE AS $$
  SELECT (get_byte(id, 12)::BIGINT * 16777216 + get_byte(id, 13) * 65536 + get_byte(id, 14) * 256 + get_byte(id, 15))::DOUBLE PRECISION / 4294967296
$$;
";

/// Takes one log out, with what people recorded in it.
pub(crate) const EMPTY: &[&str] = &[
    "DELETE FROM reviews WHERE log = ?",
    "DELETE FROM reveals WHERE log = ?",
    "DELETE FROM views WHERE log = ?",
    "DELETE FROM unsound WHERE log = ?",
    "DELETE FROM opened WHERE log = ?",
    "DELETE FROM position WHERE log = ?",
];

/// The same of a file, which has one log: all that was read.
pub(crate) const EMPTY_FILE: &str = "
DELETE FROM position; DELETE FROM names; DELETE FROM opened; DELETE FROM decisions; DELETE FROM tags;
INSERT INTO texts(texts) VALUES('delete-all');
DELETE FROM reviews; DELETE FROM reveals; DELETE FROM acts; DELETE FROM views; DELETE FROM unsound;
";
