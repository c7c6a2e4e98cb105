//! A folder of an object store that speaks S3.

mod copier;
mod fetch;
mod names;
mod network;
mod store;

use std::net::IpAddr;
use std::time::Duration;

use http::Uri;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, Checksum, S3ConditionalPut};
use object_store::path::Path as Key;
use object_store::{BackoffConfig, RetryConfig};
use rustls::ClientConfig;

use crate::error::{BucketMisuse, SinkError};
use crate::secret::Secret;

pub(crate) use copier::Copier;
pub use fetch::Fetched;
use network::Network;
use store::Store;

/// Attempts of the library itself, behind which a session ends and another begins: for what passes in a second.
const ATTEMPTS: usize = 2;
/// Between them, at first and at most, and for how long.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));
const ATTEMPTS_TIME: Duration = Duration::from_secs(10);

/// Where files go, as an operator says it.
#[derive(Debug)]
pub struct BucketSettings {
    /// `s3://bucket/folder`.
    pub url: String,
    /// A server other than AWS, such as `https://s3.example.com:9000`.
    pub endpoint: Option<String>,
    /// Where AWS has the bucket.
    pub region: Option<String>,
    /// The id of an access key and its secret, read again for each session. Without them the environment, the files that
    /// it names and the machine's own role are asked, as AWS has it.
    pub login: Option<(Secret, Secret)>,
    /// How servers are known and know us.
    pub tls: ClientConfig,
    /// Whether records may cross the network as they are.
    pub unencrypted: bool,
    /// How often the end of the log is sent, of which there is no whole segment yet.
    pub tail_every: Duration,
}

/// A folder of an object store and how it is reached, checked.
#[derive(Debug)]
pub struct Bucket {
    settings: BucketSettings,
    bucket: String,
    /// The folder in it.
    prefix: Key,
}

impl Bucket {
    /// What `settings` and the environment say. Nobody is asked yet.
    ///
    /// # Errors
    /// What makes no sense in them.
    pub fn new(settings: BucketSettings) -> Result<Self, BucketMisuse> {
        let place = settings.url.strip_prefix("s3://").ok_or(BucketMisuse::Url)?;
        let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
        let is_name = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if bucket.is_empty() || !bucket.chars().all(is_name) || prefix.contains(['?', '#', '@']) {
            return Err(BucketMisuse::Url);
        }
        let prefix = Key::parse(prefix.trim_end_matches('/')).map_err(|_| BucketMisuse::Url)?;
        let this = Self { bucket: bucket.to_owned(), prefix, settings };
        let builder = this.builder();
        for key in [AmazonS3ConfigKey::Endpoint, AmazonS3ConfigKey::S3Endpoint] {
            if let Some(endpoint) = builder.get_config_value(&key) {
                checked(&endpoint, this.settings.unencrypted)?;
            }
        }
        Ok(this)
    }

    /// Whether files can be written to the folder, listed and read, by doing that with a small object,
    /// `portcullis-probe`. It stays there: whoever may only add could not remove it.
    ///
    /// # Errors
    /// What cannot be done.
    pub async fn probe(&self) -> Result<(), SinkError> {
        self.open()?.probe().await
    }

    /// What is asked, with the login as it is now.
    fn open(&self) -> Result<Store, SinkError> {
        let mut builder = self.builder();
        if let Some((id, secret)) = &self.settings.login {
            let id = id.read("access key's id for the object store")?;
            let secret = secret.read("access key's secret for the object store")?;
            builder = builder.with_access_key_id(id).with_secret_access_key(secret);
        }
        let network = Network::new(self.settings.tls.clone());
        let built = builder.with_http_connector(network).build();
        let store = built.map_err(|error| BucketMisuse::Unusable(error.to_string()))?;
        Ok(Store::new(store, self.prefix.clone()))
    }

    fn builder(&self) -> AmazonS3Builder {
        let BucketSettings { endpoint, region, .. } = &self.settings;
        let (init_backoff, max_backoff) = PAUSE;
        let retry = RetryConfig {
            backoff: BackoffConfig { init_backoff, max_backoff, ..BackoffConfig::default() },
            max_retries: ATTEMPTS,
            retry_timeout: ATTEMPTS_TIME,
        };
        let mut builder = AmazonS3Builder::from_env()
            .with_bucket_name(&self.bucket)
            .with_retry(retry)
            // A bucket that locks what it has asks for one.
            .with_checksum_algorithm(Checksum::SHA256)
            .with_conditional_put(S3ConditionalPut::ETagMatch)
            .with_unsigned_payload(false)
            .with_skip_signature(false)
            // Not every server can do it.
            .with_disable_bulk_delete(true);
        if let Some(endpoint) = endpoint {
            builder = builder.with_config(AmazonS3ConfigKey::S3Endpoint, endpoint);
        }
        if let Some(region) = region {
            builder = builder.with_region(region);
        }
        builder
    }
}

/// The name of the folder of the log with this public key.
fn folder_of(key: &str) -> String {
    key.trim().trim_start_matches("ed25519:").to_owned()
}

/// An address without anything secret in it, to which records go encrypted or not at all.
fn checked(endpoint: &str, unencrypted: bool) -> Result<(), BucketMisuse> {
    let uri: Uri = endpoint.parse().map_err(|_| BucketMisuse::Endpoint)?;
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Err(BucketMisuse::Endpoint);
    };
    let has_path = uri.path_and_query().is_some_and(|path| path.as_str() != "/");
    if !matches!(scheme, "http" | "https") || authority.as_str().contains('@') || has_path {
        return Err(BucketMisuse::Endpoint);
    }
    let host = authority.host().trim_matches(['[', ']']);
    let here = host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
    if scheme != "https" && !here && !unencrypted {
        return Err(BucketMisuse::Unencrypted { host: host.to_owned() });
    }
    Ok(())
}
