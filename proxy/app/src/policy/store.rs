//! What is kept of signed policies: the newest envelope that was in force, and the highest serial.
//!
//! The envelope is signed, so nobody can make one by writing here; the serial is kept beside it so that an envelope that
//! was damaged or removed does not let an older one in.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// The envelope, as it came.
const ENVELOPE: &str = "policy.dsse.json";
/// The highest serial that was in force: a number and a newline.
const SERIAL: &str = "serial";

/// A folder that only the guard writes.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    dir: PathBuf,
}

/// What was kept.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) envelope: Option<Vec<u8>>,
    pub(crate) serial: u64,
}

impl Store {
    pub(crate) const fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// What was kept.
    ///
    /// # Errors
    /// When it cannot be read, or the serial is none: then nobody knows which policies are old.
    pub(crate) fn read(&self) -> Result<Kept, Failure> {
        let serial = self.file(SERIAL)?.map(|bytes| {
            let text = String::from_utf8(bytes).ok();
            text.and_then(|text| text.strip_suffix('\n')?.parse().ok())
        });
        let Some(serial) = serial.unwrap_or(Some(0)) else {
            return Err(Failure::Environment(format!(
                "{} is damaged, so that nobody knows which policies are old: write the serial of the last policy that was \
                 in force into it, and a newline",
                self.dir.join(SERIAL).display()
            )));
        };
        Ok(Kept { envelope: self.file(ENVELOPE)?, serial })
    }

    /// Keeps an envelope, durably. The envelope first: it has its serial in it, too.
    pub(crate) fn keep(&self, envelope: &[u8], serial: u64) -> io::Result<()> {
        std::fs::create_dir_all(&self.dir)?;
        self.write(ENVELOPE, envelope)?;
        self.write(SERIAL, format!("{serial}\n").as_bytes())?;
        File::open(&self.dir)?.sync_all()
    }

    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(&self.dir)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(self.dir.join(name))?;
        Ok(())
    }

    fn file(&self, name: &str) -> Result<Option<Vec<u8>>, Failure> {
        let path = self.dir.join(name);
        match std::fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => {
                Err(Failure::environment(format!("{} cannot be read", path.display()), &error))
            }
        }
    }
}
