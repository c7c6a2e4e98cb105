//! Gets a log back.

use std::io::Write as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use object_store::path::Path as Key;
use proxy_audit::files;
use tempfile::NamedTempFile;

use super::names::Name;
use super::store::{Objects, Store, unusable};
use super::{Bucket, folder_of};
use crate::error::SinkError;

/// What was got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// The log's public key, as its folder is called.
    pub log: String,
    /// Segments, the one that goes on among them.
    pub segments: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Segments that were in the folder already, with the same length.
    pub known: u64,
}

/// One segment as it is to be got: from these objects, one behind the other.
struct Segment {
    first: u64,
    bytes: u64,
    parts: Vec<Name>,
}

impl Bucket {
    /// Writes the files of a log into `dir`, so that [`proxy_audit::verify`] can check them: those of the log with the
    /// public key `log`, or of the only one there. `progress` is told how many bytes there are of how many.
    ///
    /// What is in `dir` under the same name with the same length stays.
    ///
    /// # Errors
    /// When there is no such log or none can be chosen, when the store does not give it, or when `dir` cannot be written or
    /// is a guard's own.
    pub async fn fetch(
        &self,
        log: Option<&str>,
        dir: &Path,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Fetched, SinkError> {
        if dir.join(files::SECRET_KEY).exists() {
            return Err(SinkError::Taken { dir: dir.to_owned() });
        }
        let store = self.open()?;
        let log = one(store.logs().await?, log, &self.settings.url)?;
        let there = store.objects(&log).await?;
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true).mode(0o700).create(dir).map_err(unusable(dir))?;
        let segments = segments(&there);
        let total = segments.iter().map(|segment| segment.bytes).sum();
        let name = log.filename().unwrap_or_default().to_owned();
        let mut fetched =
            Fetched { log: name, segments: segments.len() as u64, bytes: total, known: 0 };
        let (target, mut done) = (Target { store: &store, log: &log, dir }, 0);
        target.beside(&there, segments.first().map_or(0, |segment| segment.first)).await?;
        for Segment { first, bytes, parts } in segments {
            let file = files::name(first);
            let known = std::fs::metadata(dir.join(&file)).is_ok_and(|it| it.len() == bytes);
            if known {
                fetched.known += 1;
            } else {
                target.write(&file, &parts, &mut |more| progress(done + more, total)).await?;
            }
            done += bytes;
            progress(done, total);
        }
        Ok(fetched)
    }
}

/// Where files are put.
struct Target<'a> {
    store: &'a Store,
    log: &'a Key,
    dir: &'a Path,
}

impl Target<'_> {
    /// The public key, and the notes about what is not there any more before record number `first`.
    async fn beside(&self, there: &Objects, first: u64) -> Result<(), SinkError> {
        if there.public_key {
            self.write(files::PUBLIC_KEY, &[Name::PublicKey], &mut |_| {}).await?;
        }
        match first.checked_sub(1).filter(|last| there.removed.contains(last)) {
            Some(last) => self.write(files::REMOVED, &[Name::Removed(last)], &mut |_| {}).await,
            None => Ok(()),
        }
    }

    /// Writes a file of these objects, all of it or nothing. `more` is told how many bytes there are.
    async fn write(
        &self,
        file: &str,
        parts: &[Name],
        more: &mut dyn FnMut(u64),
    ) -> Result<(), SinkError> {
        let path = self.dir.join(file);
        let mut new = NamedTempFile::new_in(self.dir).map_err(unusable(&path))?;
        let mut bytes = 0;
        for part in parts {
            let write = |piece: &[u8]| {
                bytes += piece.len() as u64;
                more(bytes);
                new.write_all(piece).map_err(unusable(&path))
            };
            self.store.read(&part.below(self.log), write).await?;
        }
        new.persist(&path).map_err(|error| unusable(&path)(error.error))?;
        Ok(())
    }
}

/// The segments that can be had, oldest first: the whole ones, and behind them what there is of the one that goes on.
fn segments(there: &Objects) -> Vec<Segment> {
    let whole = there.segments.iter();
    let whole = whole.map(|(&first, &bytes)| (first, bytes, vec![Name::Segment(first)]));
    let mut segments: Vec<_> =
        whole.map(|(first, bytes, parts)| Segment { first, bytes, parts }).collect();
    let last = segments.last().map_or(0, |segment| segment.first);
    let goes_on = there.tail.keys().map(|(first, _)| *first).find(|first| *first > last);
    if let Some(first) = goes_on {
        let bytes = there.tail_end(first);
        let parts = there.tail.keys().filter(|(segment, from)| *segment == first && *from < bytes);
        let parts: Vec<_> = parts.map(|(segment, from)| Name::Tail(*segment, *from)).collect();
        if !parts.is_empty() {
            segments.push(Segment { first, bytes, parts });
        }
    }
    segments
}

/// The log that is meant.
fn one(logs: Vec<Key>, wanted: Option<&str>, url: &str) -> Result<Key, SinkError> {
    let names = logs.iter().filter_map(Key::filename);
    let names = names.map(|name| format!("\n  ed25519:{name}")).collect::<String>();
    let wanted = wanted.map(folder_of);
    let mut meant = logs.into_iter().filter(|log| {
        wanted.as_ref().is_none_or(|wanted| log.filename().is_some_and(|name| name == wanted))
    });
    match (meant.next(), meant.next(), &wanted) {
        (Some(log), None, _) => Ok(log),
        (Some(_), Some(_), _) => {
            Err(SinkError::NotOne(format!("there are several logs in {url}; say which:{names}")))
        }
        (None, _, _) if names.is_empty() => {
            Err(SinkError::NotOne(format!("there is no log in {url}")))
        }
        (None, _, _) => {
            Err(SinkError::NotOne(format!("that log is not in {url}; these are:{names}")))
        }
    }
}
