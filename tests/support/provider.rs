//! A provider of identities that says what it is told to, and keys to sign with.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rcgen::KeyPair;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Where a provider says what it is.
pub const WELL_KNOWN: &str = "/.well-known/openid-configuration";

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// A key of an issuer.
#[derive(Clone)]
pub struct Signer {
    id: &'static str,
    algorithm: Algorithm,
    key: EncodingKey,
}

impl Signer {
    pub fn new(id: &'static str, algorithm: Algorithm) -> Self {
        let key = match algorithm {
            Algorithm::RS256 => {
                let size = rcgen::RsaKeySize::_2048;
                let pair = KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, size).unwrap();
                // PKCS#1 is the last element of PKCS#8, whose head is always the same for this size.
                EncodingKey::from_rsa_der(&pair.serialize_der()[26..])
            }
            Algorithm::ES256 => {
                let pair = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
                EncodingKey::from_ec_der(&pair.serialize_der())
            }
            other => panic!("{other:?}"),
        };
        Self { id, algorithm, key }
    }

    pub fn public(&self) -> Value {
        let mut jwk = Jwk::from_encoding_key(&self.key, self.algorithm).unwrap();
        jwk.common.key_id = Some(self.id.to_owned());
        serde_json::to_value(jwk).unwrap()
    }

    pub fn sign(&self, claims: &Value) -> String {
        self.sign_with(claims, |_| {})
    }

    pub fn sign_with(&self, claims: &Value, change: impl FnOnce(&mut Header)) -> String {
        let mut header = Header::new(self.algorithm);
        header.kid = Some(self.id.to_owned());
        change(&mut header);
        encode(&header, claims, &self.key).unwrap()
    }
}

/// A server whose every page says what it is told to.
pub struct Provider {
    pub address: SocketAddr,
    pages: Arc<Mutex<BTreeMap<String, (String, String)>>>,
    asked: Arc<Mutex<Vec<String>>>,
    _connections: JoinSet<()>,
}

impl Provider {
    /// One that says what a provider must, with these keys.
    pub async fn start(signers: &[&Signer]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let pages = Arc::<Mutex<BTreeMap<String, (String, String)>>>::default();
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let (told, heard) = (Arc::clone(&pages), Arc::clone(&asked));
        let mut connections = JoinSet::new();
        connections.spawn(async move {
            let mut all = JoinSet::new();
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let (told, heard) = (Arc::clone(&told), Arc::clone(&heard));
                all.spawn(async move {
                    let request = read(&mut stream).await;
                    let path = request.split(' ').nth(1).unwrap_or_default();
                    let page = told.lock().unwrap().get(path).cloned();
                    let (status, body) = page.unwrap_or(("404 Not Found".into(), String::new()));
                    heard.lock().unwrap().push(request);
                    let length = body.len();
                    let head = format!(
                        "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
                    );
                    let _sent = stream.write_all(format!("{head}{body}").as_bytes()).await;
                });
            }
        });
        let provider = Self { address, pages, asked, _connections: connections };
        provider.says(WELL_KNOWN, &provider.metadata());
        let keys: Vec<Value> = signers.iter().map(|signer| signer.public()).collect();
        provider.says("/keys", &json!({ "keys": keys }));
        provider
    }

    /// What it calls itself.
    pub fn issuer(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it says of itself.
    pub fn metadata(&self) -> Value {
        let issuer = self.issuer();
        json!({
            "issuer": issuer,
            "jwks_uri": format!("{issuer}/keys"),
            "authorization_endpoint": format!("{issuer}/authorize?realm=a"),
            "token_endpoint": format!("{issuer}/token"),
            "userinfo_endpoint": format!("{issuer}/userinfo"),
            "end_session_endpoint": format!("{issuer}/leave"),
            "response_types_supported": ["code"],
        })
    }

    /// From now on the page of this path is `body`.
    pub fn says(&self, path: &str, body: &Value) {
        self.answers(path, "200 OK", &body.to_string());
    }

    /// The same, with any status and more of the head.
    pub fn answers(&self, path: &str, status: &str, body: &str) {
        self.pages.lock().unwrap().insert(path.to_owned(), (status.to_owned(), body.to_owned()));
    }

    /// The requests for a path so far, as they came.
    pub fn asked(&self, path: &str) -> Vec<String> {
        let is_it = |request: &&String| request.split(' ').nth(1) == Some(path);
        self.asked.lock().unwrap().iter().filter(is_it).cloned().collect()
    }
}

/// A request with its body.
async fn read(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    loop {
        let read = stream.read_buf(&mut bytes).await.unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let length = |head: &str| {
            let lines = head.lines().map(str::to_ascii_lowercase);
            let mut lines =
                lines.filter_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
            lines.next().unwrap_or(0)
        };
        let whole =
            text.split_once("\r\n\r\n").is_some_and(|(head, body)| body.len() >= length(head));
        if whole || read == 0 {
            return text;
        }
    }
}
