//! People who log in to the review page by a provider of identities: who comes in, and who does not.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use data_encoding::BASE64URL_NOPAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use proxy_audit::Record;
use proxy_console::{Role, Users};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{Guard, Provider, Script, Signer, Upstream, WELL_KNOWN, now};

/// The console's name for browsers.
const HOST: &str = "review.example.com";
const CLIENT: &str = "guard:review";
const SECRET: &str = "a secret/with+odd=parts";
const PASSWORD: &str = "correct horse battery";

/// A guard whose review page people log in to by a provider.
struct World {
    provider: Provider,
    signer: Signer,
    console: SocketAddr,
    guard: Guard,
    _upstream: Upstream,
}

/// A browser on its way to the provider and back.
struct Begun {
    cookie: String,
    asked: BTreeMap<String, String>,
}

/// What a browser was answered.
#[derive(Debug)]
struct Answer {
    status: u16,
    location: String,
    cookies: Vec<String>,
    body: String,
}

async fn visit(address: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {HOST}\r\nconnection: close\r\ncontent-length: 0\r\n"
    );
    for (name, value) in headers {
        request += &format!("{name}: {value}\r\n");
    }
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(format!("{request}\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let values = |name: &str| -> Vec<String> {
        let lines = head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(key, _)| *key == name).map(|(_, value)| value.to_owned()).collect()
    };
    Answer {
        status: head.split(' ').nth(1).unwrap().parse().unwrap(),
        location: values("location").concat(),
        cookies: values("set-cookie"),
        body: body.to_owned(),
    }
}

fn query(url: &str) -> BTreeMap<String, String> {
    let (_, query) = url.split_once('?').unwrap();
    form_urlencoded::parse(query.as_bytes()).into_owned().collect()
}

fn pair(cookie: &str) -> String {
    cookie.split(';').next().unwrap().to_owned()
}

impl World {
    /// With more settings of `oidc`, and with whatever the provider has to say otherwise.
    async fn with(more: &str, change: impl FnOnce(&Provider)) -> Self {
        let signer = Signer::new("rsa", Algorithm::RS256);
        let provider = Provider::start(&[&signer]).await;
        change(&provider);
        let upstream = Upstream::start(Script::say("fine")).await;
        let dir = Arc::new(TempDir::new().unwrap());
        let users = Users::new(dir.path().join("audit/console-users.json"));
        users.add("ann", Role::Viewer, PASSWORD).unwrap();
        let secret = dir.path().join("secret");
        std::fs::write(&secret, format!("{SECRET}\n")).unwrap();
        let console = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let settings = format!(
            "console:\n  listen: {console}\n  behind_tls: true\n  hosts: [{HOST}]\n  oidc:\n    issuer: {}\n    client_id: \
             {CLIENT}\n    client_secret_file: {}\n    roles:\n    - {{ role: viewer, when: {{ groups: staff }} }}\n    - {{ \
             role: reviewer, when: {{ groups: [trust, safety] }} }}\n{more}",
            provider.issuer(),
            secret.display(),
        );
        let guard = Guard::on(&dir, &upstream.url(), &settings);
        Self { provider, signer, console, guard, _upstream: upstream }
    }

    async fn start() -> Self {
        Self::with("", |_| {}).await
    }

    async fn begin(&self) -> Begun {
        let answer = visit(self.console, "GET", "/login", &[]).await;
        assert_eq!(answer.status, 303, "{answer:?}");
        let to = format!("{}/authorize?realm=a&", self.provider.issuer());
        assert!(answer.location.starts_with(&to), "{}", answer.location);
        let [cookie] = &answer.cookies[..] else { panic!("{answer:?}") };
        for part in
            ["__Host-", "; Path=/;", "; HttpOnly", "; SameSite=Lax", "; Secure", "Max-Age=600"]
        {
            assert!(cookie.contains(part), "{part}: {cookie}");
        }
        Begun { cookie: pair(cookie), asked: query(&answer.location) }
    }

