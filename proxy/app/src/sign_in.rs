//! Logging in to the review page by a provider of identities (OpenID Connect), as `console: { oidc: ... }` in server.yaml
//! says.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use data_encoding::BASE64;
use form_urlencoded::{Serializer, byte_serialize};
use http::{Request, StatusCode, Uri, header};
use http_body_util::Full;
use proxy_console::{Brought, CALLBACK, Login, Person, Provider, Refusal, Refused, Role, SignIn};
use proxy_identity::{
    Claims, Client, Discovered, Fault, KeySet, Requirement, challenge, is_safe, well_known,
};
use serde::Deserialize;
use tokio::runtime::Handle;
use tokio::sync::Mutex;

use crate::config::read_key;
use crate::failure::Failure;
use crate::provider::Fetcher;
use crate::tokens::{OneOf, requirements};

/// What is asked for besides `openid`: names.
const SCOPES: [&str; 2] = ["profile", "email"];
/// What people are called by.
const NAME_CLAIM: &str = "preferred_username";
/// The longest name that records have, in bytes, with the provider's host before it.
const NAME_BYTES: usize = 200;
/// After how long a session ends at most, in minutes: that of a local user.
const SESSION_MINUTES: u64 = 600;
/// How old what is known of a provider may be.
const REFRESH: Duration = Duration::from_secs(300);
/// How old it may be where it does not have the key that a token names.
const PAUSE: Duration = Duration::from_secs(10);

/// `oidc` as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OidcFile {
    /// What the provider calls itself.
    issuer: String,
    /// What it calls us.
    client_id: String,
    /// Holds the secret by which it knows us; without it we are a public client.
    client_secret_file: Option<PathBuf>,
    /// Where people come back to, if not to the console's own name.
    redirect_url: Option<String>,
    scopes: Option<Vec<String>>,
    /// Which claim is somebody's name.
    name_claim: Option<String>,
    /// Who may do what; the role that may do most counts.
    roles: Vec<RoleFile>,
    /// Whether the provider's userinfo is asked too, for claims that are not in its ID tokens.
    #[serde(default)]
    userinfo: bool,
    session_minutes: Option<u64>,
    /// Certificate authorities that it is trusted by, in place of the system's.
    ca_file: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RoleFile {
    role: Role,
    when: BTreeMap<String, OneOf>,
}

/// A provider of identities by which people log in.
#[derive(Debug)]
pub(crate) struct OpenId {
    client: Client,
    secret: Option<String>,
    host: String,
    redirect_url: Option<String>,
    scopes: String,
    name_claim: String,
    roles: Vec<(Role, Vec<Requirement>)>,
    userinfo: bool,
    longest: Duration,
    fetcher: Fetcher,
    known: Mutex<Option<Arc<Known>>>,
}

/// What a provider said of itself, and its keys.
#[derive(Debug)]
struct Known {
    /// Where people log in, and where what they bring back is redeemed.
    login: String,
    token: String,
    about: Discovered,
    keys: KeySet,
    since: Instant,
}

