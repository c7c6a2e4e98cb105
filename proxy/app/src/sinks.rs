//! Where the audit log is sent on to: `audit: { sinks: ... }` in server.yaml.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use proxy_audit::Journal;
use proxy_sinks::{Bucket, BucketSettings, Login, Nats, NatsSettings, Secret, Sink, Target};
use rustls::{ClientConfig, RootCertStore};
use serde::Deserialize;

use crate::config::Config;
use crate::failure::Failure;
use crate::tls::UpstreamTls;

/// What the guard publishes to unless said.
const SUBJECT: &str = "portcullis.audit";
/// How often the end of the log is copied unless said: what may be lost with this machine's disk.
const TAIL: Duration = Duration::from_secs(60);
/// How long the last records may take to be sent when the server stops.
const LAST: Duration = Duration::from_secs(5);

/// `sinks` of `audit` in server.yaml.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SinksFile {
    /// A JetStream subject.
    nats: Option<NatsFile>,
    /// A bucket.
    object_store: Option<BucketFile>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NatsFile {
    /// The servers of one cluster: tls://nats.example.com:4222.
    urls: Vec<String>,
    subject: Option<String>,
    /// A `.creds` file.
    credentials_file: Option<PathBuf>,
    username: Option<String>,
    password_file: Option<PathBuf>,
    password_env: Option<String>,
    token_file: Option<PathBuf>,
    token_env: Option<String>,
    /// Certificate authorities that servers are trusted by, in place of the system's.
    ca_file: Option<PathBuf>,
    /// The certificate that they know us by, and its key.
    cert_file: Option<PathBuf>,
    cert_key_file: Option<PathBuf>,
    /// Whether records may cross the network as they are.
    #[serde(default)]
    unencrypted: bool,
}

/// A folder of an object store.
#[derive(Clone, Debug, Deserialize, clap::Args)]
#[serde(deny_unknown_fields)]
pub(crate) struct BucketFile {
    /// The folder: s3://bucket/folder
    pub(crate) url: String,
    /// A server other than AWS, such as https://s3.example.com:9000
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// Where AWS has the bucket
    #[arg(long, value_name = "NAME")]
    region: Option<String>,
    /// An access key's id and its secret, in place of what the environment and the machine have.
    #[arg(skip)]
    access_key_id_file: Option<PathBuf>,
    #[arg(skip)]
    secret_access_key_file: Option<PathBuf>,
    /// Certificate authorities that the server is trusted by, in place of the system's
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// The certificate that it knows us by, and its key.
    #[arg(skip)]
    cert_file: Option<PathBuf>,
    #[arg(skip)]
    cert_key_file: Option<PathBuf>,
    /// Let records cross the network as they are
    #[arg(long)]
    #[serde(default)]
    unencrypted: bool,
    #[arg(skip)]
    tail_seconds: Option<u64>,
}

impl SinksFile {
    /// What the file says, checked; nobody is asked yet.
    pub(crate) fn targets(self, instance: &str) -> Result<Vec<Target>, Failure> {
        let nats = self.nats.map(|file| file.checked(instance)).transpose()?.map(Target::from);
        let bucket = self.object_store.map(|file| file.checked("audit: sinks: object_store"));
        let bucket = bucket.transpose()?.map(Target::from);
        Ok(nats.into_iter().chain(bucket).collect())
    }
}

impl BucketFile {
    /// What is said in `place`, checked; nobody is asked yet.
    pub(crate) fn checked(self, place: &str) -> Result<Bucket, Failure> {
        let usage = |why: String| Failure::Usage(format!("{place}: {why}"));
        let login = match (self.access_key_id_file, self.secret_access_key_file) {
            (Some(id), Some(secret)) => Some((Secret::File(id), Secret::File(secret))),
            (None, None) => None,
            _ => {
                let why = "`access_key_id_file` and `secret_access_key_file` belong together";
                return Err(usage(why.to_owned()));
            }
        };
        let tail_every = self.tail_seconds.map_or(TAIL, Duration::from_secs);
        if tail_every.is_zero() {
            return Err(usage("`tail_seconds` is at least 1".to_owned()));
        }
        let own = UpstreamTls::new(place, self.ca_file, (self.cert_file, self.cert_key_file))?;
        let tls = classifiers_remote::client_tls(own.ca_file.as_deref(), own.identity.as_ref());
        let tls = tls.map_err(|error| {
            Failure::environment("the object store cannot be reached by TLS", &error)
        })?;
        let (url, endpoint, region) = (self.url, self.endpoint, self.region);
        let unencrypted = self.unencrypted;
        let settings =
            BucketSettings { url, endpoint, region, login, tls, unencrypted, tail_every };
        Bucket::new(settings).map_err(|error| usage(error.to_string()))
    }
}

