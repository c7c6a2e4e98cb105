//! Callers' tokens: whom to believe, as `tokens` in server.yaml says, and where the issuers' keys come from.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use proxy_identity::{Issuer, Issuers, KeySet, Requirement, is_safe, well_known};
use serde::Deserialize;

use crate::failure::Failure;
use crate::provider::Fetcher;

/// How often an issuer's keys are fetched although nobody asks for new ones.
const REFRESH: u64 = 300;
/// How long keys are believed in although the issuer cannot be reached: over a weekend.
const KEEP: u64 = 3 * 24 * 60 * 60;
/// How often a file with keys is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Between two attempts after one that failed: at first, and at most.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// One of `tokens` in server.yaml.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TokenFile {
    /// What the issuer calls itself in `iss`.
    issuer: String,
    /// What its tokens for this guard say in `aud`: one of these.
    audiences: Vec<String>,
    /// Where its public keys are; without either, where the issuer says.
    jwks_url: Option<String>,
    jwks_file: Option<PathBuf>,
    /// Certificate authorities that it is trusted by, in place of the system's.
    ca_file: Option<PathBuf>,
    algorithms: Option<Vec<String>>,
    leeway_seconds: Option<u64>,
    /// What its tokens must say.
    #[serde(default)]
    require: BTreeMap<String, OneOf>,
    /// What a policy calls who holds a token that says so; the first counts.
    #[serde(default)]
    names: Vec<NameFile>,
    /// Whether the model server gets the token.
    #[serde(default)]
    forward: bool,
    refresh_seconds: Option<u64>,
    keep_seconds: Option<u64>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NameFile {
    name: String,
    when: BTreeMap<String, OneOf>,
}

/// A value, or several of which one will do.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum OneOf {
    One(String),
    Several(Vec<String>),
}

/// Issuers, and where the keys of each come from, in the same order.
#[derive(Debug)]
pub(crate) struct Tokens {
    pub(crate) issuers: Issuers,
    sources: Vec<Source>,
}

/// Where keys come from, and how often.
#[derive(Debug)]
struct Source {
    issuer: String,
    place: Place,
    every: Duration,
}

#[derive(Debug)]
enum Place {
    File(PathBuf),
    Url(String, Fetcher),
    /// Where the issuer says, asked anew each time.
    Discovered(Fetcher),
}

impl Tokens {
    /// What the file says, checked; nothing if it names no issuer. Keys in files are read.
    pub(crate) fn read(files: Vec<TokenFile>) -> Result<Option<Self>, Failure> {
        if files.is_empty() {
            return Ok(None);
        }
        let (mut issuers, mut sources) = (Vec::new(), Vec::new());
        for file in files {
            if sources.iter().any(|source: &Source| source.issuer == file.issuer) {
                return Err(Failure::Usage(format!("tokens: {} stands there twice", file.issuer)));
            }
            sources.push(Source::of(&file)?);
            issuers.push(file.checked()?);
        }
        let issuers = Issuers::new(issuers);
        for (number, source) in sources.iter().enumerate() {
            if let Place::File(_) = &source.place {
                issuers.learn(number, source.read()?);
            }
        }
        Ok(Some(Self { issuers, sources }))
    }

    /// Keeps the keys up to date until dropped.
    pub(crate) async fn follow(self) {
        let Self { issuers, sources } = self;
        let each =
            sources.iter().enumerate().map(|(number, source)| source.follow(number, &issuers));
        futures_util::future::join_all(each).await;
    }

    /// Fetches the keys of each issuer once: how many there are, or why not.
    pub(crate) async fn try_each(&self) -> Vec<(&str, Result<usize, Failure>)> {
        let each = self
            .sources
            .iter()
            .map(|source| async { (&*source.issuer, source.fetch().await.map(|keys| keys.len())) });
        futures_util::future::join_all(each).await
    }
}