    /// What an ID token for this login says, with some of it said otherwise; nothing where `null` stands.
    fn claims(&self, begun: &Begun, otherwise: &Value) -> Value {
        let mut claims = json!({
            "iss": self.provider.issuer(), "aud": CLIENT, "sub": "1234", "iat": now(), "exp": now() + 300,
            "nonce": begun.asked["nonce"], "preferred_username": "ann", "groups": ["staff", "safety"],
        });
        for (name, value) in otherwise.as_object().unwrap() {
            claims[name] = value.clone();
        }
        claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        claims
    }

    fn gives(&self, id_token: &str) {
        let tokens =
            json!({ "id_token": id_token, "access_token": "at-1", "token_type": "Bearer" });
        self.provider.says("/token", &tokens);
    }

    async fn come_back(&self, query: &str, cookie: &str, from: &str) -> Answer {
        let path = format!("/login/callback?{query}");
        let headers = [("cookie", cookie), ("x-forwarded-for", from)];
        visit(self.console, "GET", &path, &headers).await
    }

    /// Comes back from a login with an ID token that says so.
    async fn sign_in(&self, otherwise: &Value) -> Answer {
        let begun = self.begin().await;
        self.gives(&self.signer.sign(&self.claims(&begun, otherwise)));
        let query = format!("code=c-1&state={}", begun.asked["state"]);
        self.come_back(&query, &begun.cookie, "192.0.2.1").await
    }

    /// Who is logged in with these cookies.
    async fn session(&self, cookies: &str) -> (u16, Value) {
        let answer = visit(self.console, "GET", "/api/session", &[("cookie", cookies)]).await;
        (answer.status, serde_json::from_str(&answer.body).unwrap())
    }

    /// Nobody came in, and that is on record without a word that strangers chose.
    fn was_refused(&self, what: &str, answer: &Answer, why: &str) {
        let expected = (303, format!("/?refused={why}"));
        assert_eq!((answer.status, answer.location.clone()), expected, "{what}");
        assert!(
            answer.cookies.iter().all(|cookie| cookie.contains("-login=;")),
            "{what}: {answer:?}"
        );
        let act = self.acts().pop().unwrap();
        assert_eq!(
            (&*act.by, &*act.act, &*act.about["why"]),
            ("(nobody)", "login_failed", why),
            "{what}"
        );
        let said = format!("{act:?}");
        assert!(!said.contains("canary") && !said.contains("eyJ"), "{what}: {said}");
    }

    fn acts(&self) -> Vec<proxy_audit::Acted> {
        let entries = proxy_audit::tail(&self.guard.audit_dir(), u64::MAX).unwrap();
        let acts = entries.into_iter().filter_map(|entry| match entry.record {
            Record::Acted(acted) => Some(acted),
            _ => None,
        });
        acts.collect()
    }
}

