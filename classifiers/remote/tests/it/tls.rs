//! Servers that are known by their certificate, and know us by ours.

use std::path::PathBuf;
use std::sync::Arc;

use classifiers_remote::{RemoteModerations, Settings};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use serde_json::json;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;

use crate::passage;
use crate::server::{Reply, read, write};

struct Authority {
    dir: tempfile::TempDir,
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("ca.pem"), &pem).unwrap();
        Self { dir, issuer: Issuer::new(params, key), pem }
    }

    fn issue(&self, name: &str) -> (PathBuf, PathBuf) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let path = |end: &str| self.dir.path().join(format!("{name}.{end}"));
        std::fs::write(path("pem"), certificate.pem()).unwrap();
        std::fs::write(path("key"), key.serialize_pem()).unwrap();
        (path("pem"), path("key"))
    }

    fn ca_file(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }
}

fn acceptor(authority: &Authority) -> TlsAcceptor {
    let (certificate, key) = authority.issue("server");
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap()).unwrap();
    let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).build().unwrap();
    let config = rustls::ServerConfig::builder()
        .with_client_cert_verifier(verifier)
        .with_single_cert(
            CertificateDer::pem_file_iter(certificate).unwrap().map(Result::unwrap).collect(),
            PrivateKeyDer::from_pem_file(key).unwrap(),
        )
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

#[tokio::test(flavor = "multi_thread")]
async fn both_sides_show_a_certificate_or_nothing_is_said() {
    let authority = Authority::new();
    let acceptor = acceptor(&authority);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            while let Ok(Some(_)) = read(&mut stream).await {
                let fine = json!({ "results": [
                    { "flagged": false, "categories": { "hate": false }, "category_scores": { "hate": 0.1 } },
                ] });
                write(&mut stream, Reply::Json(fine)).await.unwrap();
            }
        }
    });
    let identity = Some(authority.issue("client"));
    let settings = Settings::new(vec![url], "guard");
    let trusting = Settings { ca_file: Some(authority.ca_file()), ..settings.clone() };
    let known = Settings { identity: identity.clone(), ..trusting.clone() };
    let ask = async |settings: &Settings| {
        let guard = RemoteModerations::new(settings, &Default::default()).unwrap();
        guard.oneshot(passage("hello")).await.map(|_| ())
    };
    assert_eq!(ask(&known).await, Ok(()));
    // Without a certificate of ours, from a stranger's authority, or trusting nobody we know.
    assert!(ask(&trusting).await.is_err());
    let stranger = Authority::new();
    let wrong = Settings { identity: Some(stranger.issue("client")), ..trusting };
    assert!(ask(&wrong).await.is_err());
    let distrusting = Settings { ca_file: Some(stranger.ca_file()), identity, ..settings };
    let error = ask(&distrusting).await.unwrap_err().to_string();
    assert!(error.contains("TLS"), "{error}");
    server.abort();
}

#[test]
fn settings_that_cannot_work_say_why() {
    let dir = tempfile::tempdir().unwrap();
    let try_settings = |settings: Settings| {
        RemoteModerations::new(&settings, &Default::default()).unwrap_err().to_string()
    };
    let of = |url: &str| Settings::new(vec![url.to_owned()], "guard");
    for (settings, why) in [
        (Settings::new(vec![], "guard"), "no URL"),
        (of("guard:8000"), "is not a URL"),
        (of("ftp://guard"), "is not a URL"),
        (of("http://me:canary@guard"), "must not hold a user name"),
        (of("http://guard/?key=canary"), "must not hold"),
        (
            Settings { ca_file: Some(dir.path().join("none.pem")), ..of("https://guard") },
            "cannot be used for TLS",
        ),
        (
            Settings { key: Some(classifiers_remote::Key::new("a\u{0}b")), ..of("http://guard") },
            "the key",
        ),
    ] {
        let said = try_settings(settings);
        assert!(said.contains(why) && !said.contains("canary"), "{said}");
    }
}
