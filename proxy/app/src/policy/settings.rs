//! `policy` in server.yaml, and its arguments.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use policies_signed::PublicKey;
use proxy_stack::Afterwards;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

use super::source::{LIMITS, Settings};
use crate::config::read_key;
use crate::failure::Failure;
use crate::fetch::Document;

/// What decides unless a policy is named.
const POLICY: &str = "default";
/// How often a newer policy is looked for at a URL, in seconds.
const REFRESH: u64 = 60;
/// Where signed policies are kept, in the audit directory: it is there, durable, and only the guard's.
const KEPT_IN: &str = "policy";

/// Where the policy comes from.
#[derive(Debug)]
pub(crate) enum Origin {
    /// One that comes with the program, or a file; whether the file is watched.
    Named(String, bool),
    /// A signed file at a URL.
    Url(Box<Settings>),
}

/// `policy` in server.yaml: a file or a name, or a section.
#[derive(Debug, Default)]
pub(crate) struct PolicyFile(Section);

#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Section {
    /// A file, or the name of one that comes with the program.
    file: Option<String>,
    watch: Option<bool>,
    url: Option<String>,
    /// Public keys, or files with one.
    keys: Vec<String>,
    audience: Option<String>,
    min_serial: Option<u64>,
    on_expiry: Option<OnExpiry>,
    refresh_seconds: Option<u64>,
    state_dir: Option<PathBuf>,
    ca_file: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
enum OnExpiry {
    Keep,
    Block,
}

impl<'de> Deserialize<'de> for PolicyFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NameOrSection)
    }
}

struct NameOrSection;

impl<'de> Visitor<'de> for NameOrSection {
    type Value = PolicyFile;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a policy's file or name, or a section with `file` or `url`")
    }

    fn visit_str<E>(self, name: &str) -> Result<PolicyFile, E> {
        Ok(PolicyFile(Section { file: Some(name.to_owned()), ..Section::default() }))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<PolicyFile, A::Error> {
        Section::deserialize(MapAccessDeserializer::new(map)).map(PolicyFile)
    }
}

impl PolicyFile {
    /// The same; arguments win over it.
    pub(crate) fn with(self, policy: Option<&str>, keys: &[String]) -> Self {
        let mut section = self.0;
        match policy {
            Some(url) if is_url(url) => {
                section.url = Some(url.to_owned());
                section.file = None;
            }
            Some(name) => {
                let (file, watch) = (Some(name.to_owned()), section.watch);
                section = Section { file, watch, ..Section::default() };
            }
            None => {}
        }
        if !keys.is_empty() {
            section.keys = keys.to_vec();
        }
        Self(section)
    }

    /// Where the policy comes from; what was fetched is kept below `audit_dir` unless another place is named.
    pub(crate) fn origin(self, audit_dir: &Path) -> Result<Origin, Failure> {
        let usage = |text: &str| Err(Failure::Usage(format!("policy: {text}")));
        match (&self.0.file, &self.0.url) {
            (Some(_), Some(_)) => usage("say `file` or `url`, not both"),
            (None, Some(_)) if self.0.watch.is_some() => {
                usage("`watch` is for a `file`; how often a `url` is asked says `refresh_seconds`")
            }
            (None, Some(url)) => self.0.signed(url, audit_dir),
            (_, None) if self.0.is_about_a_url() => usage(
                "keys, audience, min_serial, on_expiry, refresh_seconds, state_dir and ca_file belong to a policy at a \
                 `url`: name it, or take them out",
            ),
            (file, None) => {
                let watched = self.0.watch.unwrap_or(true);
                Ok(Origin::Named(file.as_deref().unwrap_or(POLICY).to_owned(), watched))
            }
        }
    }
}

impl Section {
    const fn is_about_a_url(&self) -> bool {
        !self.keys.is_empty()
            || self.audience.is_some()
            || self.min_serial.is_some()
            || self.on_expiry.is_some()
            || self.refresh_seconds.is_some()
            || self.state_dir.is_some()
            || self.ca_file.is_some()
    }

    fn signed(&self, url: &str, audit_dir: &Path) -> Result<Origin, Failure> {
        if self.keys.is_empty() {
            return Err(Failure::Usage(
                "policy: a policy at a `url` needs `keys` that may sign it (--policy-key): `portcullis policy keygen` \
                 makes one"
                    .to_owned(),
            ));
        }
        let keys = self.keys.iter().map(|key| public_key(key)).collect::<Result<_, _>>()?;
        let afterwards = match self.on_expiry {
            None | Some(OnExpiry::Keep) => Afterwards::Keep,
            Some(OnExpiry::Block) => Afterwards::Block,
        };
        Ok(Origin::Url(Box::new(Settings {
            document: Document::at("policy: `url`", url, self.ca_file.clone(), LIMITS)?,
            keys,
            audience: self.audience.clone(),
            min_serial: self.min_serial.unwrap_or(0),
            afterwards,
            every: Duration::from_secs(self.refresh_seconds.unwrap_or(REFRESH).max(1)),
            dir: self.state_dir.clone().unwrap_or_else(|| audit_dir.join(KEPT_IN)),
        })))
    }
}

/// Whether `policy` is one at a URL.
pub(crate) fn is_url(policy: &str) -> bool {
    policy.starts_with("https://") || policy.starts_with("http://")
}

/// The public key that `text` is, or that stands in the file `text`.
pub(crate) fn public_key(text: &str) -> Result<PublicKey, Failure> {
    let written =
        if text.starts_with("ed25519:") { text.to_owned() } else { read_key(text.as_ref())? };
    written
        .parse()
        .map_err(|error| Failure::environment(format!("the key {text} cannot be used"), &error))
}