impl OpenId {
    /// What the file says, checked; nothing is fetched.
    pub(crate) fn read(file: OidcFile) -> Result<Self, Failure> {
        let wrong = |why: &str| Failure::Usage(format!("console: oidc: {why}"));
        let uri: Option<Uri> = file.issuer.parse().ok();
        let host = uri.as_ref().and_then(Uri::host).filter(|_| well_known(&file.issuer).is_some());
        let host = host.ok_or_else(|| {
            wrong("`issuer` must be an https address, or one on this machine, without ? and #")
        })?;
        let callback = |url: &String| is_safe(url) && origin(url).is_some();
        if file.redirect_url.as_ref().is_some_and(|url| !callback(url)) {
            return Err(wrong(&format!(
                "`redirect_url` is https://, the console's name, and {CALLBACK}"
            )));
        }
        if file.roles.is_empty() || file.roles.iter().any(|role| role.when.is_empty()) {
            return Err(wrong(
                "`roles` says who may do what: without `role` and what a token must say (`when`) nobody could log in",
            ));
        }
        let minutes = file.session_minutes.unwrap_or(SESSION_MINUTES);
        if !(1..=SESSION_MINUTES).contains(&minutes) {
            return Err(wrong("`session_minutes` is 1 to 600"));
        }
        let client = Client::new(file.client_id, &file.issuer)
            .map_err(|_| wrong("`client_id` is what the provider calls this console"))?;
        let scopes = file.scopes.unwrap_or_else(|| SCOPES.map(str::to_owned).to_vec());
        let scopes = scopes.iter().map(String::as_str).filter(|scope| *scope != "openid");
        Ok(Self {
            secret: file.client_secret_file.as_deref().map(read_key).transpose()?,
            host: host.to_owned(),
            redirect_url: file.redirect_url,
            scopes: ["openid"].into_iter().chain(scopes).collect::<Vec<_>>().join(" "),
            name_claim: file.name_claim.unwrap_or_else(|| NAME_CLAIM.to_owned()),
            roles: file.roles.into_iter().map(|one| (one.role, requirements(one.when))).collect(),
            userinfo: file.userinfo,
            longest: Duration::from_secs(minutes * 60),
            fetcher: Fetcher::new("console: oidc", file.ca_file.as_deref(), client.issuer())?,
            client,
            known: Mutex::new(None),
        })
    }

    /// What it calls itself.
    pub(crate) fn issuer(&self) -> &str {
        self.client.issuer()
    }

    /// For a console that listens at `address`, in TLS or not, and is called by `hosts`; the host where people come back
    /// to is one of them from now on.
    pub(crate) fn serve(
        self: &Arc<Self>,
        (address, secure): (SocketAddr, bool),
        hosts: &mut Vec<String>,
    ) -> Result<SignIn, Failure> {
        let derived = || {
            let named = hosts.first().cloned();
            let own = (!address.ip().is_unspecified()).then(|| address.to_string());
            let scheme = if secure { "https" } else { "http" };
            Some(format!("{scheme}://{}{CALLBACK}", named.or(own)?))
        };
        let url = self.redirect_url.clone().or_else(derived).filter(|url| is_safe(url));
        let origin = url
            .as_deref()
            .and_then(origin)
            .filter(|origin| !secure || origin.starts_with("https:"));
        let origin = origin.ok_or_else(|| {
            Failure::Usage(format!(
                "console: where do people come back to from the provider? give `hosts`, or `oidc: {{ redirect_url: \
                 \"https://review.example.com{CALLBACK}\" }}`"
            ))
        })?;
        hosts.extend(origin.split_once("://").map(|(_, host)| host.to_owned()));
        tracing::info!(
            issuer = self.issuer(),
            redirect_url = format!("{origin}{CALLBACK}"),
            "people log in to the review page by this provider, which must know that address"
        );
        let provider =
            Served { open_id: Arc::clone(self), redirect_url: format!("{origin}{CALLBACK}") };
        Ok(SignIn {
            provider: Arc::new(provider),
            origin: origin.to_owned(),
            longest: self.longest,
        })
    }

    /// Asks the provider once: how many keys it has, or why nobody can log in by it.
    pub(crate) async fn try_once(&self) -> Result<usize, Failure> {
        Ok(self.known(Duration::ZERO).await?.keys.len())
    }

    /// What the provider says of itself, and its keys, not older than `age`. Who comes meanwhile waits for the same.
    async fn known(&self, age: Duration) -> Result<Arc<Known>, Failure> {
        let mut known = self.known.lock().await;
        if let Some(known) = known.as_ref().filter(|known| known.since.elapsed() < age) {
            return Ok(Arc::clone(known));
        }
        let about = self.fetcher.discover(self.issuer()).await?;
        let keys = self.fetcher.keys(&about.jwks_uri).await?;
        let missing = |name: &str| {
            Failure::Environment(format!("{} says nothing of its `{name}`", self.issuer()))
        };
        let login = about.authorization_endpoint.clone();
        let login = login.ok_or_else(|| missing("authorization_endpoint"))?;
        let token = about.token_endpoint.clone().ok_or_else(|| missing("token_endpoint"))?;
        let fresh = Arc::new(Known { login, token, about, keys, since: Instant::now() });
        *known = Some(Arc::clone(&fresh));
        Ok(fresh)
    }