#[tokio::test]
async fn who_has_a_role_at_the_provider_comes_in_and_goes() {
    let world = World::start().await;
    let ways = visit(world.console, "GET", "/api/ways-in", &[]).await;
    assert_eq!(
        serde_json::from_str::<Value>(&ways.body).unwrap(),
        json!({ "local": true, "provider": { "host": "127.0.0.1", "start": format!("https://{HOST}/login") } })
    );
    let begun = world.begin().await;
    let wanted = [
        ("response_type", "code"),
        ("client_id", CLIENT),
        ("redirect_uri", "https://review.example.com/login/callback"),
        ("scope", "openid profile email"),
        ("code_challenge_method", "S256"),
    ];
    for (name, value) in wanted {
        assert_eq!(begun.asked[name], value, "{name}");
    }
    world.gives(&world.signer.sign(&world.claims(&begun, &json!({}))));
    let query =
        format!("state={}&code=c%2B1&iss={}", begun.asked["state"], world.provider.issuer());
    let back = world.come_back(&query, &begun.cookie, "192.0.2.1").await;
    assert_eq!((back.status, &*back.location), (303, "/"));
    let [session, gone] = &back.cookies[..] else { panic!("{back:?}") };
    for part in ["__Host-portcullis=", "; Path=/;", "; HttpOnly", "; SameSite=Strict", "; Secure"] {
        assert!(session.contains(part), "{part}: {session}");
    }
    assert!(gone.starts_with("__Host-portcullis-login=;") && gone.contains("Max-Age=0"), "{gone}");

    let [redeemed] = &world.provider.asked("/token")[..] else { panic!("once") };
    let (head, form) = redeemed.split_once("\r\n\r\n").unwrap();
    // "guard:review" and the secret, both as a form has them, in Base64.
    let basic = "authorization: Basic Z3VhcmQlM0FyZXZpZXc6YStzZWNyZXQlMkZ3aXRoJTJCb2RkJTNEcGFydHM=";
    assert!(head.contains(basic), "{head}");
    let form: BTreeMap<String, String> =
        form_urlencoded::parse(form.as_bytes()).into_owned().collect();
    assert_eq!((&*form["grant_type"], &*form["code"]), ("authorization_code", "c+1"));
    assert_eq!(form["redirect_uri"], begun.asked["redirect_uri"]);
    assert_eq!(proxy_identity::challenge(&form["code_verifier"]), begun.asked["code_challenge"]);
    assert!(!form.contains_key("client_secret"));

    let cookie = pair(session);
    let (status, who) = world.session(&cookie).await;
    assert_eq!(
        (status, &who["user"], &who["role"]),
        (200, &json!("127.0.0.1:ann"), &json!("reviewer"))
    );
    // The local user of that name is somebody else, and nobody can be added under the other one.
    let users = Users::new(world.guard.audit_dir().join("console-users.json"));
    assert!(users.add("127.0.0.1:ann", Role::Viewer, PASSWORD).is_err());
    let leave = [("cookie", &*cookie), ("x-csrf-token", who["csrf"].as_str().unwrap())];
    let left = visit(world.console, "DELETE", "/api/session", &leave).await;
    let left: Value = serde_json::from_str(&left.body).unwrap();
    assert_eq!(left["then"], format!("{}/leave?client_id=guard%3Areview", world.provider.issuer()));
    assert_eq!(world.session(&cookie).await.0, 401);
    let acts = world.acts();
    let acts: Vec<_> = acts.iter().map(|act| (&*act.by, &*act.act)).collect();
    assert_eq!(acts, [("127.0.0.1:ann", "logged_in"), ("127.0.0.1:ann", "logged_out")]);
    let about = &world.acts()[0].about;
    assert_eq!(
        (&*about["subject"], &*about["role"], &*about["address"]),
        ("1234", "reviewer", "192.0.2.1")
    );

    let viewer = world.sign_in(&json!({ "groups": "staff" })).await;
    assert_eq!(world.session(&pair(&viewer.cookies[0])).await.1["role"], "viewer");
}

/// Somebody from an address of their own, so that nobody waits because others have failed.
fn stranger(number: usize) -> String {
    format!("198.51.100.{number}")
}

#[tokio::test]
async fn nobody_comes_in_with_what_another_browser_was_given() {
    let world = World::start().await;
    let (begun, other) = (world.begin().await, world.begin().await);
    let (state, another) = (&begun.asked["state"], &other.asked["state"]);
    let id_token = world.signer.sign(&world.claims(&begun, &json!({})));
    world.gives(&id_token);
    let altered = format!("code=c&state={}canary", &state[..state.len() - 1]);
    let query = format!("code=c&state={state}");
    for (number, (what, query, cookie)) in [
        ("no cookie", &query, ""),
        ("another cookie", &query, &*other.cookie),
        ("a made-up cookie", &query, "__Host-portcullis-login=600.canary.canary"),
        ("another state", &format!("code=c&state={another}"), &begun.cookie),
        ("altered state", &altered, &begun.cookie),
        ("no state", &"code=c".to_owned(), &begun.cookie),
    ]
    .into_iter()
    .enumerate()
    {
        let answer = world.come_back(query, cookie, &stranger(number)).await;
        world.was_refused(what, &answer, "stale");
    }
    assert!(world.provider.asked("/token").is_empty(), "the provider was not bothered");
    let well = world.come_back(&query, &begun.cookie, "192.0.2.1").await;
    assert_eq!(well.location, "/", "nobody else has used it up");
    let again = world.come_back(&query, &begun.cookie, "192.0.2.1").await;
    world.was_refused("a second time", &again, "stale");
    // What was issued for one login does not answer another.
    let query = format!("code=c&state={another}");
    let answer = world.come_back(&query, &other.cookie, "192.0.2.1").await;
    world.was_refused("another login's token", &answer, "unproven");
    // Who fails often waits, and nobody else does.
    let mut tired = String::new();
    for _ in 0..21 {
        tired = world.come_back("code=c&state=s", "", "203.0.113.1").await.location;
    }
    assert_eq!(tired, "/?refused=often");
    assert_eq!(world.sign_in(&json!({})).await.location, "/");
}

