//! All issuers, with their keys of the moment.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use jsonwebtoken::dangerous::insecure_decode_claims;
use jsonwebtoken::{Header, decode_header};
use serde::Deserialize;
use tokio::sync::Notify;

use crate::fault::Fault;
use crate::issuer::{Identity, Issuer};
use crate::keys::KeySet;

/// Between two attempts to fetch an issuer's keys because a token names a key that is not known: anybody can make up
/// such a token.
const PAUSE: Duration = Duration::from_secs(10);

/// Whom to believe. A handle: copies share the keys.
#[derive(Clone, Debug)]
pub struct Issuers {
    all: Arc<[Known]>,
}

#[derive(Debug)]
struct Known {
    issuer: Issuer,
    /// How long keys are believed in without news.
    keep: Option<Duration>,
    keys: ArcSwapOption<Keys>,
    /// When keys were asked for last.
    asked: Mutex<Option<Instant>>,
    wanted: Notify,
}

#[derive(Debug)]
struct Keys {
    set: KeySet,
    since: Instant,
}

impl Issuers {
    /// These, without keys so far; each with how long its keys are believed in without news, if not for ever.
    pub fn new(issuers: impl IntoIterator<Item = (Issuer, Option<Duration>)>) -> Self {
        let known = |(issuer, keep)| Known {
            issuer,
            keep,
            keys: ArcSwapOption::empty(),
            asked: Mutex::new(None),
            wanted: Notify::new(),
        };
        Self { all: issuers.into_iter().map(known).collect() }
    }

    /// Whether a bearer's credential is one of the tokens that are judged here, rather than a key.
    #[must_use]
    pub fn is_token(credential: &str) -> bool {
        // The first part is JSON in Base64.
        credential.starts_with("eyJ") && credential.split('.').count() == 3
    }

    /// Who holds `token`.
    ///
    /// # Errors
    /// When it does not prove that.
    pub fn judge(&self, token: &str) -> Result<Identity, Fault> {
        #[derive(Deserialize)]
        struct Says {
            iss: String,
        }
        let header = header(token)?;
        // Says only whose keys to try; what it says is proved with these.
        let said: Says = insecure_decode_claims(token).map_err(|_| Fault::Claims)?;
        let mut all = self.all.iter();
        let known = all.find(|known| known.issuer.name() == said.iss).ok_or(Fault::Issuer)?;
        known.issuer.accepts(&header)?;
        let keys = known.keys().ok_or(Fault::NoKeys)?;
        match known.issuer.prove(token, &header, &keys.set) {
            Err(Fault::UnknownKey) if known.may_have_news() => {
                known.wanted.notify_one();
                Err(Fault::NoKeys)
            }
            result => result,
        }
    }

    /// Whether the keys of every issuer have been known at some time.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.all.iter().all(|known| known.keys.load().is_some())
    }

    /// How many keys each issuer has, by its name.
    pub fn counts(&self) -> impl Iterator<Item = (&str, usize)> {
        self.all
            .iter()
            .map(|known| (known.issuer.name(), known.keys().map_or(0, |keys| keys.set.len())))
    }

    /// Ends when somebody has come with a token that the keys of issuer `number` say nothing about.
    pub async fn wants(&self, number: usize) {
        match self.all.get(number) {
            Some(known) => known.wanted.notified().await,
            None => std::future::pending().await,
        }
    }

    /// The keys of issuer `number` are being asked for, now.
    pub fn asks(&self, number: usize) {
        if let Some(known) = self.all.get(number) {
            *known.asked() = Some(Instant::now());
        }
    }

    /// From now on these are the keys of issuer `number`.
    pub fn learn(&self, number: usize, set: KeySet) {
        if let Some(known) = self.all.get(number) {
            known.keys.store(Some(Arc::new(Keys { set, since: Instant::now() })));
        }
    }
}

impl Known {
    /// The keys, if they are believed in.
    fn keys(&self) -> Option<Arc<Keys>> {
        let young = |keys: &Arc<Keys>| self.keep.is_none_or(|keep| keys.since.elapsed() < keep);
        self.keys.load_full().filter(young)
    }

    /// Whether it pays to ask for the keys again.
    fn may_have_news(&self) -> bool {
        self.asked().is_none_or(|asked| asked.elapsed() >= PAUSE)
    }

    fn asked(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How a token says it is signed.
pub(crate) fn header(token: &str) -> Result<Header, Fault> {
    decode_header(token).map_err(|error| match Fault::from(error) {
        // An algorithm that the library does not know cannot be read.
        Fault::Malformed if is_json(token) => Fault::Algorithm,
        fault => fault,
    })
}

/// Whether the header of a token is JSON at all: then what is wrong is what it says.
fn is_json(token: &str) -> bool {
    #[derive(Deserialize)]
    struct Says {
        #[serde(rename = "alg")]
        _algorithm: String,
    }
    // The library has no way to read a header alone: as claims of a token it can be read.
    let Some((header, _)) = token.split_once('.') else { return false };
    insecure_decode_claims::<Says>(format!("e30.{header}.")).is_ok()
}
