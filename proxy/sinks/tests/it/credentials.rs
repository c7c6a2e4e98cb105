//! Users with signed tokens and keys, as in the accounts of several tenants.

use data_encoding::BASE64URL_NOPAD;
use nkeys::KeyPair;
use proxy_sinks::{Login, Nats, SinkError};
use serde_json::{Value, json};

use crate::log::settings;
use crate::nats::Server;

/// Configuration of a server, and the `.creds` file of one of its users.
fn operated() -> (String, String) {
    let (operator, account, user) =
        (KeyPair::new_operator(), KeyPair::new_account(), KeyPair::new_user());
    let system = KeyPair::new_account();
    let all = json!({
        "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true, "conn": -1, "leaf": -1,
        "mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1,
    });
    let none = json!({ "subs": -1, "data": -1, "payload": -1, "conn": -1 });
    let config = format!(
        "operator: {}\nsystem_account: {}\nresolver: MEMORY\nresolver_preload: {{ {}: {}, {}: {} }}\n",
        signed(&operator, &operator, &json!({ "type": "operator", "version": 2 })),
        system.public_key(),
        system.public_key(),
        signed(&operator, &system, &json!({ "type": "account", "version": 2, "limits": none })),
        account.public_key(),
        signed(&operator, &account, &json!({ "type": "account", "version": 2, "limits": all })),
    );
    let claims = json!({ "type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1 });
    let credentials = format!(
        "-----BEGIN NATS USER JWT-----\n{}\n------END NATS USER JWT------\n\n\
         -----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n",
        signed(&account, &user, &claims),
        user.seed().unwrap()
    );
    (config, credentials)
}

/// What `issuer` says of `subject`.
fn signed(issuer: &KeyPair, subject: &KeyPair, claims: &Value) -> String {
    let (name, subject) = (issuer.public_key(), subject.public_key());
    let claims = json!({ "jti": "1", "iat": 1, "iss": name, "name": "test", "sub": subject, "nats": claims });
    let part = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    let head = json!({ "typ": "JWT", "alg": "ed25519-nkey" });
    let text = format!("{}.{}", part(&head), part(&claims));
    let signature = issuer.sign(text.as_bytes()).unwrap();
    format!("{text}.{}", BASE64URL_NOPAD.encode(&signature))
}

#[test]
fn a_credentials_file_lets_the_guard_in_and_another_does_not() {
    let (config, credentials) = operated();
    let Some(server) = Server::start(&config) else { return };
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("guard.creds");
    let login = Login::Credentials(file.clone());
    assert!(login.check().is_err(), "there is no file yet");
    let nats = Nats::new(settings(format!("nats://{}", server.address), login)).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let probe = |text: &str| {
        std::fs::write(&file, text).unwrap();
        runtime.block_on(nats.probe()).unwrap_err()
    };
    // The server may not listen yet.
    let started = std::time::Instant::now();
    loop {
        match probe(&credentials) {
            SinkError::NoStream { .. } => break,
            error => assert!(started.elapsed().as_secs() < 10, "{error:?}"),
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let error = probe(&operated().1);
    assert!(matches!(error, SinkError::Connect(_)), "{error:?}");
    let error = probe("nothing");
    assert!(matches!(error, SinkError::Login { .. }), "{error:?}");
}