#[tokio::test]
async fn nobody_comes_in_with_what_the_provider_did_not_say_of_them() {
    let world = World::start().await;
    let forger = Signer::new("rsa", Algorithm::RS256);
    for (number, (what, otherwise, why)) in [
        ("another nonce", json!({ "nonce": "canary" }), "unproven"),
        ("no nonce", json!({ "nonce": null }), "unproven"),
        ("another audience", json!({ "aud": "canary" }), "unproven"),
        ("no audience", json!({ "aud": null }), "unproven"),
        ("issued to somebody else", json!({ "azp": "canary" }), "unproven"),
        ("for others too", json!({ "aud": [CLIENT, "canary"] }), "unproven"),
        ("another issuer", json!({ "iss": "https://canary.example" }), "unproven"),
        ("expired", json!({ "exp": now() - 90 }), "unproven"),
        ("without end", json!({ "exp": null }), "unproven"),
        ("nobody", json!({ "sub": "" }), "unproven"),
        ("another access token", json!({ "at_hash": "77QmUPtjPfzWtF2AnpK9RQ" }), "unproven"),
        ("no role", json!({ "groups": ["canary"] }), "no_role"),
        ("no groups", json!({ "groups": null }), "no_role"),
        ("no name", json!({ "preferred_username": null }), "unnamed"),
        ("an empty name", json!({ "preferred_username": "" }), "unnamed"),
        ("a name of two lines", json!({ "preferred_username": "ann\ncanary" }), "unnamed"),
        ("a name like another", json!({ "preferred_username": "\u{0430}nn" }), "unnamed"),
    ]
    .into_iter()
    .enumerate()
    {
        let begun = world.begin().await;
        world.gives(&world.signer.sign(&world.claims(&begun, &otherwise)));
        let query = format!("code=c&state={}", begun.asked["state"]);
        let answer = world.come_back(&query, &begun.cookie, &stranger(number)).await;
        world.was_refused(what, &answer, why);
    }
    let part = |json: &Value| BASE64URL_NOPAD.encode(json.to_string().as_bytes());
    let mut by_secret = Header::new(Algorithm::HS256);
    by_secret.kid = Some("rsa".to_owned());
    let secret = EncodingKey::from_secret(SECRET.as_bytes());
    for (number, what) in ["another key", "no signature", "our secret"].into_iter().enumerate() {
        let begun = world.begin().await;
        let claims = world.claims(&begun, &json!({}));
        world.gives(&match what {
            "another key" => forger.sign(&claims),
            "no signature" => format!("{}.{}.", part(&json!({ "alg": "none" })), part(&claims)),
            _ => encode(&by_secret, &claims, &secret).unwrap(),
        });
        let query = format!("code=c&state={}", begun.asked["state"]);
        let answer = world.come_back(&query, &begun.cookie, &stranger(100 + number)).await;
        world.was_refused(what, &answer, "unproven");
    }
    let good = json!({ "aud": [CLIENT, "another"], "azp": CLIENT });
    assert_eq!(world.sign_in(&good).await.location, "/", "for others too, but issued to us");
}

