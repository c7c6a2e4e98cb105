//! What is done with objects, each within bounds of time and memory.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _};
use object_store::aws::AmazonS3;
use object_store::path::Path as Key;
use object_store::{
    Error, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt as _, PutMode, PutPayload,
};

use super::names::{Name, is_log};
use crate::error::SinkError;

/// How long the server may take with one step: to take a part, to give the next piece of an object.
const STEP_TIME: Duration = Duration::from_secs(30);
/// What is sent at once, and so what is held in memory. A longer file goes in parts of this length.
const PART_BYTES: usize = 8 << 20;
/// How long an upload that failed is tried to be taken back; what is left of it the bucket's own rules remove.
const ABORT_TIME: Duration = Duration::from_secs(2);

/// The object by which `doctor` sees what can be done, and what is in it.
const PROBE: &str = "portcullis-probe";
const PROBE_TEXT: &[u8] = b"portcullis doctor was here\n";

/// The objects of one log.
#[derive(Debug, Default)]
pub(super) struct Objects {
    pub(super) public_key: bool,
    /// Lengths of segments.
    pub(super) segments: BTreeMap<u64, u64>,
    pub(super) removed: BTreeSet<u64>,
    /// Lengths of parts of segments that go on, by segment and first byte.
    pub(super) tail: BTreeMap<(u64, u64), u64>,
}

impl Objects {
    /// Up to which byte of this segment there are parts without a gap.
    pub(super) fn tail_end(&self, segment: u64) -> u64 {
        let mut end = 0;
        while let Some(length @ 1..) = self.tail.get(&(segment, end)) {
            end += length;
        }
        end
    }
}

/// A folder of a bucket, and who asks.
#[derive(Debug)]
pub(super) struct Store {
    s3: AmazonS3,
    prefix: Key,
}

impl Store {
    pub(super) fn new(s3: AmazonS3, prefix: Key) -> Self {
        Self { s3, prefix }
    }

    /// The folder of a log.
    pub(super) fn log(&self, name: &str) -> Key {
        self.prefix.clone().join(name)
    }

    /// The logs in the folder, by name; or that the folder itself is one's, as the last part of the address.
    pub(super) async fn logs(&self) -> Result<Vec<Key>, SinkError> {
        if self.prefix.filename().is_some_and(is_log) {
            return Ok(vec![self.prefix.clone()]);
        }
        let listed = within(self.s3.list_with_delimiter(Some(&self.prefix))).await?;
        let is_one = |key: &Key| key.filename().is_some_and(is_log);
        Ok(listed.common_prefixes.into_iter().filter(is_one).collect())
    }

    /// What there is of a log.
    pub(super) async fn objects(&self, log: &Key) -> Result<Objects, SinkError> {
        let (mut objects, mut list) = (Objects::default(), self.s3.list(Some(log)));
        while let Some(ObjectMeta { location, size, .. }) = within(list.try_next()).await? {
            match Name::of(&location, log) {
                Some(Name::PublicKey) => objects.public_key = true,
                Some(Name::Segment(first)) => {
                    objects.segments.insert(first, size);
                }
                Some(Name::Removed(last)) => {
                    objects.removed.insert(last);
                }
                Some(Name::Tail(segment, offset)) => {
                    objects.tail.insert((segment, offset), size);
                }
                None => {}
            }
        }
        Ok(objects)
    }

