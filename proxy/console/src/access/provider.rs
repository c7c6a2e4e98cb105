//! Logging in by a provider of identities: what the page needs of one, and which logins are under way.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use data_encoding::BASE64URL_NOPAD;

use super::{Role, token};

/// How long somebody may take to log in at the provider.
pub(crate) const LOGIN_TIME: Duration = Duration::from_secs(10 * 60);
/// Logins that came back within that time and are remembered, so that none does twice. Beyond that nobody logs in until
/// some are forgotten.
const REMEMBERED: usize = 10_000;

/// A provider of identities (OpenID Connect). What is asked of it may take seconds, and it is asked on a thread that may
/// wait.
pub trait Provider: fmt::Debug + Send + Sync {
    /// What people know it by: its host.
    fn host(&self) -> &str;

    /// Where a browser goes to log in.
    ///
    /// # Errors
    /// When the provider cannot be asked.
    fn ask(&self, login: &Login) -> Result<String, Refusal>;

    /// Who came back from `login` with what the provider gave them.
    ///
    /// # Errors
    /// When that proves nothing, or nothing that lets them in.
    fn redeem(&self, brought: &Brought, login: &Login) -> Result<Person, Refusal>;

    /// Where a browser goes to log out there too.
    fn leave(&self) -> Option<String>;
}

/// How people log in by a provider.
#[derive(Clone, Debug)]
pub struct SignIn {
    /// Who says who they are.
    pub provider: Arc<dyn Provider>,
    /// How browsers call this console where they come back to it: `https://review.example.com`.
    pub origin: String,
    /// After how long a session is over, however busy; never longer than one of a local user.
    pub longest: Duration,
}

/// Where people come back to, at the console's origin.
pub const CALLBACK: &str = "/login/callback";

/// Secrets of one login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// Comes back with the browser.
    pub state: String,
    /// Comes back in the ID token.
    pub nonce: String,
    /// Proves to the provider that whoever redeems a code has begun the login (PKCE).
    pub verifier: String,
}

/// What somebody brought back from the provider.
#[derive(Clone, Debug)]
pub struct Brought {
    /// Stands for tokens.
    pub code: String,
    /// Who says that it has given it (RFC 9207).
    pub issuer: Option<String>,
}

/// Somebody whom the provider knows and who may come in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// What they are called in records: no local user has such a name.
    pub name: String,
    /// What the provider calls them for ever.
    pub subject: String,
    /// What they may do.
    pub role: Role,
}

/// Why somebody who came by the provider is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// This browser has begun no such login, or too long ago, or it was over already.
    Stale,
    /// The provider has not logged them in.
    Denied,
    /// The provider cannot be asked, or answers in a way that makes no sense.
    Provider,
    /// What came back proves nothing.
    Unproven,
    /// They have no name that can stand in records.
    Unnamed,
    /// Nothing that the provider says of them gives them a role.
    NoRole,
}

impl Refused {
    /// A stable code for records and the page.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Stale => "stale",
            Self::Denied => "denied",
            Self::Provider => "provider",
            Self::Unproven => "unproven",
            Self::Unnamed => "unnamed",
            Self::NoRole => "no_role",
        }
    }
}

/// A refusal, with what whoever runs the console needs to know besides.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// Why.
    pub why: Refused,
    /// More of that, in words; repeats nothing that strangers can choose.
    pub detail: String,
}

impl Refusal {
    /// A refusal.
    #[must_use]
    pub fn new(why: Refused, detail: impl Into<String>) -> Self {
        Self { why, detail: detail.into() }
    }
}

/// Logins that have begun and not come back. Nothing is kept of them here, so nobody can begin so many that others
/// cannot: the browser keeps what all secrets of a login are made from with a key that only this process has.
#[derive(Debug, Default)]
pub(crate) struct Logins {
    key: OnceLock<[u8; blake3::KEY_LEN]>,
    /// Times in cookies count from here.
    start: OnceLock<Instant>,
    /// Those that came back, and when they may be forgotten.
    over: Mutex<HashMap<blake3::Hash, Instant>>,
}