impl NatsFile {
    fn checked(mut self, instance: &str) -> Result<Nats, Failure> {
        let login = self.login()?;
        login.check().map_err(|error| Failure::environment("audit: sinks: nats", &error))?;
        let settings = NatsSettings {
            subject: self.subject.take().unwrap_or_else(|| SUBJECT.to_owned()),
            login,
            unencrypted: self.unencrypted,
            instance: instance.to_owned(),
            servers: self.urls.clone(),
            tls: self.tls()?,
        };
        Nats::new(settings).map_err(|error| Failure::Usage(format!("audit: sinks: nats: {error}")))
    }

    fn login(&mut self) -> Result<Login, Failure> {
        let password = secret(self.password_file.take(), self.password_env.take(), "password")?;
        let token = secret(self.token_file.take(), self.token_env.take(), "token")?;
        match (self.credentials_file.take(), self.username.take(), password, token) {
            (None, None, None, None) => Ok(Login::Nobody),
            (Some(file), None, None, None) => Ok(Login::Credentials(file)),
            (None, Some(name), Some(password), None) => Ok(Login::User(name, password)),
            (None, None, None, Some(token)) => Ok(Login::Token(token)),
            _ => Err(Failure::Usage(
                "audit: sinks: nats: log in by `credentials_file`, by `username` with `password_file` or `password_env`, \
                 or by `token_file` or `token_env`"
                    .to_owned(),
            )),
        }
    }

    fn tls(self) -> Result<ClientConfig, Failure> {
        let own = UpstreamTls::new(
            "audit: sinks: nats",
            self.ca_file,
            (self.cert_file, self.cert_key_file),
        )?;
        let plain = self.urls.iter().all(|url| !url.starts_with("tls:"));
        if plain && own.ca_file.is_none() && own.identity.is_none() {
            let builder = ClientConfig::builder().with_root_certificates(RootCertStore::empty());
            return Ok(builder.with_no_client_auth());
        }
        classifiers_remote::client_tls(own.ca_file.as_deref(), own.identity.as_ref())
            .map_err(|error| Failure::environment("NATS cannot be reached by TLS", &error))
    }
}

fn secret(
    file: Option<PathBuf>,
    variable: Option<String>,
    what: &str,
) -> Result<Option<Secret>, Failure> {
    match (file, variable) {
        (None, None) => Ok(None),
        (Some(file), None) => Ok(Some(Secret::File(file))),
        (None, Some(name)) => Ok(Some(Secret::Variable(name))),
        (Some(_), Some(_)) => Err(Failure::Usage(format!(
            "audit: sinks: nats: the {what} is either in `{what}_file` or in `{what}_env`"
        ))),
    }
}

/// Begins to send the log on, where it is to be.
pub(crate) fn start(config: &mut Config, journal: &Arc<Journal>) -> Result<Vec<Sink>, Failure> {
    let targets = std::mem::take(&mut config.sinks).into_iter();
    let sinks = targets.map(|target| Sink::start(&config.audit_dir, Arc::clone(journal), target));
    let sinks = sinks.collect::<Result<Vec<_>, _>>();
    sinks.map_err(|error| Failure::environment("the audit log cannot be sent on", &error))
}

/// Sends what is left of a log that was closed, within bounds.
pub(crate) async fn finish(sinks: Vec<Sink>) {
    let finished = join_all(sinks.into_iter().map(|sink| sink.finish(LAST))).await;
    if !finished.into_iter().all(|all| all) {
        tracing::warn!(
            "the last records of the audit log were not sent on; they go out after the next start"
        );
    }
}
