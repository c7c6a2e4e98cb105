//! Logging in and out.

use std::time::Instant;

use http::{StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Asking;
use crate::access::{Role, Session, Whose};
use crate::console::{READ_ONLY, Shared};
use crate::request::Request;
use crate::respond::{Problem, Reply};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Credentials {
    name: String,
    password: String,
}

/// The cookie that holds the session's token. In TLS its name makes browsers hold it to this very host.
pub(super) const fn cookie_name(console: &Shared) -> &'static str {
    if console.secure { "__Host-portcullis" } else { "portcullis" }
}

/// `GET /api/ways-in`: how people log in here.
pub(super) fn ways_in(console: &Shared) -> Reply {
    let provider = console.sign_in.as_ref().map(|sign_in| {
        let start = format!("{}/login", sign_in.origin);
        json!({ "host": sign_in.provider.host(), "start": start })
    });
    Reply::json(&json!({ "local": console.local_users, "provider": provider }))
}

/// `POST /api/session`
pub(super) fn log_in(console: &Shared, request: &Request) -> Result<Reply, Problem> {
    if !console.local_users {
        return Err(Problem::forbidden("Nobody logs in by a password here."));
    }
    let Credentials { name, password } = request.json()?;
    console.attempts.attempt(Some(&name), request.remote, Instant::now()).map_err(|wait| {
        let seconds = wait.as_secs() + 1;
        let message = format!("Too many attempts. Try again in {} minutes.", seconds.div_ceil(60));
        let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, message);
        Problem { retry_after: Some(seconds), ..problem }
    })?;
    let checked = console.users.check(&name, &password)?;
    let address = request.remote.map(|address| ("address", address.to_string()));
    let Some(account) = checked else {
        if console.journal.is_some() {
            console.act("(nobody)", "login_failed", address)?;
        }
        return Err(Problem::new(StatusCode::UNAUTHORIZED, "Name or password is wrong."));
    };
    console.attempts.succeeded(Some(&name), request.remote);
    if console.journal.is_some() {
        console.act(&name, "logged_in", address)?;
    }
    let (session, cookie) = begin(console, &name, Whose::Local(account))?;
    let mut reply = Reply::json(&described(console, &session, account.role));
    reply.header(header::SET_COOKIE, cookie);
    Ok(reply)
}

/// Begins a session, with the cookie that holds it.
pub(super) fn begin(
    console: &Shared,
    user: &str,
    whose: Whose,
) -> Result<(Session, String), Problem> {
    let begun = console.sessions.begin(user, whose, Instant::now());
    let (token, session) =
        begun.map_err(|error| Problem::ours("there are no random numbers", &error))?;
    Ok((session, cookie(console, &token, "")))
}

/// `GET /api/session`
pub(super) fn show(asking: &Asking<'_>, _: &[&str]) -> Result<Reply, Problem> {
    Ok(Reply::json(&described(asking.console, &asking.session, asking.role)))
}

/// `DELETE /api/session`: `then` is where to log out besides.
pub(super) fn log_out(asking: &Asking<'_>, _: &[&str]) -> Result<Reply, Problem> {
    let console = asking.console;
    if let Some(token) = asking.request.cookie(cookie_name(console)) {
        console.sessions.end(token);
    }
    console.index.clear_desk(asking.user())?;
    if console.journal.is_some() {
        console.act(asking.user(), "logged_out", None)?;
    }
    let then = match (asking.session.whose, &console.sign_in) {
        (Whose::Provider(..), Some(sign_in)) => sign_in.provider.leave(),
        _ => None,
    };
    let mut reply = Reply::json(&json!({ "then": then }));
    reply.header(header::SET_COOKIE, cookie(console, "", "; Max-Age=0"));
    Ok(reply)
}

fn described(console: &Shared, session: &Session, role: Role) -> Value {
    json!({
        "user": session.user,
        "role": role,
        "csrf": session.csrf,
        "policy": console.rules.policy().label(),
        "read_only": console.journal.is_none().then_some(READ_ONLY),
        // Where even that cannot be read, whatever is asked next says so.
        "unsound": console.index.unsound().ok().flatten().map(|unsound| unsound.to_string()),
    })
}

fn cookie(console: &Shared, token: &str, more: &str) -> String {
    let secure = if console.secure { "; Secure" } else { "" };
    format!("{}={token}; Path=/; HttpOnly; SameSite=Strict{secure}{more}", cookie_name(console))
}