    /// Makes an object, unless there is one of this name; whether it was made.
    pub(super) async fn put(&self, key: &Key, bytes: Bytes) -> Result<bool, SinkError> {
        let put = self.s3.put_opts(key, PutPayload::from_bytes(bytes), PutMode::Create.into());
        match within(put).await {
            Ok(_) => Ok(true),
            Err(SinkError::Store(Error::AlreadyExists { .. })) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Makes an object of a file of `length` bytes, unless there is one of this name, and compares what there is with the
    /// file; whether it was made.
    ///
    /// # Errors
    /// [`SinkError::Different`] where they differ.
    pub(super) async fn keep(
        &self,
        key: &Key,
        file: &Path,
        length: u64,
    ) -> Result<bool, SinkError> {
        let made = match within(self.s3.head(key)).await {
            Ok(_) => false,
            Err(SinkError::Store(Error::NotFound { .. })) => {
                self.send(key, file, length).await?;
                true
            }
            Err(error) => return Err(error),
        };
        self.compare(key, file, length).await?;
        Ok(made)
    }

    /// Sends a file, at once or in parts.
    async fn send(&self, key: &Key, file: &Path, length: u64) -> Result<(), SinkError> {
        let mut parts = Parts::of(file, length)?;
        if length <= PART_BYTES as u64 {
            let bytes = parts.next()?.unwrap_or_default();
            return self.put(key, bytes).await.map(drop);
        }
        let mut upload = within(self.s3.put_multipart(key)).await?;
        let sent = send_parts(&mut *upload, &mut parts).await;
        if sent.is_err() {
            drop(tokio::time::timeout(ABORT_TIME, upload.abort()).await);
        }
        sent
    }

    /// Whether an object is what the first `length` bytes of a file are.
    async fn compare(&self, key: &Key, file: &Path, length: u64) -> Result<(), SinkError> {
        let different = |what: String| SinkError::Different {
            key: key.to_string(),
            file: file.to_owned(),
            what,
        };
        let object = within(self.s3.get(key)).await?;
        if object.meta.size != length {
            return Err(different(format!("{} bytes, not {length}", object.meta.size)));
        }
        let mut stream = object.into_stream();
        let (mut source, mut offset, mut own) = (open(file)?, 0, Vec::new());
        while let Some(bytes) = within(stream.try_next()).await? {
            own.resize(bytes.len(), 0);
            // What an object has beyond the file's end differs from it too.
            let same = match source.read_exact(&mut own) {
                Ok(()) => own == bytes,
                Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => false,
                Err(error) => return Err(unusable(file)(error)),
            };
            if !same {
                return Err(different(format!("they differ behind byte {offset}")));
            }
            offset += bytes.len() as u64;
        }
        if offset != length {
            return Err(SinkError::Store(Error::Generic {
                store: "S3",
                source: format!("an answer ended after {offset} of {length} bytes").into(),
            }));
        }
        Ok(())
    }

    /// What an object has, from its beginning, piece by piece.
    pub(super) async fn read(
        &self,
        key: &Key,
        mut piece: impl FnMut(&[u8]) -> Result<(), SinkError>,
    ) -> Result<u64, SinkError> {
        let object = within(self.s3.get(key)).await?;
        let (length, mut read, mut stream) = (object.meta.size, 0, object.into_stream());
        while let Some(bytes) = within(stream.try_next()).await? {
            read += bytes.len() as u64;
            piece(&bytes)?;
        }
        if read != length {
            return Err(SinkError::Store(Error::Generic {
                store: "S3",
                source: format!("an answer ended after {read} of {length} bytes").into(),
            }));
        }
        Ok(read)
    }

    /// Removes an object.
    pub(super) async fn remove(&self, key: &Key) -> Result<(), SinkError> {
        within(self.s3.delete(key)).await
    }

    /// See [`super::Bucket::probe`].
    pub(super) async fn probe(&self) -> Result<(), SinkError> {
        let key = self.prefix.clone().join(PROBE);
        self.put(&key, Bytes::from_static(PROBE_TEXT)).await?;
        within(self.s3.list(Some(&self.prefix)).take(1).try_collect::<Vec<_>>()).await?;
        let mut found = Vec::new();
        self.read(&key, |bytes| {
            found
                .extend_from_slice(bytes.get(..PROBE_TEXT.len().min(bytes.len())).unwrap_or(bytes));
            Ok(())
        })
        .await?;
        if found != PROBE_TEXT {
            let (key, what) = (key.to_string(), "it was not read as it was written".to_owned());
            return Err(SinkError::Different { key, file: PROBE.into(), what });
        }
        Ok(())
    }
}

async fn send_parts(
    upload: &mut dyn MultipartUpload,
    parts: &mut Parts<'_>,
) -> Result<(), SinkError> {
    while let Some(bytes) = parts.next()? {
        within(upload.put_part(PutPayload::from_bytes(bytes))).await?;
    }
    within(upload.complete()).await.map(drop)
}

/// A file, part by part.
struct Parts<'a> {
    file: &'a Path,
    source: File,
    left: u64,
}

impl<'a> Parts<'a> {
    fn of(file: &'a Path, length: u64) -> Result<Self, SinkError> {
        Ok(Self { file, source: open(file)?, left: length })
    }

    fn next(&mut self) -> Result<Option<Bytes>, SinkError> {
        let length = usize::try_from(self.left).unwrap_or(PART_BYTES).min(PART_BYTES);
        if length == 0 {
            return Ok(None);
        }
        let mut bytes = vec![0; length];
        self.source.read_exact(&mut bytes).map_err(unusable(self.file))?;
        self.left -= length as u64;
        Ok(Some(bytes.into()))
    }
}

fn open(file: &Path) -> Result<File, SinkError> {
    File::open(file).map_err(unusable(file))
}

pub(super) fn unusable(file: &Path) -> impl FnOnce(std::io::Error) -> SinkError {
    |source| SinkError::File { path: file.to_owned(), source }
}

/// A step, if the server takes no longer with it than it may.
async fn within<T>(step: impl Future<Output = Result<T, Error>>) -> Result<T, SinkError> {
    match tokio::time::timeout(STEP_TIME, step).await {
        Ok(done) => done.map_err(SinkError::Store),
        Err(_) => Err(SinkError::Silent(STEP_TIME)),
    }
}
