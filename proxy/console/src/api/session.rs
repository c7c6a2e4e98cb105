//! Logging in and out.

use std::time::Instant;

use http::{StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Asking;
use crate::access::{Role, Session};
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

/// `POST /api/session`
pub(super) fn log_in(console: &Shared, request: &Request) -> Result<Reply, Problem> {
    let Credentials { name, password } = request.json()?;
    console.attempts.attempt(&name, request.remote, Instant::now()).map_err(|wait| {
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
    console.attempts.succeeded(&name, request.remote);
    if console.journal.is_some() {
        console.act(&name, "logged_in", address)?;
    }
    let (token, session) = console
        .sessions
        .begin((&name, &account), Instant::now())
        .map_err(|error| Problem::ours("there are no random numbers", &error))?;
    let mut reply = Reply::json(&described(console, &session, account.role));
    reply.header(header::SET_COOKIE, cookie(console, &token, ""));
    Ok(reply)
}

/// `GET /api/session`
pub(super) fn show(asking: &Asking<'_>, _: &[&str]) -> Result<Reply, Problem> {
    Ok(Reply::json(&described(asking.console, &asking.session, asking.role)))
}

/// `DELETE /api/session`
pub(super) fn log_out(asking: &Asking<'_>, _: &[&str]) -> Result<Reply, Problem> {
    let console = asking.console;
    if let Some(token) = asking.request.cookie(cookie_name(console)) {
        console.sessions.end(token);
    }
    console.index.clear_desk(asking.user())?;
    if console.journal.is_some() {
        console.act(asking.user(), "logged_out", None)?;
    }
    let mut reply = Reply::json(&json!({}));
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
