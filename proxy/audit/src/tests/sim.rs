//! A disk in memory that fails at a chosen call, writes down what happens to it, and can be put back
//! to any state that a power cut may have left.

use std::collections::BTreeMap;
use std::io::{self, Cursor, ErrorKind, Read};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use uuid::Uuid;

use crate::disk::{Disk, DiskFile};
use crate::verify::against;
use crate::{Anchor, Entry, ReadError, Record, Report, Trust, keys};

/// Which record of a request, and whose.
pub(super) type Key = (&'static str, Uuid);

/// Something that happened, in order.
#[derive(Debug, Clone)]
pub(super) enum Op {
    Create(String),
    Write(String, Vec<u8>),
    /// A sync returned; it covered this many bytes.
    Sync(String, usize),
    Truncate(String, usize),
    Remove(String),
    SyncDir,
    /// The test saw a receipt say durable.
    Acked(Key),
    /// From here on these records may be removed.
    Old(Vec<Key>),
}

/// The file that somebody else keeps. No power cut here takes anything out of it.
pub(super) const ELSEWHERE: &str = "elsewhere";

/// How the disk fails at the chosen call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// The call fails, later ones work: a sync that failed has lost its bytes all the same.
    Once(ErrorKind),
    /// A write takes half of its bytes; another call fails as interrupted.
    Half,
    /// A write takes half of its bytes, and from then on no write takes any.
    Full,
    /// As `Full`, and nothing else works either.
    Dead,
}

#[derive(Debug, Clone, Default)]
struct File {
    bytes: Vec<u8>,
    durable: usize,
    /// A sync failed: the kernel forgot what it could not write, and later syncs do not notice.
    lost: bool,
    named: bool,
    /// Its name was removed, which no sync covers yet.
    removed: bool,
}

#[derive(Default)]
struct State {
    files: BTreeMap<String, File>,
    log: Vec<Op>,
    calls: usize,
    failure: Option<(usize, Failure)>,
    sync_time: Duration,
}

/// A handle to the disk.
#[derive(Clone, Default)]
pub(super) struct SimDisk(Arc<Mutex<State>>);

/// What a call is allowed to do.
enum Verdict {
    Go,
    Half,
}

impl SimDisk {
    /// A disk whose syncs take a while, so that writes happen meanwhile.
    pub(super) fn slow() -> Self {
        let disk = Self::default();
        disk.state().sync_time = Duration::from_micros(300);
        disk
    }

    pub(super) fn failing(at: usize, failure: Failure) -> Self {
        let disk = Self::default();
        disk.state().failure = Some((at, failure));
        disk
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no test panics while it holds the disk")
    }

    /// How many calls were made.
    pub(super) fn calls(&self) -> usize {
        self.state().calls
    }

    pub(super) fn note(&self, op: Op) {
        self.state().log.push(op);
    }

    pub(super) fn log(&self) -> Vec<Op> {
        self.state().log.clone()
    }

    /// The disk after a restart of the machine that kept only what was durable.
    pub(super) fn after_power_cut(&self) -> Self {
        let files = self.state().files.clone();
        let kept = files.into_iter().filter_map(|(name, mut file)| {
            if name != ELSEWHERE {
                file.bytes.truncate(file.durable);
                file.named.then_some(())?;
            }
            Some((name, Self::settled(file.bytes)))
        });
        Self::with(kept.collect())
    }

    /// The disk after a restart of the process alone.
    pub(super) fn after_kill(&self) -> Self {
        let files = self.state().files.clone();
        Self::with(
            files.into_iter().map(|(name, file)| (name, Self::settled(file.bytes))).collect(),
        )
    }

    /// As [`SimDisk::after_kill`], and the call `at` of the new process fails.
    pub(super) fn after_kill_failing(&self, at: usize) -> Self {
        let disk = self.after_kill();
        disk.state().failure = Some((at, Failure::Dead));
        disk
    }

    fn settled(bytes: Vec<u8>) -> File {
        File { durable: bytes.len(), bytes, named: true, ..File::default() }
    }

    fn with(files: BTreeMap<String, File>) -> Self {
        let disk = Self::default();
        disk.state().files = files;
        disk
    }

