//! The tables.

/// A file with another number is emptied and made anew.
pub(crate) const VERSION: i64 = 3;

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

pub(crate) const TABLES: &str = "
-- How far the log was read: where the next record stands, and the number and hash of the last one.
CREATE TABLE position(segment INTEGER, offset INTEGER, last_segment INTEGER, last_offset INTEGER, seq INTEGER, hash TEXT);
-- Lines of the log that are no sound records: they were passed over.
CREATE TABLE unsound(segment TEXT NOT NULL, offset INTEGER NOT NULL, PRIMARY KEY(segment, offset)) WITHOUT ROWID;
-- Words that occur again and again, by number.
CREATE TABLE names(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
-- Requests whose end was not seen yet.
CREATE TABLE opened(
  id BLOB PRIMARY KEY, route TEXT, method TEXT, instance TEXT, key TEXT, trace TEXT, places BLOB NOT NULL,
  keep TEXT, text TEXT
) WITHOUT ROWID;
-- One row for each decision; `seq` is the number of the record that closed it.
CREATE TABLE decisions(
  seq INTEGER PRIMARY KEY, id BLOB NOT NULL, time INTEGER NOT NULL, outcome TEXT NOT NULL,
  action TEXT, would TEXT, mode TEXT, status INTEGER, reason TEXT, stream INTEGER,
  route TEXT, method TEXT, instance TEXT, key TEXT, key_name TEXT, trace TEXT,
  model TEXT, policy TEXT, profile TEXT,
  category TEXT, score REAL, scores BLOB, total REAL, guard REAL, upstream REAL, keep TEXT,
  review TEXT, places BLOB NOT NULL
);
CREATE UNIQUE INDEX decisions_id ON decisions(id);
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
CREATE INDEX decisions_caller ON decisions(coalesce(key_name, key), seq);
CREATE INDEX decisions_would ON decisions(would, seq);
CREATE INDEX decisions_reason ON decisions(reason, seq);
CREATE INDEX decisions_profile ON decisions(profile, seq);
CREATE INDEX decisions_review ON decisions(review, seq);
-- What a decision has several of.
CREATE TABLE tags(kind INTEGER NOT NULL, name TEXT NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY(kind, name, seq)) WITHOUT ROWID;
CREATE INDEX tags_seq ON tags(seq);
-- Kept texts; the row is the decision's.
CREATE VIRTUAL TABLE texts USING fts5(text, content='', contentless_delete=1, tokenize='unicode61 remove_diacritics 2');
-- What people said about decisions, all of it; the one that stands is the last of each reviewer.
CREATE TABLE reviews(
  entry INTEGER PRIMARY KEY, seq INTEGER NOT NULL, decision BLOB NOT NULL, act BLOB NOT NULL, time INTEGER NOT NULL, reviewer TEXT NOT NULL,
  verdict TEXT, category TEXT, comment TEXT NOT NULL, undoes BLOB, stands INTEGER NOT NULL
);
CREATE INDEX reviews_decision ON reviews(decision, entry);
CREATE INDEX reviews_act ON reviews(act);
CREATE TABLE reveals(seq INTEGER, decision BLOB NOT NULL, time INTEGER NOT NULL, reviewer TEXT NOT NULL, at TEXT NOT NULL, why TEXT NOT NULL);
CREATE INDEX reveals_decision ON reveals(decision, seq);
CREATE TABLE acts(seq INTEGER PRIMARY KEY, time INTEGER NOT NULL, reviewer TEXT NOT NULL, act TEXT NOT NULL, about TEXT NOT NULL);
-- Filters that somebody gave a name.
CREATE TABLE views(name TEXT PRIMARY KEY, filter TEXT NOT NULL, reviewer TEXT NOT NULL, time INTEGER NOT NULL) WITHOUT ROWID;
-- Who has which decision on the desk, and until when. Not from the log: after a rebuild nobody has any.
CREATE TABLE desks(decision BLOB PRIMARY KEY, reviewer TEXT NOT NULL, until INTEGER NOT NULL) WITHOUT ROWID;
";
