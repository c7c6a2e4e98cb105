//! What the page asks for, under `/api/`; every other path is the page itself.

mod acts;
mod decisions;
mod detail;
mod exemption;
mod export;
mod overview;
mod queue;
mod session;
mod sign_in;
mod views;
mod what_if;

use std::time::Instant;

use http::{Method, StatusCode};
use proxy_index::{Query, Test};
use uuid::Uuid;

use crate::access::{Role, Session, Whose, is_own_page};
use crate::assets;
use crate::console::Shared;
use crate::request::Request;
use crate::respond::{Problem, Reply};
use crate::turns::Work;

/// Somebody who asks, and what they ask.
pub(crate) struct Asking<'a> {
    pub(crate) console: &'a Shared,
    pub(crate) request: &'a Request,
    pub(crate) session: Session,
    pub(crate) role: Role,
}

/// What answers a request.
type Handler = fn(&Asking<'_>, &[&str]) -> Result<Reply, Problem>;

/// Answers a request; whoever asks has been read, not believed.
pub(crate) fn answer(console: &Shared, request: &Request) -> Reply {
    route(console, request).unwrap_or_else(Into::into)
}

/// What kind of work a request is.
pub(crate) fn work(request: &Request) -> Work {
    let path = request.path();
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    match (request.method.as_str(), path.as_slice()) {
        ("POST", ["api", "session"]) => Work::Password,
        ("GET", ["login", ..]) => Work::Provider,
        ("POST", ["api", "bulk" | "export" | "what-if"] | ["api", "acts", _, "undo"]) => {
            Work::Heavy
        }
        _ => Work::Ordinary,
    }
}

fn route(console: &Shared, request: &Request) -> Result<Reply, Problem> {
    if !console.hosts.is_known(&request.uri, &request.headers) {
        let message = "This is not a name of this console; see `hosts` in its settings.";
        return Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, message));
    }
    let path = request.path();
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    match path.as_slice() {
        ["api", rest @ ..] => api(console, request, rest),
        _ if request.method != Method::GET && request.method != Method::HEAD => {
            Err(Problem::new(StatusCode::METHOD_NOT_ALLOWED, "Only GET."))
        }
        ["login", rest @ ..] if request.method == Method::GET => match (&console.sign_in, rest) {
            (Some(sign_in), []) => Ok(sign_in::begin(console, sign_in)),
            (Some(sign_in), ["callback"]) => Ok(sign_in::come_back(console, sign_in, request)),
            _ => Err(Problem::not_found("page")),
        },
        [file] if file.contains('.') => {
            let asset = assets::by_name(file).ok_or_else(|| Problem::not_found("file"))?;
            Ok(Reply::asset(&asset))
        }
        // Every view has an address of its own, and all of them are this one document.
        [] | ["decisions" | "review" | "overview" | "what-if", ..] => {
            let page = assets::by_name("index.html").ok_or_else(|| Problem::not_found("file"))?;
            Ok(Reply::asset(&page))
        }
        _ => Err(Problem::not_found("page")),
    }
}

fn api(console: &Shared, request: &Request, path: &[&str]) -> Result<Reply, Problem> {
    let changes = request.method != Method::GET && request.method != Method::HEAD;
    if changes && !is_own_page(&console.hosts, &request.headers) {
        return Err(Problem::forbidden("This request does not come from the console's own page."));
    }
    match (request.method.as_str(), path) {
        ("GET", ["ways-in"]) => return Ok(session::ways_in(console)),
        ("POST", ["session"]) => return session::log_in(console, request),
        _ => {}
    }
    let asking = asking(console, request, path == ["tail"])?;
    let token = request.headers.get("x-csrf-token").and_then(|value| value.to_str().ok());
    if changes && !token.is_some_and(|token| asking.session.is_from_page(token)) {
        return Err(Problem::forbidden(
            "This request does not come from the page you are logged in on.",
        ));
    }
    let (role, handler) =
        handler(&request.method, path).ok_or_else(|| Problem::not_found("address"))?;
    if asking.role < role {
        return Err(Problem::forbidden(format!("This needs the role {role}.")));
    }
    handler(&asking, path)
}

