//! Logging in by a provider of identities: to it and back (OpenID Connect, authorization code flow with PKCE).

use std::time::Instant;

use http::header;

use super::session;
use crate::access::{Brought, LOGIN_TIME, Person, Refusal, Refused, SignIn, Whose};
use crate::console::Shared;
use crate::request::Request;
use crate::respond::Reply;

/// Longest code that is taken to the provider, in bytes.
const CODE_BYTES: usize = 4096;
/// Who is on record as the one who was not let in.
const NOBODY: &str = "(nobody)";

/// `GET /login`: to the provider.
pub(super) fn begin(console: &Shared, sign_in: &SignIn) -> Reply {
    let (kept, login) = match console.logins.begin(Instant::now()) {
        Ok(begun) => begun,
        Err(error) => {
            tracing::error!(%error, "there are no random numbers");
            return refused("failed");
        }
    };
    match sign_in.provider.ask(&login) {
        Ok(url) => {
            let mut reply = Reply::redirect(url);
            // Coming back is a step from another site's page, and only `Lax` goes along with that.
            reply.header(header::SET_COOKIE, cookie(console, &kept, LOGIN_TIME.as_secs()));
            reply
        }
        Err(Refusal { why, detail }) => {
            tracing::warn!(
                provider = sign_in.provider.host(),
                detail,
                "nobody can log in by the provider"
            );
            refused(why.code())
        }
    }
}

/// `GET /login/callback`: back from there.
pub(super) fn come_back(console: &Shared, sign_in: &SignIn, request: &Request) -> Reply {
    if console.attempts.attempt(None, request.remote, Instant::now()).is_err() {
        return refused("often");
    }
    let outcome = match person(console, sign_in, request) {
        Ok(person) => {
            console.attempts.succeeded(None, request.remote);
            let_in(console, sign_in, request, &person)
        }
        Err(refusal) => turn_away(console, sign_in, request, refusal),
    };
    let mut reply = outcome.unwrap_or_else(|| refused("failed"));
    reply.header(header::SET_COOKIE, cookie(console, "", 0));
    reply
}

/// Who comes back, if it is the end of a login that this browser has begun.
fn person(console: &Shared, sign_in: &SignIn, request: &Request) -> Result<Person, Refusal> {
    let kept = request.cookie(cookie_name(console)).unwrap_or_default();
    let state = request.query("state").unwrap_or_default();
    let login = console.logins.end(kept, &state, Instant::now());
    let login = login.map_err(|why| Refusal::new(Refused::Stale, why))?;
    if let Some(error) = request.query("error") {
        let is_code = |c: char| c.is_ascii_lowercase() || c == '_';
        let known = error.len() < 64 && error.chars().all(is_code);
        let detail = if known { &*error } else { "in words that are no error code" };
        return Err(Refusal::new(Refused::Denied, format!("the provider says no: {detail}")));
    }
    let code = request.query("code").filter(|code| !code.is_empty() && code.len() <= CODE_BYTES);
    let code = code.ok_or_else(|| Refusal::new(Refused::Denied, "there is no code"))?;
    sign_in.provider.redeem(&Brought { code, issuer: request.query("iss") }, &login)
}

/// On record first; nothing where that fails.
fn let_in(console: &Shared, sign_in: &SignIn, request: &Request, person: &Person) -> Option<Reply> {
    let about = [("subject", person.subject.clone()), ("role", person.role.to_string())];
    let about = about.into_iter().chain(from(sign_in, request));
    if console.journal.is_some() {
        console.act(&person.name, "logged_in", about).ok()?;
    }
    let whose = Whose::Provider(person.role, sign_in.longest);
    let (_, cookie) = session::begin(console, &person.name, whose).ok()?;
    let mut reply = Reply::redirect("/".to_owned());
    reply.header(header::SET_COOKIE, cookie);
    Some(reply)
}

fn turn_away(
    console: &Shared,
    sign_in: &SignIn,
    request: &Request,
    Refusal { why, detail }: Refusal,
) -> Option<Reply> {
    tracing::warn!(
        provider = sign_in.provider.host(),
        why = why.code(),
        detail,
        "somebody came from the provider and was not let in"
    );
    let about = [("why", why.code().to_owned()), ("detail", detail)];
    let about = about.into_iter().chain(from(sign_in, request));
    if console.journal.is_some() {
        console.act(NOBODY, "login_failed", about).ok()?;
    }
    Some(refused(why.code()))
}

/// Where somebody comes from.
fn from(
    sign_in: &SignIn,
    request: &Request,
) -> impl Iterator<Item = (&'static str, String)> + use<> {
    let address = request.remote.map(|address| ("address", address.to_string()));
    [("provider", sign_in.provider.host().to_owned())].into_iter().chain(address)
}

/// To the page, which says why.
fn refused(code: &str) -> Reply {
    Reply::redirect(format!("/?refused={code}"))
}

/// The cookie that holds what a login is made from.
const fn cookie_name(console: &Shared) -> &'static str {
    if console.secure { "__Host-portcullis-login" } else { "portcullis-login" }
}

fn cookie(console: &Shared, value: &str, seconds: u64) -> String {
    let secure = if console.secure { "; Secure" } else { "" };
    let name = cookie_name(console);
    format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}")
}
