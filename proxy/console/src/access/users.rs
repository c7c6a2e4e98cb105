//! The users' file: names, roles and hashes of passwords. There is no default user and no default password.

use std::fs::DirBuilder;
use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use serde::{Deserialize, Serialize};

use super::Role;

/// Shortest password that is taken, in characters (NIST SP 800-63B asks for 15 where it is the only factor).
const SHORTEST: usize = 15;
/// Longest, in bytes: hashing is work that anybody may ask for.
const LONGEST: usize = 1024;
/// Longest name, in bytes.
const NAME_BYTES: usize = 64;

/// Why there is no such user now, or no telling.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// The name is of no use in records.
    #[error("a name has 1 to 64 letters, digits, `.`, `-`, `_` or `@`")]
    Name,
    /// Somebody would guess it.
    #[error("a password has at least {SHORTEST} characters and at most {LONGEST} bytes")]
    Password,
    /// There is somebody of that name already.
    #[error("there is a user of that name already; remove it first")]
    Taken,
    /// There is nobody of that name.
    #[error("there is no user of that name")]
    Nobody,
    /// The file cannot be read or written.
    #[error("{} cannot be used", file.display())]
    File {
        /// Which.
        file: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The password could not be hashed.
    #[error("the password cannot be hashed: {0}")]
    Hash(argon2::password_hash::Error),
}

/// One who may log in.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct User {
    name: String,
    role: Role,
    /// Argon2id, as a PHC string.
    password: String,
}

/// What a session needs to know of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) role: Role,
    /// Of the stored password, which has a salt of its own: somebody of the same name who was added later is another.
    pub(crate) mark: blake3::Hash,
}

impl Account {
    fn of(user: &User) -> Self {
        Self { role: user.role, mark: blake3::hash(user.password.as_bytes()) }
    }
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    users: Vec<User>,
}

/// Everybody who may log in, as the file says it now.
#[derive(Clone, Debug)]
pub struct Users {
    file: PathBuf,
}

impl Users {
    /// The users in `file`, which need not exist yet.
    #[must_use]
    pub fn new(file: PathBuf) -> Self {
        Self { file }
    }