impl TokenFile {
    fn checked(self) -> Result<(Issuer, Option<Duration>), Failure> {
        let wrong = |error: proxy_identity::Unusable| {
            Failure::Usage(format!("tokens: {}: {error}", self.issuer))
        };
        let mut issuer = Issuer::new(self.issuer.clone(), self.audiences.clone()).map_err(wrong)?;
        if let Some(algorithms) = &self.algorithms {
            issuer = issuer.signed_by(algorithms).map_err(wrong)?;
        }
        if let Some(seconds) = self.leeway_seconds {
            issuer = issuer.leeway(Duration::from_secs(seconds)).map_err(wrong)?;
        }
        let names = self.names.into_iter().map(|file| (file.name, requirements(file.when)));
        let issuer = issuer
            .requiring(requirements(self.require))
            .naming(names.collect())
            .forwarding(self.forward);
        let keep = Duration::from_secs(self.keep_seconds.unwrap_or(KEEP));
        Ok((issuer, self.jwks_file.is_none().then_some(keep)))
    }
}

/// What `when` says, to be true all at once.
pub(crate) fn requirements(when: BTreeMap<String, OneOf>) -> Vec<Requirement> {
    let each = when.into_iter().map(|(claim, value)| match value {
        OneOf::One(value) => Requirement::new(claim, [value]),
        OneOf::Several(values) => Requirement::new(claim, values),
    });
    each.collect()
}

impl Source {
    fn of(file: &TokenFile) -> Result<Self, Failure> {
        let every = Duration::from_secs(file.refresh_seconds.unwrap_or(REFRESH).max(1));
        let wrong = |why: &str| Failure::Usage(format!("tokens: {}: {why}", file.issuer));
        let fetcher = |url: &str| Fetcher::new("tokens", file.ca_file.as_deref(), url);
        let (place, every) = match (&file.jwks_url, &file.jwks_file) {
            (None, Some(path)) => (Place::File(path.clone()), LOOK_EVERY),
            // Whoever can change the keys on their way is believed like the issuer.
            (Some(url), None) if is_safe(url) => (Place::Url(url.clone(), fetcher(url)?), every),
            (None, None) if well_known(&file.issuer).is_some() => {
                (Place::Discovered(fetcher(&file.issuer)?), every)
            }
            (Some(_), None) => {
                return Err(wrong("`jwks_url` must begin with https://, or be on this machine"));
            }
            (None, None) => {
                return Err(wrong(
                    "it is no https address that could be asked for its keys: say where they are, by `jwks_url` or \
                     `jwks_file`",
                ));
            }
            (Some(_), Some(_)) => {
                return Err(wrong("its public keys are in one place: `jwks_url` or `jwks_file`"));
            }
        };
        Ok(Self { issuer: file.issuer.clone(), place, every })
    }

    /// Keeps the keys of issuer `number` up to date.
    async fn follow(&self, number: usize, issuers: &Issuers) {
        let mut pause = PAUSE.0;
        let mut well = true;
        loop {
            issuers.asks(number);
            let next = match self.fetch().await {
                Ok(keys) => {
                    if !well {
                        tracing::info!(
                            issuer = self.issuer,
                            keys = keys.len(),
                            "the issuer's keys are known again"
                        );
                    }
                    issuers.learn(number, keys);
                    (well, pause) = (true, PAUSE.0);
                    self.every
                }
                Err(failure) => {
                    // Said once, not for each attempt.
                    if well {
                        tracing::warn!(issuer = self.issuer, %failure, "the keys of an issuer of tokens cannot be had; those known before are used for a while");
                    }
                    well = false;
                    pause = PAUSE.1.min(pause * 2);
                    pause / 2
                }
            };
            tokio::select! {
                () = tokio::time::sleep(next) => {}
                () = issuers.wants(number) => {}
            }
        }
    }

    async fn fetch(&self) -> Result<KeySet, Failure> {
        match &self.place {
            Place::File(_) => self.read(),
            Place::Url(url, fetcher) => fetcher.keys(url).await,
            Place::Discovered(fetcher) => {
                let provider = fetcher.discover(&self.issuer).await?;
                fetcher.keys(&provider.jwks_uri).await
            }
        }
    }

    /// The keys in a file.
    fn read(&self) -> Result<KeySet, Failure> {
        let Place::File(path) = &self.place else { return Ok(KeySet::default()) };
        let failed = |error: &(dyn std::error::Error + 'static)| {
            Failure::environment(format!("{} cannot be used", path.display()), error)
        };
        let bytes = std::fs::read(path).map_err(|error| failed(&error))?;
        KeySet::parse(&bytes).map_err(|error| failed(&error))
    }
}