impl Logins {
    /// Begins a login: what the browser keeps, and its secrets.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub(crate) fn begin(&self, now: Instant) -> Result<(String, Login), getrandom::Error> {
        if self.key.get().is_none() {
            let mut key = [0; blake3::KEY_LEN];
            getrandom::fill(&mut key)?;
            // Where two begin at a time, both take the key of whoever was first.
            self.key.get_or_init(|| key);
        }
        let until = now.duration_since(*self.start.get_or_init(|| now)) + LOGIN_TIME;
        let seed = format!("{}.{}", until.as_secs(), token::new()?);
        let login = self.login(&seed);
        Ok((format!("{seed}.{}", self.secret("cookie", &seed)), login))
    }

    /// The login that `cookie` was kept for and that comes back with `state`: once.
    ///
    /// # Errors
    /// In words, why there is none.
    pub(crate) fn end(
        &self,
        cookie: &str,
        state: &str,
        now: Instant,
    ) -> Result<Login, &'static str> {
        let (Some((seed, mark)), Some(start)) = (cookie.rsplit_once('.'), self.start.get()) else {
            return Err("no login of this browser is under way");
        };
        if !token::same(mark, &self.secret("cookie", seed)) {
            return Err("no login of this browser is under way");
        }
        let until = seed.split('.').next().and_then(|seconds| seconds.parse().ok());
        let until = *start + Duration::from_secs(until.unwrap_or_default());
        if now >= until {
            return Err("the login took too long");
        }
        let login = self.login(seed);
        if !token::same(state, &login.state) {
            return Err("the login is not the one that this browser has begun");
        }
        let mut over = self.over.lock().unwrap_or_else(PoisonError::into_inner);
        over.retain(|_, until| now < *until);
        if over.len() >= REMEMBERED {
            return Err("too many have come back in the last minutes");
        }
        match over.insert(blake3::hash(seed.as_bytes()), until) {
            None => Ok(login),
            Some(_) => Err("the login has come back before"),
        }
    }

    fn login(&self, seed: &str) -> Login {
        let [state, nonce, verifier] =
            ["state", "nonce", "verifier"].map(|name| self.secret(name, seed));
        Login { state, nonce, verifier }
    }

    /// Nobody can make it who has not the key, nor from another one.
    fn secret(&self, name: &str, seed: &str) -> String {
        let mut hasher = blake3::Hasher::new_keyed(self.key.get().unwrap_or(&[0; blake3::KEY_LEN]));
        hasher.update(name.as_bytes()).update(b":").update(seed.as_bytes());
        BASE64URL_NOPAD.encode(hasher.finalize().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_comes_back_once_in_time_and_to_the_browser_that_began_it() {
        let (logins, start) = (Logins::default(), Instant::now());
        let later = |seconds: u64| start + Duration::from_secs(seconds);
        assert!(logins.end("1.a.b", "", start).is_err(), "nobody has begun any");
        let (cookie, login) = logins.begin(start).expect("random numbers");
        let (other, another) = logins.begin(later(60)).expect("random numbers");
        let secrets = [&login.state, &login.nonce, &login.verifier, &another.state];
        for (n, secret) in secrets.iter().enumerate() {
            assert_eq!(secret.len(), 43);
            assert!(!cookie.contains(*secret) && !secrets[n + 1..].contains(secret));
        }
        let (longer, mark) = cookie.rsplit_once('.').expect("parts");
        let longer = format!("9{longer}.{mark}");
        for (cookie, state) in [
            ("", &*login.state),
            ("1", &login.state),
            (&longer, &login.state),
            (&other, &login.state),
            (&cookie, &another.state),
            (&cookie, ""),
            (&Logins::default().begin(start).expect("random numbers").0, &login.state),
        ] {
            assert!(logins.end(cookie, state, later(1)).is_err(), "{cookie} {state}");
        }
        assert!(logins.end(&cookie, &login.state, later(600)).is_err(), "too late");
        assert_eq!(logins.end(&cookie, &login.state, later(599)), Ok(login.clone()));
        assert!(logins.end(&cookie, &login.state, later(599)).is_err(), "twice");
        assert_eq!(logins.end(&other, &another.state, later(659)), Ok(another));
    }
}