    /// The disk as a power cut may leave it after the operations in `log`: of the bytes that no sync
    /// covered, and of the names that no sync covered, some part is there. `choose(n)` picks from
    /// `0..=n`.
    pub(super) fn torn(log: &[Op], mut choose: impl FnMut(usize) -> usize) -> Self {
        let mut files = BTreeMap::<String, File>::new();
        for op in log {
            match op {
                Op::Create(name) => drop(files.insert(name.clone(), File::default())),
                Op::Write(name, bytes) => {
                    files.entry(name.clone()).or_default().bytes.extend_from_slice(bytes);
                }
                Op::Sync(name, covered) => {
                    let file = files.entry(name.clone()).or_default();
                    file.durable = file.durable.max(*covered);
                }
                Op::Truncate(name, length) => {
                    let file = files.entry(name.clone()).or_default();
                    file.bytes.truncate(*length);
                    file.durable = file.durable.min(*length);
                }
                Op::Remove(name) => files.entry(name.clone()).or_default().removed = true,
                Op::SyncDir => {
                    files.retain(|_, file| !file.removed);
                    files.values_mut().for_each(|file| file.named = true);
                }
                Op::Acked(_) | Op::Old(_) => {}
            }
        }
        if let Some(file) = files.get_mut(ELSEWHERE) {
            (file.durable, file.named) = (file.bytes.len(), true);
        }
        files.retain(|_, file| (file.named && !file.removed) || choose(1) == 1);
        for file in files.values_mut() {
            let open = file.bytes.len() - file.durable;
            file.bytes.truncate(file.durable + choose(open));
            *file = Self::settled(std::mem::take(&mut file.bytes));
        }
        Self::with(files)
    }

    /// Every opened, released, closed and abandoned record in the whole lines of all segments, in order.
    pub(super) fn records(&self) -> Vec<Key> {
        self.records_in(|_| true)
    }

    /// Those of the segments whose name is wanted.
    pub(super) fn records_in(&self, wanted: impl Fn(&str) -> bool) -> Vec<Key> {
        let state = self.state();
        let segments = state.files.iter();
        let mut keys = Vec::new();
        for (_, file) in segments.filter(|(name, _)| name.ends_with(".jsonl") && wanted(name)) {
            for line in file.bytes.split_inclusive(|byte| *byte == b'\n') {
                let Some(line) = line.strip_suffix(b"\n") else { continue };
                match Entry::from_line(line).map(|entry| entry.record) {
                    Ok(Record::Opened(record)) => keys.push(("opened", record.id)),
                    Ok(Record::Released(record)) => keys.push(("released", record.id)),
                    Ok(Record::Closed(record)) => keys.push(("closed", record.id)),
                    Ok(Record::Abandoned(record)) => keys.push(("abandoned", record.id)),
                    _ => {}
                }
            }
        }
        keys
    }

    /// Checks the journal against its own key, and against every checkpoint that was noted elsewhere.
    pub(super) fn verify(&self) -> Result<Report, ReadError> {
        let noted = self.state().files.get(ELSEWHERE).map(|file| file.bytes.clone());
        let noted = String::from_utf8(noted.unwrap_or_default()).expect("notes are text");
        let anchors = Anchor::all(&noted).expect("notes are notes");
        let keys = keys::public(self).expect("it can be read").into_iter().collect();
        against(self, &Trust { keys, anchors })
    }

    /// Counts the call and says whether it fails.
    fn call(&self, is_write: bool) -> io::Result<Verdict> {
        let mut state = self.state();
        let now = state.calls;
        state.calls += 1;
        let Some((at, failure)) = state.failure else { return Ok(Verdict::Go) };
        match failure {
            Failure::Once(kind) if now == at => Err(kind.into()),
            Failure::Half if now == at && is_write => Ok(Verdict::Half),
            Failure::Half if now == at => Err(ErrorKind::Interrupted.into()),
            Failure::Full | Failure::Dead if now == at && is_write => Ok(Verdict::Half),
            Failure::Full if now > at && is_write => Err(ErrorKind::StorageFull.into()),
            Failure::Dead if now >= at => Err(ErrorKind::NotConnected.into()),
            _ => Ok(Verdict::Go),
        }
    }
}