/// Who may ask what, and who answers. What is not listed does not exist.
fn handler(method: &Method, path: &[&str]) -> Option<(Role, Handler)> {
    use Role::{PolicyAdmin, Reviewer, Viewer};
    Some(match (method.as_str(), path) {
        ("GET", ["session"]) => (Viewer, session::show),
        ("DELETE", ["session"]) => (Viewer, session::log_out),
        ("GET", ["decisions"]) => (Viewer, decisions::list),
        ("GET", ["decisions", _]) => (Viewer, detail::show),
        ("GET", ["count"]) => (Viewer, decisions::count),
        ("GET", ["facets"]) => (Viewer, decisions::facets),
        ("GET", ["timeline"]) => (Viewer, decisions::timeline),
        ("GET", ["tail"]) => (Viewer, decisions::tail),
        ("GET", ["overview"]) => (Viewer, overview::show),
        ("GET", ["rules"]) => (Viewer, what_if::rules),
        ("POST", ["what-if"]) => (Viewer, what_if::show),
        ("GET", ["views"]) => (Viewer, views::list),
        ("GET", ["acts"]) => (PolicyAdmin, acts::list),
        ("POST", ["export"]) => (Viewer, export::file),
        ("POST", ["views"]) => (Reviewer, views::save),
        ("DELETE", ["views", _]) => (Reviewer, views::remove),
        ("POST", ["decisions", _, "reveal"]) => (Reviewer, acts::reveal),
        ("POST", ["decisions", _, "verdict"]) => (Reviewer, acts::verdict),
        ("POST", ["bulk"]) => (Reviewer, acts::bulk),
        ("POST", ["acts", _, "undo"]) => (Reviewer, acts::undo),
        ("GET", ["queue"]) => (Reviewer, queue::show),
        ("POST", ["queue", "next"]) => (Reviewer, queue::next),
        ("POST", ["queue", _, "release"]) => (Reviewer, queue::release),
        ("POST", ["exemption"]) => (Reviewer, exemption::draft),
        _ => return None,
    })
}

/// The one whose session the request's cookie names. What a page asks by itself again and again does not keep a session
/// alive.
fn asking<'a>(
    console: &'a Shared,
    request: &'a Request,
    by_itself: bool,
) -> Result<Asking<'a>, Problem> {
    let logged_out = || Problem::new(StatusCode::UNAUTHORIZED, "You are not logged in.");
    let token = request.cookie(session::cookie_name(console)).ok_or_else(logged_out)?;
    let session =
        console.sessions.find(token, Instant::now(), !by_itself).ok_or_else(logged_out)?;
    let role = match session.whose {
        Whose::Provider(role, _) => Some(role),
        // As the users' file says it now: who was removed is out at once, and for good.
        Whose::Local(was) => {
            let is = console.users.account(&session.user)?;
            is.filter(|is| is.mark == was.mark).map(|is| is.role)
        }
    };
    let Some(role) = role else {
        console.sessions.end(token);
        return Err(logged_out());
    };
    Ok(Asking { console, request, session, role })
}

impl Asking<'_> {
    /// Who asks.
    pub(crate) fn user(&self) -> &str {
        &self.session.user
    }

    /// The filter in the request's own query, `q`.
    fn filter(&self) -> Result<Query, Problem> {
        self.query(&self.request.query("q").unwrap_or_default())
    }

    /// A filter. Who may not read texts may not look for words in them either, and whoever may is on record first: what
    /// is found tells what they say.
    fn query(&self, text: &str) -> Result<Query, Problem> {
        let query: Query = text.parse()?;
        if query.terms.iter().any(|term| matches!(term.test, Test::Text(_))) {
            if !self.console.may_reveal(self.role) {
                return Err(Problem::forbidden(
                    "Only who may read texts may search them: leave the words out.",
                ));
            }
            self.console.search(&self.session, text)?;
        }
        Ok(query)
    }
}

/// The id in a path.
fn id(text: &str) -> Result<Uuid, Problem> {
    text.parse().map_err(|_| Problem::not_found("decision"))
}