    /// Who holds these claims.
    fn person(&self, claims: &Claims) -> Result<Person, Refusal> {
        let roles = self.roles.iter().filter(|(_, when)| claims.hold(when));
        let role = roles
            .map(|(role, _)| *role)
            .max()
            .ok_or_else(|| Refusal::new(Refused::NoRole, "nothing in `roles` is true of them"))?;
        // A colon and a host: no local user has such a name, and nobody of another provider.
        let name = claims.text(&self.name_claim).map(|name| format!("{}:{name}", self.host));
        let fits = |name: &String| {
            !name.ends_with(':')
                && name.len() <= NAME_BYTES
                && name.bytes().all(|b| b.is_ascii_graphic())
        };
        let name = name.filter(fits).ok_or_else(|| {
            let claim = &self.name_claim;
            Refusal::new(
                Refused::Unnamed,
                format!("`{claim}` is missing, or has more than printable ASCII without blanks; see `name_claim`"),
            )
        })?;
        let subject = claims.text("sub").unwrap_or_default().to_owned();
        Ok(Person { name, subject, role })
    }
}

/// A provider, and where people come back to from it.
#[derive(Debug)]
struct Served {
    open_id: Arc<OpenId>,
    redirect_url: String,
}

#[derive(Deserialize)]
struct Tokens {
    id_token: String,
    access_token: Option<String>,
}

impl Provider for Served {
    fn host(&self) -> &str {
        &self.open_id.host
    }

    fn ask(&self, login: &Login) -> Result<String, Refusal> {
        let known = Handle::current().block_on(self.open_id.known(REFRESH)).map_err(at_provider)?;
        let query = Serializer::new(String::new())
            .append_pair("response_type", "code")
            .append_pair("client_id", self.open_id.client.id())
            .append_pair("redirect_uri", &self.redirect_url)
            .append_pair("scope", &self.open_id.scopes)
            .append_pair("state", &login.state)
            .append_pair("nonce", &login.nonce)
            .append_pair("code_challenge", &challenge(&login.verifier))
            .append_pair("code_challenge_method", "S256")
            .finish();
        Ok(with_query(&known.login, &query))
    }

    fn redeem(&self, brought: &Brought, login: &Login) -> Result<Person, Refusal> {
        Handle::current().block_on(self.person(brought, login))
    }

    fn leave(&self) -> Option<String> {
        let known = Handle::current().block_on(self.open_id.known.lock()).clone()?;
        let url = known.about.end_session_endpoint.as_deref()?;
        let query = Serializer::new(String::new())
            .append_pair("client_id", self.open_id.client.id())
            .finish();
        Some(with_query(url, &query))
    }
}

impl Served {
    async fn person(&self, brought: &Brought, login: &Login) -> Result<Person, Refusal> {
        let open_id = &*self.open_id;
        let known = open_id.known(REFRESH).await.map_err(at_provider)?;
        let from = brought.issuer.as_deref();
        if from.is_some_and(|from| from != open_id.issuer())
            || from.is_none() && known.about.says_issuer
        {
            let detail = "whoever came back does not come from this provider (`iss`)";
            return Err(Refusal::new(Refused::Unproven, detail));
        }
        let Tokens { id_token, access_token } = self.tokens(brought, login, &known).await?;
        let tokens = (&*id_token, access_token.as_deref());
        let believe = |keys: &KeySet| open_id.client.believe(tokens, keys, &login.nonce);
        let claims = match believe(&known.keys) {
            Err(Fault::UnknownKey) => {
                let known = open_id.known(PAUSE).await.map_err(at_provider)?;
                believe(&known.keys)
            }
            judged => judged,
        };
        let mut claims = claims.map_err(unproven)?;
        if open_id.userinfo {
            claims = self.ask_more(claims, access_token.as_deref(), &known).await?;
        }
        open_id.person(&claims)
    }

