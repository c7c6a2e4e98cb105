//! Callers who show a token instead of a key: whom the guard believes, and whom it does not.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use data_encoding::BASE64URL_NOPAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use proxy_audit::Outcome;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::support::{
    Guard, POLICY, Provider, Reply, Script, Signer, Upstream, WELL_KNOWN, chat, now, post, raw,
};

const ISSUER: &str = "https://login.example.com/";

/// What a good token says, with some of it said otherwise; nothing where `null` stands.
pub fn claims(otherwise: Value) -> Value {
    let mut claims = json!({
        "iss": ISSUER, "aud": ["somebody", "portcullis"], "sub": "ann@example.com", "exp": now() + 600,
        "nbf": now() - 10, "scope": "read guard.use", "groups": ["school", "kids"],
    });
    for (name, value) in otherwise.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    claims
}

/// What the server of an issuer's keys does.
#[derive(Clone, Debug)]
enum Does {
    Say(String),
    Status(&'static str),
    Hang,
}

/// An issuer's server of keys.
struct Keys {
    address: SocketAddr,
    does: Arc<Mutex<Does>>,
    asked: Arc<AtomicUsize>,
    _connections: JoinSet<()>,
}

fn jwks(signers: &[&Signer]) -> Does {
    let mut keys: Vec<Value> = signers.iter().map(|signer| signer.public()).collect();
    // What others have in their sets too: a shared secret, a key of an unknown kind.
    keys.push(json!({ "kty": "oct", "k": "c2VjcmV0", "kid": "shared", "alg": "HS256" }));
    keys.push(json!({ "kty": "odd", "kid": "odd" }));
    Does::Say(json!({ "keys": keys }).to_string())
}

impl Keys {
    async fn start(does: Does) -> Self {
        Self::at("127.0.0.1:0".parse().unwrap(), does).await
    }

    async fn at(address: SocketAddr, does: Does) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (does, asked) = (Arc::new(Mutex::new(does)), Arc::new(AtomicUsize::new(0)));
        let (told, count) = (Arc::clone(&does), Arc::clone(&asked));
        let mut connections = JoinSet::new();
        connections.spawn(async move {
            let mut all = JoinSet::new();
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                count.fetch_add(1, Ordering::Relaxed);
                let does = told.lock().unwrap().clone();
                all.spawn(async move {
                    let _head = stream.read(&mut [0; 8192]).await;
                    let (status, body) = match does {
                        Does::Say(body) => ("200 OK", body),
                        Does::Status(status) => (status, String::new()),
                        Does::Hang => std::future::pending().await,
                    };
                    let length = body.len();
                    let head = format!(
                        "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
                    );
                    let _sent = stream.write_all(format!("{head}{body}").as_bytes()).await;
                });
            }
        });
        Self { address, does, asked, _connections: connections }
    }

    fn now(&self, does: Does) {
        *self.does.lock().unwrap() = does;
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    /// Settings that believe it.
    fn settings(&self, more: &str) -> String {
        settings(&format!("jwks_url: \"http://{}/jwks\"", self.address), more)
    }
}

pub fn settings(place: &str, more: &str) -> String {
    format!(
        "tokens:\n- issuer: {ISSUER}\n  audiences: [portcullis]\n  {place}\n  require: {{ scope: guard.use }}\n  \
         names: [{{ name: staff, when: {{ groups: [staff, admins] }} }}, {{ name: kids, when: {{ groups: kids }} }}]\n{more}"
    )
}

async fn ask(guard: &Guard, credential: &str) -> Reply {
    let body = chat("hello", false).to_string();
    post(guard.address, &[("authorization", &format!("Bearer {credential}"))], body.as_bytes())
        .await
}