#[tokio::test]
async fn a_provider_that_is_odd_lets_nobody_in_and_keeps_nobody_out() {
    let world = World::start().await;
    let metadata = world.provider.metadata();
    let with = |name: &str, value: &str| {
        let mut metadata = metadata.clone();
        metadata[name] = json!(value);
        ("200 OK", metadata.to_string())
    };
    let large = format!("{{\"a\": \"{}\"}}", "a".repeat(300_000));
    for (what, (status, body)) in [
        ("broken", ("500 Oops", String::new())),
        ("elsewhere", ("302 Found\r\nlocation: /elsewhere", String::new())),
        ("no metadata", ("200 OK", "<html>".to_owned())),
        ("too large", ("200 OK", large)),
        ("another issuer", with("issuer", &format!("{}/", world.provider.issuer()))),
        ("keys by http", with("jwks_uri", "http://login.example.com/keys")),
        ("tokens by http", with("token_endpoint", "http://login.example.com/token")),
        ("keys elsewhere", with("jwks_uri", "http://127.0.0.1:1/keys")),
    ] {
        world.provider.answers(WELL_KNOWN, status, &body);
        let answer = visit(world.console, "GET", "/login", &[]).await;
        assert_eq!(answer.location, "/?refused=provider", "{what}");
        assert!(answer.cookies.is_empty(), "{what}");
    }
    // Local users still may.
    let body = json!({ "name": "ann", "password": PASSWORD }).to_string();
    let request = format!(
        "POST /api/session HTTP/1.1\r\nhost: {HOST}\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    assert_eq!(crate::support::raw(world.console, request.as_bytes()).await.status, 200);

    let mut metadata = metadata.clone();
    metadata["authorization_response_iss_parameter_supported"] = json!(true);
    world.provider.says(WELL_KNOWN, &metadata);
    let issuer = world.provider.issuer();
    let good = ("200 OK", "good");
    for (number, (what, more, (status, body), why)) in [
        ("no", "error=access_denied", good, "denied"),
        ("no in odd words", "error=%3Ccanary%3E&code=c", good, "denied"),
        ("no code", "", good, "denied"),
        ("does not say who it is", "code=c", good, "unproven"),
        ("is another", "code=c&iss=https%3A%2F%2Fcanary.example", good, "unproven"),
        (
            "refuses the code",
            "code=c&iss=",
            ("400 No", "{\"error\": \"invalid_grant\"}"),
            "provider",
        ),
        ("has another idea", "code=c&iss=", ("302 Found\r\nlocation: /token2", ""), "provider"),
        ("gives nothing", "code=c&iss=", ("200 OK", "{}"), "provider"),
        ("gives no token", "code=c&iss=", ("200 OK", "{\"id_token\": \"canary\"}"), "unproven"),
    ]
    .into_iter()
    .enumerate()
    {
        let begun = world.begin().await;
        match body {
            "good" => world.gives(&world.signer.sign(&world.claims(&begun, &json!({})))),
            body => world.provider.answers("/token", status, body),
        }
        let more =
            more.strip_suffix("iss=").map_or(more.to_owned(), |more| format!("{more}iss={issuer}"));
        let query = format!("{more}&state={}", begun.asked["state"]);
        let answer = world.come_back(&query, &begun.cookie, &stranger(number)).await;
        world.was_refused(what, &answer, why);
    }
    let begun = world.begin().await;
    world.gives(&world.signer.sign(&world.claims(&begun, &json!({}))));
    let query = format!("code=c&state={}&iss={issuer}", begun.asked["state"]);
    assert_eq!(world.come_back(&query, &begun.cookie, "192.0.2.1").await.location, "/");
}

#[tokio::test]
async fn what_is_not_in_the_token_is_asked_for_where_that_is_said() {
    let more = "    userinfo: true\n    name_claim: email\n    session_minutes: 30\n  local_users: false\n";
    let post_only = |provider: &Provider| {
        let mut metadata = provider.metadata();
        metadata["token_endpoint_auth_methods_supported"] = json!(["client_secret_post"]);
        provider.says(WELL_KNOWN, &metadata);
    };
    let world = World::with(more, post_only).await;
    let bare = json!({ "groups": null, "preferred_username": null });
    for (userinfo, location) in [
        (
            json!({ "sub": "12345", "email": "ann@example.com", "groups": ["trust"] }),
            "/?refused=unproven",
        ),
        (json!({ "email": "ann@example.com", "groups": ["trust"] }), "/?refused=unproven"),
        (json!({ "sub": "1234", "email": "ann@example.com" }), "/?refused=no_role"),
        (json!({ "sub": "1234", "email": "ann@example.com", "groups": ["trust"] }), "/"),
    ] {
        world.provider.says("/userinfo", &userinfo);
        assert_eq!(world.sign_in(&bare).await.location, location, "{userinfo}");
    }
    let asked = world.provider.asked("/userinfo");
    assert!(asked.iter().all(|request| request.contains("authorization: Bearer at-1\r\n")));
    let redeemed = world.provider.asked("/token");
    assert!(redeemed.iter().all(|request| !request.contains("authorization:")));
    assert!(
        redeemed
            .iter()
            .all(|request| request.contains("client_secret=a+secret%2Fwith%2Bodd%3Dparts"))
    );
    assert_eq!(world.acts().pop().unwrap().by.to_string(), "127.0.0.1:ann@example.com");
    let answer = visit(world.console, "POST", "/api/session", &[]).await;
    assert_eq!(answer.status, 403, "nobody comes in by a password: {}", answer.body);
    let ways = visit(world.console, "GET", "/api/ways-in", &[]).await.body;
    assert!(ways.contains("\"local\":false"), "{ways}");
}

#[test]
fn settings_that_would_let_anybody_in_are_refused() {
    let dir = TempDir::new().unwrap();
    let base = BTreeMap::from([
        ("issuer", "https://login.example.com"),
        ("client_id", "portcullis"),
        ("roles", "[{ role: viewer, when: { groups: staff } }]"),
    ]);
    for (name, value, said) in [
        ("issuer", "http://login.example.com", "must be an https address"),
        ("issuer", "login.example.com", "must be an https address"),
        ("client_id", "''", "`client_id` is what"),
        ("client_secret_file", "/nowhere", "/nowhere cannot be read"),
        ("redirect_url", "http://review.example.com/login/callback", "`redirect_url` is https://"),
        ("redirect_url", "https://review.example.com/callback", "`redirect_url` is https://"),
        ("roles", "[]", "`roles` says who"),
        ("roles", "[{ role: viewer, when: {} }]", "`roles` says who"),
        ("roles", "[{ role: admin, when: { groups: staff } }]", "admin"),
        ("session_minutes", "601", "1 to 600"),
        ("secret", "x", "unknown"),
    ] {
        let mut oidc = base.clone();
        oidc.insert(name, value);
        let lines: Vec<String> =
            oidc.iter().map(|(name, value)| format!("    {name}: {value}\n")).collect();
        let error = start_with(&dir, &format!("console:\n  oidc:\n{}", lines.concat()));
        assert!(error.contains(said), "{name}: {value}: {error}");
    }
    let nobody = start_with(&dir, "console: { local_users: false }\n");
    assert!(nobody.contains("lets nobody log in"), "{nobody}");
}

/// What the guard says of settings with which it does not start.
fn start_with(dir: &TempDir, settings: &str) -> String {
    let config = dir.path().join("server.yaml");
    std::fs::write(&config, settings).unwrap();
    let upstream = ["serve", "--upstream", "http://127.0.0.1:1", "--listen", "127.0.0.1:0"];
    let output = std::process::Command::new(Guard::binary())
        .args(upstream)
        .arg("--audit-dir")
        .arg(dir.path().join("audit"))
        .arg("--config")
        .arg(config)
        .output()
        .unwrap();
    assert!(!output.status.success());
    String::from_utf8_lossy(&output.stderr).into_owned()
}