impl Disk for SimDisk {
    fn dir(&self) -> &Path {
        Path::new("/sim")
    }

    fn prepare(&self) -> io::Result<()> {
        self.call(false).map(drop)
    }

    fn lock(&self) -> io::Result<Option<Box<dyn Send>>> {
        self.call(false)?;
        Ok(Some(Box::new(())))
    }

    fn files(&self) -> io::Result<Vec<String>> {
        self.call(false)?;
        Ok(self.state().files.keys().cloned().collect())
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.call(false)?;
        let mut state = self.state();
        if state.files.contains_key(name) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        state.files.insert(name.into(), File::default());
        state.log.push(Op::Create(name.into()));
        Ok(Arc::new(SimFile { disk: self.clone(), name: name.into() }))
    }

    fn append(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.call(false)?;
        Ok(Arc::new(SimFile { disk: self.clone(), name: name.into() }))
    }

    fn read(&self, name: &str, from: u64) -> io::Result<Box<dyn Read + Send>> {
        self.call(false)?;
        let state = self.state();
        let file = state.files.get(name).ok_or(ErrorKind::NotFound)?;
        let from = usize::try_from(from).expect("simulated files are small");
        Ok(Box::new(Cursor::new(file.bytes[from..].to_vec())))
    }

    fn length(&self, name: &str) -> io::Result<u64> {
        self.call(false)?;
        Ok(self.state().files.get(name).ok_or(ErrorKind::NotFound)?.bytes.len() as u64)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.call(false)?;
        let mut state = self.state();
        state.log.push(Op::Remove(name.into()));
        state.files.remove(name).map(drop).ok_or(ErrorKind::NotFound.into())
    }

    fn sync(&self) -> io::Result<()> {
        self.call(false)?;
        let mut state = self.state();
        state.files.values_mut().for_each(|file| file.named = true);
        state.log.push(Op::SyncDir);
        Ok(())
    }

    fn elsewhere(&self, file: &Path) -> io::Result<(Arc<dyn DiskFile>, bool)> {
        self.call(false)?;
        let name = file.to_str().expect("it is text").to_owned();
        let mut state = self.state();
        let ends = state.files.entry(name.clone()).or_default().bytes.last().copied();
        let finished = ends.is_none_or(|last| last == b'\n');
        Ok((Arc::new(SimFile { disk: self.clone(), name }), finished))
    }
}

struct SimFile {
    disk: SimDisk,
    name: String,
}

impl SimFile {
    fn with<T>(&self, change: impl FnOnce(&mut File) -> T) -> T {
        change(self.disk.state().files.get_mut(&self.name).expect("files are never removed"))
    }
}

impl DiskFile for SimFile {
    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let bytes = match self.disk.call(true)? {
            Verdict::Go => bytes,
            Verdict::Half => &bytes[..bytes.len() / 2],
        };
        let mut state = self.disk.state();
        let file = state.files.get_mut(&self.name).expect("files are never removed");
        file.bytes.extend_from_slice(bytes);
        state.log.push(Op::Write(self.name.clone(), bytes.to_vec()));
        Ok(bytes.len())
    }

    fn sync(&self) -> io::Result<()> {
        let covered = self.with(|file| file.bytes.len());
        if let Err(error) = self.disk.call(false) {
            self.with(|file| file.lost = true);
            return Err(error);
        }
        let time = self.disk.state().sync_time;
        if !time.is_zero() {
            std::thread::sleep(time);
        }
        let mut state = self.disk.state();
        let file = state.files.get_mut(&self.name).expect("files are never removed");
        if !file.lost {
            file.durable = file.durable.max(covered);
        }
        state.log.push(Op::Sync(self.name.clone(), covered));
        Ok(())
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.disk.call(false)?;
        let length = usize::try_from(length).expect("simulated files are small");
        let mut state = self.disk.state();
        let file = state.files.get_mut(&self.name).expect("files are never removed");
        file.bytes.truncate(length);
        file.durable = file.durable.min(length);
        state.log.push(Op::Truncate(self.name.clone(), length));
        Ok(())
    }
}
