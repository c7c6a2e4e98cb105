//! The decision log: the truth about every decision, in the order in which it was taken.
//!
//! A request leaves two records. It is **opened** when it is accepted, before the upstream is
//! called, and **closed** with the decision before a byte of the answer leaves. A long streamed answer
//! leaves part by part; then each part but the last has a **released** record before it. What was opened and
//! never closed (a crash, a power cut) is marked **abandoned** at the next start, so every request
//! that was ever let in has an end in this log.
//!
//! ```text
//! {"v":1,"seq":7,"kind":"opened","id":"0198…","time":"2026-11-22T06:03:28.112Z",…,"prev":"b3:77…","hash":"b3:12…"}
//! ```
//!
//! # Format
//! - One JSON object per line, fields in a fixed order, in files of about 64 MiB (*segments*) named
//!   after the sequence number of their first record. `seq` starts at 1 and has no gaps.
//! - `hash` is the BLAKE3 of all bytes of the line before `,"hash":`. Those bytes contain `prev`, the
//!   hash of the line before, so every line vouches for the whole log up to itself. The first
//!   record's `prev` is [`Digest::GENESIS`].
//! - Kinds are `started`, `opened`, `released`, `examined`, `closed`, `abandoned` and `sealed`, and what people did:
//!   `reviewed`, `revealed` and `acted`. A `checkpoint` signs all before it: behind every start, every second, and at
//!   the end of each segment and of the journal. No record is dated more than five seconds after the last one before
//!   it but by a start (`started`, `abandoned`).
//! - Every segment begins with a `started` record that names the requests still open, so a restart reads one segment,
//!   however long the log. A reader passes over fields and kinds that it does not know; later versions may add both
//!   without a new `v`. Every kind has a `time`.
//!
//! # Promises
//! - [`Receipt::written`]: the record survives the death of this process.
//! - [`Receipt::durable`]: the record survives a power cut (an `fdatasync` that covers it returned).
//! - Appending never blocks. One thread writes whole batches, another syncs what was written.
//! - After any failed write or sync the journal is failed for good: every receipt that is pending or
//!   given out later says so. A failed sync is never retried, because the kernel may have dropped
//!   the very pages that it failed to write.
//! - A restart refuses a damaged journal instead of continuing it. Only an unfinished last line is
//!   moved aside, into a file of its own beside the segment.
//!
//! # Limits
//! - The chain shows every change to a record that has a successor, and every change inside the last one; the key,
//!   noted elsewhere, that somebody else wrote the log or a part of it. Neither can show that whole records were removed
//!   from the very end: for that, note checkpoints somewhere else. A journal that was closed in order ends in a `sealed`
//!   record, so there the end is visible too.
//! - A power cut may leave any part of what was not yet synced, provided that appended bytes reach
//!   the disk in order (ext4 in its default mode, XFS). Where they do not, the next start may find
//!   damage after the last acknowledged record; it then refuses rather than guesses.
//! - After a failed sync, a restarted process reads what the kernel still holds, not what the disk
//!   does. Nothing unacknowledged is promised, yet a later power cut may then take it out of the
//!   middle: after such a failure, check the disk before the restart.
//! - Of examined texts only `examined` records have any, as the policy says; see [`Examined`].
//! - Text that a client can influence is cut to a limit before it is written; see [`limits`].

#[cfg(test)]
extern crate self as proxy_audit;

mod anchor;
mod by_category;
mod checkpoint;
mod decided;
mod disk;
mod entry;
mod error;
mod examined;
mod fault;
pub mod files;
mod follow;
mod hex;
mod journal;
mod json;
mod keys;
mod ledger;
pub mod limits;
mod line;
mod people;
mod queue;
mod receipt;
mod record;
mod recover;
mod removed;
mod render;
mod retire;
mod scan;
mod segment;
mod stats;
mod syncer;
#[cfg(test)]
mod tests;
mod tree;
mod trust;
mod verify;
mod words;
mod writer;

pub use by_category::ByCategory;
pub use checkpoint::{Anchor, Checkpoint};
pub use decided::{Decided, DecidedCheck, DecidedRuling, DecidedSpan, Origin, Pairs, decisions};
pub use entry::{Abandoned, Entry, Record, Sealed, Started};
pub use error::{JournalError, Misuse, ReadError};
pub use examined::{Examined, Kept, Masked};
pub use fault::{Fault, Problem};
pub use follow::{Follower, Place, tail};
pub use journal::{Journal, Options};
pub use keys::{NotAKey, PublicKey};
pub use line::Digest;
pub use people::{Acted, Revealed, Reviewed};
pub use receipt::Receipt;
pub use record::{
    Check, Closed, Opened, ReadSummary, Released, Ruling, Span, Text, Timing, Unchecked,
};
pub use recover::Recovery;
pub use removed::Removed;
pub use retire::{first_that_stays, remove_before};
pub use stats::Stats;
pub use trust::Trust;
pub use verify::{Ending, Report, verify, verify_with};
pub use words::{Action, Assessment, CheckStatus, Keep, Mode, Outcome, StartReason, Verdict};