    /// Where they are kept.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Names and roles, in order of name.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn list(&self) -> Result<Vec<(String, Role)>, UserError> {
        let users = self.read()?.users;
        Ok(users.into_iter().map(|user| (user.name, user.role)).collect())
    }

    /// Adds somebody.
    ///
    /// # Errors
    /// The name or the password will not do, the name is taken, or the file cannot be read or written.
    pub fn add(&self, name: &str, role: Role, password: &str) -> Result<(), UserError> {
        let fits = |c: char| c.is_ascii_alphanumeric() || ".-_@".contains(c);
        if name.is_empty() || name.len() > NAME_BYTES || !name.chars().all(fits) {
            return Err(UserError::Name);
        }
        if password.chars().count() < SHORTEST || password.len() > LONGEST {
            return Err(UserError::Password);
        }
        let mut document = self.read()?;
        if document.users.iter().any(|user| user.name == name) {
            return Err(UserError::Taken);
        }
        let hash = Argon2::default().hash_password(password.as_bytes()).map_err(UserError::Hash)?;
        document.users.push(User { name: name.to_owned(), role, password: hash.to_string() });
        document.users.sort_by(|a, b| a.name.cmp(&b.name));
        self.write(&document)
    }

    /// Removes somebody; their sessions end with their next request.
    ///
    /// # Errors
    /// There is nobody of that name, or the file cannot be read or written.
    pub fn remove(&self, name: &str) -> Result<(), UserError> {
        let mut document = self.read()?;
        let before = document.users.len();
        document.users.retain(|user| user.name != name);
        if document.users.len() == before {
            return Err(UserError::Nobody);
        }
        self.write(&document)
    }

    /// The account of that name, as it is now.
    pub(crate) fn account(&self, name: &str) -> Result<Option<Account>, UserError> {
        let user = self.read()?.users.into_iter().find(|user| user.name == name);
        Ok(user.as_ref().map(Account::of))
    }

    /// The account of who has this name and this password. It takes as long where there is nobody of that name.
    pub(crate) fn check(&self, name: &str, password: &str) -> Result<Option<Account>, UserError> {
        let user = self.read()?.users.into_iter().find(|user| user.name == name);
        let password = password.get(..LONGEST).unwrap_or(password).as_bytes();
        let argon = Argon2::default();
        let Some(user) = user else {
            // What comes out is of no interest, only how long it takes.
            let hashed: Result<PasswordHash, _> = argon.hash_password(password);
            drop(hashed);
            return Ok(None);
        };
        let fits = PasswordHash::new(&user.password)
            .is_ok_and(|hash| argon.verify_password(password, &hash).is_ok());
        Ok(fits.then(|| Account::of(&user)))
    }

    fn read(&self) -> Result<Document, UserError> {
        let text = match std::fs::read(&self.file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Document::default()),
            Err(source) => return Err(self.unusable(source)),
        };
        serde_json::from_slice(&text).map_err(|error| self.unusable(error.into()))
    }

    /// Replaces the file as a whole. Temporary files are readable by their owner alone, and stay so.
    fn write(&self, document: &Document) -> Result<(), UserError> {
        let dir = self.file.parent().filter(|dir| !dir.as_os_str().is_empty());
        let dir = dir.unwrap_or(Path::new("."));
        let text =
            serde_json::to_vec_pretty(document).map_err(|error| self.unusable(error.into()))?;
        // It may be the audit directory, which nobody else reads.
        let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
        let written = made.and_then(|()| {
            let mut file = tempfile::NamedTempFile::new_in(dir)?;
            file.write_all(&text)?;
            file.write_all(b"\n")?;
            file.as_file().sync_all()?;
            file.persist(&self.file).map_err(|error| error.error)?;
            Ok(())
        });
        written.map_err(|source| self.unusable(source))
    }

    fn unusable(&self, source: io::Error) -> UserError {
        UserError::File { file: self.file.clone(), source }
    }
}

#[cfg(test)]
mod tests {
    use super::{Role, UserError, Users};

    #[test]
    fn who_has_the_password_has_the_role_and_the_file_is_private() {
        let dir = tempfile::tempdir().expect("a directory");
        let users = Users::new(dir.path().join("deep/users.json"));
        assert_eq!(users.list().expect("no file is no users"), []);
        assert!(matches!(users.add("ann", Role::Viewer, "short"), Err(UserError::Password)));
        assert!(matches!(
            users.add("a b", Role::Viewer, "long enough, surely"),
            Err(UserError::Name)
        ));
        users.add("ann", Role::Reviewer, "correct horse battery").expect("it is added");
        assert!(matches!(
            users.add("ann", Role::Viewer, "correct horse battery"),
            Err(UserError::Taken)
        ));
        let check = |name, password| {
            users.check(name, password).expect("the file is there").map(|account| account.role)
        };
        assert_eq!(check("ann", "correct horse battery"), Some(Role::Reviewer));
        assert_eq!(check("ann", "correct horse batterx"), None);
        assert_eq!(check("bob", "correct horse battery"), None);
        let text = std::fs::read_to_string(users.file()).expect("it was written");
        assert!(text.contains("$argon2id$") && !text.contains("horse"));
        for private in [users.file(), &dir.path().join("deep")] {
            let permissions = std::fs::metadata(private).expect("it is there").permissions();
            let mode = std::os::unix::fs::PermissionsExt::mode(&permissions);
            assert_eq!(mode & 0o077, 0, "only its owner reads {}", private.display());
        }
        users.remove("ann").expect("she is there");
        assert!(matches!(users.remove("ann"), Err(UserError::Nobody)));
    }
}