/// Waits until a token is believed, or not.
async fn until(guard: &Guard, token: &str, status: u16) -> Reply {
    let started = Instant::now();
    loop {
        let reply = ask(guard, token).await;
        if reply.status == status {
            return reply;
        }
        assert!(started.elapsed() < Duration::from_secs(20), "{} {}", reply.status, reply.body);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn part(json: &Value) -> String {
    BASE64URL_NOPAD.encode(json.to_string().as_bytes())
}

const KIDS: &str = "profiles: { strict: { hazards: { hate: { input: block } } } }\nroutes: [{ key: kids, use: strict }, { use: base }]\n";

#[tokio::test]
async fn a_token_says_who_somebody_is_and_goes_no_further() {
    let upstream = Upstream::start(Script::say("fine")).await;
    let (rsa, curve) =
        (Signer::new("rsa", Algorithm::RS256), Signer::new("curve", Algorithm::ES256));
    let keys = Keys::start(jwks(&[&rsa, &curve])).await;
    let fingerprint = proxy_stack::fingerprint("sk-service");
    let own = format!("keys: {{ service: {fingerprint} }}\n");
    let guard = Guard::with(&upstream.url(), &format!("{POLICY}{KIDS}"), &keys.settings(&own));
    let by_rsa = rsa.sign(&claims(json!({})));
    until(&guard, &by_rsa, 200).await;
    let late = curve.sign(&claims(json!({ "exp": now() - 10, "aud": "portcullis" })));
    assert_eq!(ask(&guard, &late).await.status, 200);
    let staff = rsa.sign(&claims(json!({ "groups": ["kids", "admins"], "sub": "bob" })));
    assert_eq!(ask(&guard, &staff).await.status, 200);
    let nobody = rsa.sign(&claims(json!({ "groups": null })));
    assert_eq!(ask(&guard, &nobody).await.status, 200);
    assert_eq!(ask(&guard, "sk-service").await.status, 200);

    let (opened, closed) = (guard.opened(), guard.closed());
    let names: Vec<_> =
        closed.iter().rev().take(5).rev().map(|record| record.key_name.as_deref()).collect();
    assert_eq!(names, [Some("kids"), Some("kids"), Some("staff"), None, Some("service")]);
    let at = closed.len() - 5;
    assert_eq!(closed[at].profile.as_deref(), Some("strict"));
    assert_eq!(closed[at + 2].profile, None);
    let key = |number: usize| opened[at + number].key.as_deref().unwrap().to_owned();
    assert!(key(0).starts_with("sub-") && key(0).len() == 20, "{}", key(0));
    // The subject, not the token and not the key, is who somebody is.
    assert_eq!((key(1), key(3)), (key(0), key(0)));
    assert_ne!(key(2), key(0));
    assert_eq!(key(4), fingerprint);

    // Whoever is refused for what they say is named too.
    let bearer = format!("Bearer {by_rsa}");
    for (credential, name) in [("Bearer sk-service", "service"), (&*bearer, "kids")] {
        post(guard.address, &[("authorization", credential)], b"{}").await;
        let refused = guard.closed().pop().unwrap();
        assert_eq!((refused.outcome, refused.key_name.as_deref()), (Outcome::Refused, Some(name)));
    }

    let received = String::from_utf8_lossy(&upstream.received()).to_lowercase();
    assert!(!received.contains("eyj"), "{received}");
    assert!(received.contains("authorization: bearer sk-service"));
    let log: Vec<u8> = std::fs::read_dir(guard.audit_dir())
        .unwrap()
        .map_while(Result::ok)
        .filter(|entry| entry.path().is_file())
        .flat_map(|entry| std::fs::read(entry.path()).unwrap())
        .collect();
    let log = String::from_utf8_lossy(&log);
    assert!(log.contains(&key(0)) && !log.contains("eyJ") && !log.contains("ann@example.com"));
}

#[tokio::test]
async fn what_a_token_does_not_prove_is_not_believed() {
    let upstream = Upstream::start(Script::say("fine")).await;
    let (rsa, curve) =
        (Signer::new("rsa", Algorithm::RS256), Signer::new("curve", Algorithm::ES256));
    let (stranger, unlisted) =
        (Signer::new("rsa", Algorithm::RS256), Signer::new("other", Algorithm::ES256));
    let keys = Keys::start(jwks(&[&rsa, &curve])).await;
    let guard = Guard::with(&upstream.url(), POLICY, &keys.settings(""));
    let good = rsa.sign(&claims(json!({})));
    until(&guard, &good, 200).await;
    let before = (guard.closed().len(), upstream.received().len());

    let (head, rest) = good.split_once('.').unwrap();
    let (body, signature) = rest.split_once('.').unwrap();
    let admin = part(&claims(json!({ "groups": ["admins"] })));
    let none = part(&json!({ "alg": "none", "typ": "JWT" }));
    // Whoever takes the algorithm from the token takes what everybody knows for a shared secret.
    let confused = |secret: &[u8]| {
        let mut header = Header::new(Algorithm::HS256);
        header.kid = Some("rsa".to_owned());
        encode(&header, &claims(json!({})), &EncodingKey::from_secret(secret)).unwrap()
    };
    let modulus = rsa.public()["n"].as_str().unwrap().to_owned();
    let with = |otherwise: Value| rsa.sign(&claims(otherwise));
    let cases: Vec<(&str, String, &str)> = vec![
        ("alg none", format!("{none}.{body}."), "token_algorithm"),
        ("alg none with the signature", format!("{none}.{body}.{signature}"), "token_algorithm"),
        ("HS256 by the modulus", confused(modulus.as_bytes()), "token_algorithm"),
        (
            "HS256 by the modulus' bytes",
            confused(&BASE64URL_NOPAD.decode(modulus.as_bytes()).unwrap()),
            "token_algorithm",
        ),
        ("HS256 by the JWK", confused(rsa.public().to_string().as_bytes()), "token_algorithm"),
        ("HS256 by nothing", confused(b""), "token_algorithm"),
        (
            "another algorithm of the key",
            rsa.sign_with(&claims(json!({})), |header| header.kid = Some("curve".to_owned())),
            "token_algorithm",
        ),
        ("another body", format!("{head}.{admin}.{signature}"), "token_signature"),
        ("no signature", format!("{head}.{body}."), "token_signature"),
        ("a stranger's key", stranger.sign(&claims(json!({}))), "token_signature"),
        (
            "no key named, of two",
            rsa.sign_with(&claims(json!({})), |header| header.kid = None),
            "token_unknown_key",
        ),
        ("unknown key", unlisted.sign(&claims(json!({}))), "token_unknown_key"),
        (
            "a shared secret's id",
            rsa.sign_with(&claims(json!({})), |header| header.kid = Some("shared".to_owned())),
            "token_unknown_key",
        ),
        ("expired", with(json!({ "exp": now() - 90 })), "token_expired"),
        ("without end", with(json!({ "exp": null })), "token_claims"),
        ("odd end", with(json!({ "exp": "tomorrow" })), "token_claims"),
        ("not yet", with(json!({ "nbf": now() + 90 })), "token_not_yet_valid"),
        ("another audience", with(json!({ "aud": "portcullis2" })), "token_audience"),
        ("no audience", with(json!({ "aud": null })), "token_claims"),
        ("another issuer", with(json!({ "iss": "https://login.example.com" })), "token_issuer"),
        ("two issuers", with(json!({ "iss": [ISSUER] })), "token_claims"),
        ("no issuer", with(json!({ "iss": null })), "token_claims"),
        ("nobody", with(json!({ "sub": null })), "token_claims"),
        ("nobody at all", with(json!({ "sub": "" })), "token_claims"),
        ("not what is required", with(json!({ "scope": "read guard" })), "token_claims"),
        (
            "must be understood",
            rsa.sign_with(&claims(json!({})), |header| header.crit = Some(vec!["b64".to_owned()])),
            "token_malformed",
        ),
        ("no token", format!("{head}.x.y"), "token_claims"),
        ("no header", format!("eyJh.{body}.{signature}"), "token_malformed"),
        ("no shape", format!("{good}.{signature}"), "invalid_api_key"),
        ("a key", "sk-unknown".to_owned(), "invalid_api_key"),
    ];
    for (what, token, code) in &cases {
        // On a slow machine the keys may be old enough for news.
        let reply = until(&guard, token, 401).await;
        assert_eq!(&*reply.code(), *code, "{what}");
        assert_eq!(reply.headers["x-should-retry"], "false");
        let challenge = &reply.headers["www-authenticate"];
        assert_eq!(
            challenge.contains("invalid_token"),
            code.starts_with("token"),
            "{what}: {challenge}"
        );
    }
    // In other places a token is none.
    let hello = chat("hello", false).to_string();
    let bearer = format!("Bearer {good}");
    let elsewhere: [(&[(&str, &str)], u16); 5] = [
        (&[("x-api-key", &good)], 401),
        (&[("authorization", &good)], 401),
        (&[("authorization", &bearer), ("authorization", "Bearer sk-other")], 401),
        (&[("authorization", &bearer), ("x-api-key", "sk-upstream")], 401),
        (&[], 401),
    ];
    for (headers, status) in elsewhere {
        assert_eq!(
            post(guard.address, headers, hello.as_bytes()).await.status,
            status,
            "{headers:?}"
        );
    }
    assert_eq!(upstream.received().len(), before.1, "nothing was forwarded");
    let mut refused = guard.closed().split_off(before.0);
    refused.retain(|record| record.reason.as_deref() != Some("token_keys_unavailable"));
    assert_eq!(refused.len(), cases.len() + 5);
    assert!(
        refused
            .iter()
            .all(|record| record.outcome == Outcome::Refused && record.key_name.is_none())
    );
    for (record, (what, _, code)) in refused.iter().zip(&cases) {
        assert_eq!(record.reason.as_deref(), Some(*code), "{what}");
    }
    assert_eq!(ask(&guard, &good).await.status, 200);
}

#[tokio::test]
async fn keys_are_rotated_and_strangers_cannot_ask_for_that_often() {
    let upstream = Upstream::start(Script::say("fine")).await;
    let (first, second) = (Signer::new("1", Algorithm::ES256), Signer::new("2", Algorithm::ES256));
    let keys = Keys::start(jwks(&[&first])).await;
    let guard = Guard::with(&upstream.url(), POLICY, &keys.settings(""));
    let (old, new) = (first.sign(&claims(json!({}))), second.sign(&claims(json!({}))));
    until(&guard, &old, 200).await;
    // Fetched a moment ago, so there is no news.
    assert_eq!(until(&guard, &new, 401).await.code(), "token_unknown_key");
    keys.now(jwks(&[&second]));
    let reply = until(&guard, &new, 503).await;
    assert_eq!(
        (reply.code(), &*reply.headers["retry-after"]),
        ("token_keys_unavailable".to_owned(), "1")
    );
    until(&guard, &new, 200).await;
    assert_eq!(ask(&guard, &old).await.code(), "token_unknown_key");
    let (asked, started) = (keys.asked(), Instant::now());
    for number in 0..200 {
        let other = second
            .sign_with(&claims(json!({})), |header| header.kid = Some(format!("made-up-{number}")));
        assert!(matches!(ask(&guard, &other).await.status, 401 | 503));
    }
    let most = 1 + started.elapsed().as_secs() as usize / 5;
    assert!(keys.asked() - asked <= most, "{} of {most}", keys.asked() - asked);
    assert_eq!(ask(&guard, &new).await.status, 200);
}

#[tokio::test]
async fn an_issuer_that_is_down_costs_its_callers_and_nobody_else() {
    let upstream = Upstream::start(Script::say("fine")).await;
    let signer = Signer::new("1", Algorithm::ES256);
    let address = Keys::start(jwks(&[&signer])).await.address;
    let admin = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let own = format!(
        "  refresh_seconds: 1\n  keep_seconds: 4\nkeys: {{ service: {} }}\nadmin: {admin}\n",
        proxy_stack::fingerprint("sk-service")
    );
    let settings = settings(&format!("jwks_url: \"http://{address}/jwks\""), &own);
    let guard = Guard::with(&upstream.url(), POLICY, &settings);
    let token = signer.sign(&claims(json!({})));
    let readyz =
        async || raw(admin, b"GET /readyz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    // Down at the start.
    let reply = ask(&guard, &token).await;
    assert_eq!((reply.status, reply.code()), (503, "token_keys_unavailable".to_owned()));
    assert_eq!(ask(&guard, "sk-service").await.status, 200);
    assert_eq!(readyz().await.status, 503);
    let keys = Keys::at(address, jwks(&[&signer])).await;
    until(&guard, &token, 200).await;
    while readyz().await.status != 200 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // Later: what was known is believed for a while.
    for does in [
        Does::Status("500 Oops"),
        Does::Status("302 Found\r\nlocation: http://127.0.0.1:1/"),
        Does::Say("{}".to_owned()),
        Does::Say(json!({ "keys": [] }).to_string()),
        Does::Say(format!("{{\"keys\":[{}{{}}]}}", "{},".repeat(100_000))),
    ] {
        keys.now(does.clone());
        let asked = keys.asked();
        while keys.asked() == asked {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(ask(&guard, &token).await.status, 200, "{does:?}");
        keys.now(jwks(&[&signer]));
        let asked = keys.asked();
        while keys.asked() == asked {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    // And then no longer.
    keys.now(Does::Hang);
    assert_eq!(ask(&guard, &token).await.status, 200);
    assert_eq!(until(&guard, &token, 503).await.code(), "token_keys_unavailable");
    assert_eq!(ask(&guard, "sk-service").await.status, 200);
    assert_eq!(readyz().await.status, 200);
    keys.now(jwks(&[&signer]));
    until(&guard, &token, 200).await;
}

#[tokio::test]
async fn keys_are_where_the_issuer_says_if_it_is_the_issuer_who_says_so() {
    let upstream = Upstream::start(Script::say("fine")).await;
    let (first, second) = (Signer::new("1", Algorithm::RS256), Signer::new("2", Algorithm::ES256));
    let provider = Provider::start(&[&first]).await;
    let issuer = provider.issuer();
    let settings = format!(
        "tokens:\n- issuer: {issuer}\n  audiences: [portcullis]\n  refresh_seconds: 1\n  keep_seconds: 60\n"
    );
    let metadata = provider.metadata();
    let with = |name: &str, value: &str| {
        let mut metadata = metadata.clone();
        metadata[name] = json!(value);
        ("200 OK", metadata.to_string())
    };
    let odd = [
        with("issuer", &format!("{issuer}/")),
        with("jwks_uri", "http://login.example.com/keys"),
        with("jwks_uri", &format!("{issuer}/nowhere")),
        ("302 Found\r\nlocation: /elsewhere", metadata.to_string()),
        ("200 OK", format!("{{\"issuer\": \"{}\"}}", "a".repeat(300_000))),
    ];
    // An odd answer at the start: nobody is believed.
    let (status, body) = &odd[0];
    provider.answers(WELL_KNOWN, status, body);
    let guard = Guard::with(&upstream.url(), POLICY, &settings);
    let token = |signer: &Signer| signer.sign(&claims(json!({ "iss": issuer })));
    assert_eq!(until(&guard, &token(&first), 503).await.code(), "token_keys_unavailable");
    assert!(provider.asked("/keys").is_empty());
    provider.says(WELL_KNOWN, &metadata);
    until(&guard, &token(&first), 200).await;
    // Later: what was known is believed for a while.
    for (status, body) in &odd {
        provider.answers(WELL_KNOWN, status, body);
        let asked = provider.asked(WELL_KNOWN).len();
        while provider.asked(WELL_KNOWN).len() == asked {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(ask(&guard, &token(&first)).await.status, 200, "{status} {body}");
        provider.says(WELL_KNOWN, &metadata);
        let asked = provider.asked("/keys").len();
        while provider.asked("/keys").len() == asked {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    // Its keys may move.
    provider.says("/moved", &json!({ "keys": [second.public()] }));
    provider.says(
        WELL_KNOWN,
        &serde_json::from_str(&with("jwks_uri", &format!("{issuer}/moved")).1).unwrap(),
    );
    until(&guard, &token(&second), 200).await;
    assert_eq!(ask(&guard, &token(&first)).await.status, 401);
}

#[tokio::test]
async fn keys_in_a_file_are_read_again_and_tokens_handed_on_where_that_is_said() {
    let upstream = Upstream::start(Script::say("fine")).await;
    let (first, second) = (Signer::new("1", Algorithm::RS256), Signer::new("2", Algorithm::ES256));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("jwks.json");
    let write = |signer: &Signer| {
        let Does::Say(text) = jwks(&[signer]) else { panic!("keys are said") };
        std::fs::write(&path, text).unwrap();
    };
    write(&first);
    let place = format!("jwks_file: {}", path.display());
    let guard = Guard::with(&upstream.url(), POLICY, &settings(&place, "  forward: true\n"));
    let (old, new) = (first.sign(&claims(json!({}))), second.sign(&claims(json!({}))));
    assert_eq!(ask(&guard, &old).await.status, 200);
    let received = String::from_utf8_lossy(&upstream.received()).into_owned();
    assert!(received.contains(&format!("authorization: Bearer {old}\r\n")), "{received}");
    write(&second);
    until(&guard, &new, 200).await;
    assert_eq!(ask(&guard, &old).await.status, 401);
}

#[test]
fn settings_that_would_let_others_in_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let base = BTreeMap::from([
        ("issuer", ISSUER.to_owned()),
        ("audiences", "[portcullis]".to_owned()),
        ("jwks_url", "https://login.example.com/jwks".to_owned()),
    ]);
    for (name, value, said) in [
        ("audiences", "[]", "audience"),
        ("algorithms", "[HS256]", "`HS256` is not an algorithm of public keys"),
        ("algorithms", "[none]", "`none` is not an algorithm of public keys"),
        ("jwks_url", "http://login.example.com/jwks", "must begin with https://"),
        ("jwks_file", "/nowhere", "in one place: `jwks_url` or `jwks_file`"),
        ("leeway_seconds", "301", "300 seconds"),
        ("secret", "x", "unknown"),
    ] {
        let mut issuer = base.clone();
        issuer.insert(name, value.to_owned());
        let lines: Vec<String> =
            issuer.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        let config = file("server.yaml", &format!("tokens:\n- {}\n", lines.join("\n  ")));
        let output = std::process::Command::new(Guard::binary())
            .args([
                "serve",
                "--upstream",
                "http://127.0.0.1:1",
                "--listen",
                "127.0.0.1:0",
                "--config",
                &config,
            ])
            .arg("--audit-dir")
            .arg(dir.path().join("audit"))
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && error.contains(said), "{name}: {error}");
    }
}
