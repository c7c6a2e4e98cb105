//! Limits that are counted together with other guards: how arguments and `server.yaml` say where.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use http::Uri;
use proxy_stack::{SharedLimits, SharedSettings, Without};
use serde::Deserialize;

use crate::config::read_key;
use crate::failure::Failure;
use crate::tls::UpstreamTls;

/// Before every key, so that others may use the server too.
const PREFIX: &str = "portcullis";
/// How long a request waits: many times what a server on the same network takes.
const TIMEOUT: Duration = Duration::from_millis(50);
/// Nobody waits longer for permission to ask.
const TIMEOUTS: std::ops::RangeInclusive<u64> = 1..=1_000;
/// Where such servers listen unless said.
const PORT: u16 = 6379;

/// Where limits are shared.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct SharedArgs {
    /// Count what callers use together with other guards, in this Redis or Valkey: redis://host:6379, rediss://
    /// for TLS
    ///
    /// The limits are the policy's. Without the server each guard gives its part of them; see docs/running.md.
    #[arg(long, value_name = "URL", env = "PORTCULLIS_SHARED_LIMITS")]
    pub(crate) shared_limits: Option<String>,
    /// Holds the password for it
    #[arg(long, value_name = "FILE", env = "PORTCULLIS_SHARED_LIMITS_PASSWORD_FILE")]
    pub(crate) shared_limits_password_file: Option<PathBuf>,
}

/// `shared_limits` in server.yaml.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SharedFile {
    url: Option<String>,
    username: Option<String>,
    password_file: Option<PathBuf>,
    /// Certificate authorities that it is trusted by, in place of the system's.
    ca_file: Option<PathBuf>,
    /// The certificate that it knows us by, and its key.
    cert_file: Option<PathBuf>,
    cert_key_file: Option<PathBuf>,
    /// Before every key; guards with the same one count together.
    prefix: Option<String>,
    timeout_ms: Option<u64>,
    /// How many guards there are, until they have been counted.
    guards: Option<NonZeroU32>,
    /// What happens without the server.
    on_failure: OnFailure,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum OnFailure {
    #[default]
    Share,
    Refuse,
}

impl SharedArgs {
    /// The limits that are shared, if they are; arguments win over the file. Nobody is asked yet.
    pub(crate) fn limits(&self, file: Option<SharedFile>) -> Result<Option<SharedLimits>, Failure> {
        let given = file.is_some();
        let mut file = file.unwrap_or_default();
        file.url = self.shared_limits.clone().or(file.url);
        if self.shared_limits_password_file.is_some() {
            file.password_file.clone_from(&self.shared_limits_password_file);
        }
        match file.url.take() {
            Some(url) => file.limits(&url).map(Some),
            None if given => Err(Failure::Usage("shared_limits: `url` is missing".to_owned())),
            None => Ok(None),
        }
    }
}

impl SharedFile {
    fn limits(self, url: &str) -> Result<SharedLimits, Failure> {
        let Place { server, tls, database } = place(url)?;
        let timeout = match self.timeout_ms {
            None => TIMEOUT,
            Some(ms) if TIMEOUTS.contains(&ms) => Duration::from_millis(ms),
            Some(_) => {
                return Err(Failure::Usage(format!(
                    "shared_limits: `timeout_ms` must be from {} to {}",
                    TIMEOUTS.start(),
                    TIMEOUTS.end()
                )));
            }
        };
        let own =
            UpstreamTls::new("shared_limits", self.ca_file, (self.cert_file, self.cert_key_file))?;
        if !tls && (own.ca_file.is_some() || own.identity.is_some()) {
            return Err(Failure::Usage(
                "shared_limits: certificates need TLS: write rediss:// in `url`".to_owned(),
            ));
        }
        let network = own.connector_to(&server.to_string())?;
        let settings = SharedSettings {
            server,
            database,
            username: self.username,
            password: self.password_file.as_deref().map(read_key).transpose()?.map(Into::into),
            prefix: self.prefix.unwrap_or_else(|| PREFIX.to_owned()),
            timeout,
            guards: self.guards.unwrap_or(NonZeroU32::MIN),
            without: match self.on_failure {
                OnFailure::Share => Without::Share,
                OnFailure::Refuse => Without::Refuse,
            },
        };
        Ok(SharedLimits::new(settings, network))
    }
}

/// What a URL says.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    server: Uri,
    tls: bool,
    database: u16,
}

fn place(url: &str) -> Result<Place, Failure> {
    let wrong = || {
        Failure::Usage(
            "shared limits: not a URL like redis://127.0.0.1:6379 or rediss://redis.example.com/2"
                .to_owned(),
        )
    };
    let uri: Uri = url.parse().map_err(|_| wrong())?;
    let tls = match uri.scheme_str() {
        Some("redis" | "valkey") => false,
        Some("rediss" | "valkeys") => true,
        _ => return Err(wrong()),
    };
    let authority = uri.authority().ok_or_else(wrong)?;
    if authority.as_str().contains('@') {
        return Err(Failure::Usage(
            "shared limits: the URL must not hold a user name or password, which everybody on this machine could see: \
             say `username` and `password_file` in server.yaml, or --shared-limits-password-file"
                .to_owned(),
        ));
    }
    let database = match uri.path().trim_matches('/') {
        "" => 0,
        number => number.parse().map_err(|_| wrong())?,
    };
    if uri.query().is_some() {
        return Err(wrong());
    }
    let port = authority.port_u16().unwrap_or(PORT);
    let server = Uri::builder()
        .scheme(if tls { "https" } else { "http" })
        .authority(format!("{}:{port}", authority.host()))
        .path_and_query("/")
        .build()
        .map_err(|_| wrong())?;
    Ok(Place { server, tls, database })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_where_and_holds_no_secret() {
        let at = |url: &str| {
            let Place { server, tls, database } = place(url).unwrap();
            (server.to_string(), tls, database)
        };
        assert_eq!(at("redis://a"), ("http://a:6379/".to_owned(), false, 0));
        assert_eq!(at("rediss://a.b:7/3"), ("https://a.b:7/".to_owned(), true, 3));
        assert_eq!(at("valkey://[::1]:7/"), ("http://[::1]:7/".to_owned(), false, 0));
        for url in ["a:6379", "http://a", "redis:///1", "redis://a/x", "redis://a?b=c", ""] {
            assert!(place(url).is_err(), "{url}");
        }
        let Err(Failure::Usage(why)) = place("redis://:geheim@a") else {
            panic!("a password passes")
        };
        assert!(why.contains("password_file") && !why.contains("geheim"), "{why}");
    }
}
