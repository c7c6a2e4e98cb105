//! Outcomes as they come, in a file: an interrupted run goes on where it stopped, and two runs can be compared.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::{Example, Outcome};

/// What a text is remembered by: a digest of text and role, so that no text is kept.
#[must_use]
pub fn digest(example: &Example) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(example.role.name().as_bytes()).update(b"\0");
    hasher.update(example.text.as_deref().unwrap_or_default().as_bytes());
    // What has scores instead of a text is never asked about, so it is never looked up either.
    hasher.finalize().to_hex().chars().take(32).collect()
}

#[derive(Serialize, Deserialize)]
struct Line {
    text: String,
    subject: String,
    #[serde(flatten)]
    outcome: Outcome,
}

/// A file of outcomes, by text and by who judged it (classifiers with revisions, and the policy; or an address).
pub struct Store {
    file: File,
    known: HashMap<(String, String), Outcome>,
}

impl Store {
    /// Opens a file, or begins one. A last line that was cut off is dropped.
    ///
    /// # Errors
    /// When the file cannot be opened, or is no such file.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut file =
            OpenOptions::new().create(true).read(true).write(true).truncate(false).open(path)?;
        let (mut known, mut whole) = (HashMap::new(), 0);
        let mut lines = BufReader::new(&mut file);
        let mut text = String::new();
        while lines.read_line(&mut text)? > 0 {
            if !text.ends_with('\n') {
                break;
            }
            let line: Line = serde_json::from_str(&text).map_err(io::Error::other)?;
            whole += text.len() as u64;
            known.insert((line.subject, line.text), line.outcome);
            text.clear();
        }
        file.set_len(whole)?;
        file.seek(SeekFrom::Start(whole))?;
        Ok(Self { file, known })
    }

    /// What `subject` made of the text with this digest. A failure is not remembered: it is tried again.
    #[must_use]
    pub fn get(&self, subject: &str, digest: &str) -> Option<&Outcome> {
        let key = (subject.to_owned(), digest.to_owned());
        self.known.get(&key).filter(|outcome| outcome.failure.is_none())
    }

    /// Everyone whose outcomes are in it, in alphabetical order.
    #[must_use]
    pub fn subjects(&self) -> Vec<&str> {
        let mut subjects: Vec<&str> = self.known.keys().map(|(subject, _)| &**subject).collect();
        subjects.sort_unstable();
        subjects.dedup();
        subjects
    }

    /// Keeps an outcome.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn put(&mut self, subject: &str, digest: &str, outcome: &Outcome) -> io::Result<()> {
        let (text, subject) = (digest.to_owned(), subject.to_owned());
        let line = Line { text, subject, outcome: outcome.clone() };
        let mut bytes = serde_json::to_vec(&line)?;
        bytes.push(b'\n');
        self.file.write_all(&bytes)?;
        self.known.insert((line.subject, line.text), line.outcome);
        Ok(())
    }
}