    /// What the provider gives for a code.
    async fn tokens(
        &self,
        brought: &Brought,
        login: &Login,
        known: &Known,
    ) -> Result<Tokens, Refusal> {
        let url = &known.token;
        let answer = self.open_id.fetcher.send(url, self.redeeming(brought, login, known)).await;
        let (status, body) = answer.map_err(at_provider)?;
        if status != StatusCode::OK {
            let detail = format!("{url}: status {} {}", status.as_u16(), error_code(&body));
            return Err(Refusal::new(Refused::Provider, detail));
        }
        serde_json::from_slice(&body).map_err(|_| {
            Refusal::new(Refused::Provider, format!("{url}: there is no ID token in its answer"))
        })
    }

    fn redeeming(
        &self,
        brought: &Brought,
        login: &Login,
        known: &Known,
    ) -> Request<Full<bytes::Bytes>> {
        let (id, secret) = (self.open_id.client.id(), self.open_id.secret.as_deref());
        let mut form = Serializer::new(String::new());
        form.append_pair("grant_type", "authorization_code")
            .append_pair("code", &brought.code)
            .append_pair("redirect_uri", &self.redirect_url)
            .append_pair("code_verifier", &login.verifier);
        let in_body = known.about.takes_secret_in_body();
        let basic = secret.filter(|_| !in_body).map(|secret| basic(id, secret));
        if basic.is_none() {
            form.append_pair("client_id", id);
        }
        if let Some(secret) = secret.filter(|_| in_body) {
            form.append_pair("client_secret", secret);
        }
        let mut request = Request::new(Full::from(form.finish()));
        *request.method_mut() = http::Method::POST;
        let media = http::HeaderValue::from_static("application/x-www-form-urlencoded");
        request.headers_mut().insert(header::CONTENT_TYPE, media);
        if let Some(basic) = basic {
            request.headers_mut().insert(header::AUTHORIZATION, basic);
        }
        request
    }

    /// The claims, and those that only the provider's userinfo has.
    async fn ask_more(
        &self,
        claims: Claims,
        access_token: Option<&str>,
        known: &Known,
    ) -> Result<Claims, Refusal> {
        let (Some(url), Some(token)) = (&known.about.userinfo_endpoint, access_token) else {
            let detail = "there is no userinfo to ask; see `userinfo`";
            return Err(Refusal::new(Refused::Provider, detail));
        };
        let mut request = Request::new(Full::default());
        if let Ok(bearer) = http::HeaderValue::from_str(&format!("Bearer {token}")) {
            request.headers_mut().insert(header::AUTHORIZATION, bearer);
        }
        match self.open_id.fetcher.send(url, request).await.map_err(at_provider)? {
            (StatusCode::OK, body) => claims.and(&body).map_err(unproven),
            (status, _) => {
                let detail = format!("{url}: status {}", status.as_u16());
                Err(Refusal::new(Refused::Provider, detail))
            }
        }
    }
}

fn at_provider(failure: Failure) -> Refusal {
    Refusal::new(Refused::Provider, failure.to_string())
}

fn unproven(fault: Fault) -> Refusal {
    Refusal::new(Refused::Unproven, format!("{}: {fault}", fault.code()))
}

/// Us and our secret, as `Authorization` (RFC 6749, section 2.3.1).
fn basic(id: &str, secret: &str) -> http::HeaderValue {
    let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
    let both = BASE64.encode(format!("{}:{}", encoded(id), encoded(secret)).as_bytes());
    // Base64 is always a header's value.
    http::HeaderValue::from_str(&format!("Basic {both}"))
        .unwrap_or(http::HeaderValue::from_static(""))
}

/// The error that a token endpoint names, if it is one of the codes that there are.
fn error_code(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Says {
        error: String,
    }
    let said = serde_json::from_slice::<Says>(body).map(|says| says.error).unwrap_or_default();
    let is_code = said.len() < 64 && said.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    if is_code { said } else { String::new() }
}

/// Where the console is that people come back to at `url`.
fn origin(url: &str) -> Option<&str> {
    let origin = url.strip_suffix(CALLBACK)?;
    origin.split_once("://").filter(|(_, host)| !host.contains(['/', '?', '#']))?;
    Some(origin)
}

fn with_query(url: &str, query: &str) -> String {
    let joint = if url.contains('?') { '&' } else { '?' };
    format!("{url}{joint}{query}")
}
