//! The listener's certificate, and whose certificates it asks for; replaced while it runs.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::connect::HttpConnector;
use proxy_stack::Network;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;

use crate::failure::Failure;

/// How long a connection to another server may take to come about.
const CONNECT_TIME: Duration = Duration::from_secs(5);

/// Where the listener's certificate and key are (PEM).
#[derive(Clone, Debug)]
pub(crate) struct Tls {
    pub(crate) cert_file: PathBuf,
    pub(crate) key_file: PathBuf,
    /// Authorities, one of which must have signed a client's certificate; without it clients need none.
    pub(crate) client_ca_file: Option<PathBuf>,
}

/// How the listener greets in TLS. Connections keep what they were greeted with.
#[derive(Clone)]
pub(crate) struct Greeting {
    files: Tls,
    current: Arc<ArcSwap<ServerConfig>>,
}

impl Greeting {
    /// Reads the files.
    pub(crate) fn read(files: &Tls) -> Result<Self, Failure> {
        let current = Arc::new(ArcSwap::from_pointee(files.config()?));
        Ok(Self { files: files.clone(), current })
    }

    /// Reads the files again; what cannot be used changes nothing.
    pub(crate) fn reload(&self) -> Result<(), Failure> {
        self.current.store(Arc::new(self.files.config()?));
        Ok(())
    }

    /// For one connection.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.current.load_full())
    }
}

impl Tls {
    fn config(&self) -> Result<ServerConfig, Failure> {
        let key = PrivateKeyDer::from_pem_file(&self.key_file)
            .map_err(|error| unusable(&self.key_file, &error))?;
        let builder = match &self.client_ca_file {
            None => ServerConfig::builder().with_no_client_auth(),
            Some(path) => {
                let mut roots = RootCertStore::empty();
                for certificate in certificates(path)? {
                    roots.add(certificate).map_err(|error| unusable(path, &error))?;
                }
                let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).build();
                let verifier = verifier.map_err(|error| unusable(path, &error))?;
                ServerConfig::builder().with_client_cert_verifier(verifier)
            }
        };
        let mut config = builder
            .with_single_cert(certificates(&self.cert_file)?, key)
            .map_err(|error| unusable(&self.cert_file, &error))?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }
}

/// How a server that we ask is known and knows us: the model server, or a collector.
#[derive(Clone, Debug, Default)]
pub(crate) struct UpstreamTls {
    /// Authorities that it is trusted by, in place of the system's.
    pub(crate) ca_file: Option<PathBuf>,
    /// Our certificate and its key.
    pub(crate) identity: Option<(PathBuf, PathBuf)>,
}

impl UpstreamTls {
    /// As the settings of `what` say it: a certificate and its key, or neither.
    pub(crate) fn new(
        what: &str,
        ca_file: Option<PathBuf>,
        identity: (Option<PathBuf>, Option<PathBuf>),
    ) -> Result<Self, Failure> {
        let identity = match identity {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            _ => {
                return Err(Failure::Usage(format!(
                    "{what}: `cert_file` and `cert_key_file` belong together"
                )));
            }
        };
        Ok(Self { ca_file, identity })
    }

    /// Connections to `url`. Without TLS no certificate is looked for.
    pub(crate) fn connector_to(&self, url: &str) -> Result<Network, Failure> {
        if url.starts_with("https:") {
            return self.connector();
        }
        let roots = RootCertStore::empty();
        Ok(network(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()))
    }

    /// Connections to it.
    pub(crate) fn connector(&self) -> Result<Network, Failure> {
        let tls = classifiers_remote::client_tls(self.ca_file.as_deref(), self.identity.as_ref());
        let tls =
            tls.map_err(|error| Failure::environment("a server cannot be reached by TLS", &error))?;
        Ok(network(tls))
    }
}

fn network(tls: ClientConfig) -> Network {
    let mut http = HttpConnector::new();
    http.set_nodelay(true);
    http.set_connect_timeout(Some(CONNECT_TIME));
    http.enforce_http(false);
    let builder = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http();
    builder.enable_all_versions().wrap_connector(http)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Failure> {
    classifiers_remote::certificates(path).map_err(|error| Failure::Environment(error.to_string()))
}

fn unusable(path: &Path, error: &(dyn std::error::Error + 'static)) -> Failure {
    Failure::environment(format!("{} cannot be used for TLS", path.display()), error)
}
