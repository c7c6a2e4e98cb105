//! Who is logged in. Sessions are in memory: a restart ends them.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{Account, Role, token};

/// A session that nothing was asked in for so long is over.
const IDLE: Duration = Duration::from_secs(30 * 60);
/// A session is over after a working day, however busy.
const LONGEST: Duration = Duration::from_secs(10 * 3600);
/// Sessions of one user at a time; the oldest makes room.
const EACH: usize = 10;

/// Who says what somebody who is logged in may do.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Whose {
    /// The users' file, of this account there.
    Local(Account),
    /// A provider has, for as long as the session lasts: so much at most.
    Provider(Role, Duration),
}

/// Somebody who is logged in.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    /// Who.
    pub(crate) user: String,
    pub(crate) whose: Whose,
    /// What the page sends along with whatever changes something.
    pub(crate) csrf: String,
    began: Instant,
    seen: Instant,
}

impl Session {
    /// Whether `csrf` is what the page of this session was given.
    pub(crate) fn is_from_page(&self, csrf: &str) -> bool {
        token::same(&self.csrf, csrf)
    }

    fn is_over(&self, now: Instant) -> bool {
        let longest = match self.whose {
            Whose::Local(_) => LONGEST,
            Whose::Provider(_, longest) => longest.min(LONGEST),
        };
        now.duration_since(self.seen) > IDLE || now.duration_since(self.began) > longest
    }
}

/// Every session, by the hash of its token: who reads this memory cannot log in with it.
#[derive(Debug, Default)]
pub(crate) struct Sessions(Mutex<HashMap<blake3::Hash, Session>>);

impl Sessions {
    /// Begins a session of `user`; returns its token, and the session.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub(crate) fn begin(
        &self,
        user: &str,
        whose: Whose,
        now: Instant,
    ) -> Result<(String, Session), getrandom::Error> {
        let (token, csrf) = (token::new()?, token::new()?);
        let session = Session { user: user.to_owned(), whose, csrf, began: now, seen: now };
        let mut sessions = self.lock();
        sessions.retain(|_, session| !session.is_over(now));
        make_room(&mut sessions, &session.user);
        sessions.insert(blake3::hash(token.as_bytes()), session.clone());
        Ok((token, session))
    }

    /// The session of `token`. It goes on by being asked for, if `go_on`.
    pub(crate) fn find(&self, token: &str, now: Instant, go_on: bool) -> Option<Session> {
        let mut sessions = self.lock();
        let name = blake3::hash(token.as_bytes());
        let session = sessions.get_mut(&name)?;
        if session.is_over(now) {
            sessions.remove(&name);
            return None;
        }
        if go_on {
            session.seen = now;
        }
        Some(session.clone())
    }

    /// Ends the session of `token`.
    pub(crate) fn end(&self, token: &str) {
        self.lock().remove(&blake3::hash(token.as_bytes()));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<blake3::Hash, Session>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn make_room(sessions: &mut HashMap<blake3::Hash, Session>, user: &str) {
    let mine = || sessions.iter().filter(|(_, session)| session.user == user);
    if mine().count() < EACH {
        return;
    }
    let oldest = mine().min_by_key(|(_, session)| session.seen).map(|(name, _)| *name);
    if let Some(oldest) = oldest {
        sessions.remove(&oldest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local() -> Whose {
        Whose::Local(Account { role: Role::Viewer, mark: blake3::hash(b"a password") })
    }

    #[test]
    fn a_session_ends_when_idle_when_old_and_when_told() {
        let (sessions, start) = (Sessions::default(), Instant::now());
        let (token, session) = sessions.begin("ann", local(), start).expect("random numbers");
        assert!(session.is_from_page(&session.csrf) && !session.is_from_page(""));
        assert_ne!(token, session.csrf);
        let later = |minutes: u64| start + Duration::from_secs(minutes * 60);
        for minutes in (20..=600).step_by(20) {
            assert!(
                sessions.find(&token, later(minutes), true).is_some(),
                "busy after {minutes} minutes"
            );
        }
        assert!(sessions.find(&token, later(601), true).is_none(), "too old");
        let (token, _) = sessions.begin("ann", local(), start).expect("random numbers");
        assert!(sessions.find(&token, later(31), true).is_none(), "idle");
        let (token, _) = sessions.begin("ann", local(), start).expect("random numbers");
        assert!(sessions.find(&token, later(29), false).is_some());
        assert!(
            sessions.find(&token, later(31), true).is_none(),
            "a page alone keeps nothing alive"
        );
        let (token, _) = sessions.begin("ann", local(), start).expect("random numbers");
        sessions.end(&token);
        assert!(sessions.find(&token, start, true).is_none(), "ended");
        for (longest, minutes) in [(20, 20), (2_000, 600)] {
            let whose = Whose::Provider(Role::Viewer, Duration::from_secs(longest * 60));
            let (token, _) = sessions.begin("ann", whose, start).expect("random numbers");
            for minutes in (0..=minutes).step_by(20) {
                assert!(sessions.find(&token, later(minutes), true).is_some(), "{minutes}");
            }
            assert!(sessions.find(&token, later(minutes + 1), true).is_none(), "{longest}");
        }
    }

    #[test]
    fn nobody_has_sessions_without_number() {
        let (sessions, start) = (Sessions::default(), Instant::now());
        let tokens: Vec<String> = (0..30)
            .map(|second| {
                let now = start + Duration::from_secs(second);
                sessions.begin("ann", local(), now).expect("random numbers").0
            })
            .collect();
        let open =
            tokens.iter().filter(|token| sessions.find(token, start, true).is_some()).count();
        assert_eq!(open, EACH);
    }
}
