//! HTTP/2 and TLS, towards the client and towards the upstream.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, StatusCode, Version};
use http_body_util::{BodyExt, Full};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use rustls::pki_types::CertificateDer;

use crate::support::{Guard, POLICY, Script, Upstream, chat};

/// A listener's settings with a certificate of our own, and the certificate.
fn tls(dir: &std::path::Path) -> (String, CertificateDer<'static>) {
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (cert, key) = (dir.join("cert.pem"), dir.join("key.pem"));
    std::fs::write(&cert, own.cert.pem()).unwrap();
    std::fs::write(&key, own.signing_key.serialize_pem()).unwrap();
    let settings = format!("tls: {{ cert_file: {}, key_file: {} }}", cert.display(), key.display());
    (settings, own.cert.der().clone())
}

#[tokio::test]
async fn a_guard_with_a_certificate_speaks_http2_and_http1_over_tls() {
    let upstream = Upstream::start(Script::say("ok")).await;
    let dir = tempfile::tempdir().unwrap();
    let (settings, certificate) = tls(dir.path());
    let guard = Guard::with(&upstream.url(), POLICY, &settings);
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = |config: &rustls::ClientConfig| {
        HttpsConnectorBuilder::new().with_tls_config(config.clone()).https_only()
    };
    let url = format!("https://localhost:{}/v1/chat/completions", guard.address.port());
    for (connector, version) in [
        (connector(&config).enable_http2().build(), Version::HTTP_2),
        (connector(&config).enable_http1().build(), Version::HTTP_11),
    ] {
        let client = Client::builder(TokioExecutor::new()).build(connector);
        for (text, status) in
            [("hello", StatusCode::OK), ("PORTCULLIS-TEST-S1", StatusCode::BAD_REQUEST)]
        {
            let request = Request::post(&url)
                .header("content-type", "application/json")
                .body(Full::new(Bytes::from(chat(text, false).to_string())))
                .unwrap();
            let response = client.request(request).await.unwrap();
            assert_eq!((response.version(), response.status()), (version, status), "{text}");
            assert!(response.headers().contains_key("x-guard-decision-id"));
            let body = response.into_body().collect().await.unwrap().to_bytes();
            assert!(!body.is_empty());
        }
    }
    assert_eq!(guard.closed().len(), 4);
}

#[tokio::test]
async fn one_connection_serves_many_requests() {
    let upstream = Upstream::start(Script::say("ok")).await;
    let guard = Guard::start(&upstream.url());
    let client = Client::builder(TokioExecutor::new()).http2_only(true).build_http();
    let url = format!("http://{}/v1/chat/completions", guard.address);
    let one = |number: usize| {
        let (client, url) = (client.clone(), url.clone());
        async move {
            let text = if number.is_multiple_of(2) { "hello" } else { "PORTCULLIS-TEST-S2" };
            let body = Full::new(Bytes::from(chat(text, false).to_string()));
            let request =
                Request::post(url).header("content-type", "application/json").body(body).unwrap();
            client.request(request).await.unwrap().status()
        }
    };
    let statuses = futures_util::future::join_all((0..100).map(one)).await;
    assert_eq!(statuses.iter().filter(|status| **status == StatusCode::OK).count(), 50);
    assert_eq!(guard.closed().len(), 100);
}
