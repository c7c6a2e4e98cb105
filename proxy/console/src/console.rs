//! The console: from a request to its answer.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Response, StatusCode};
use proxy_audit::{Acted, Journal, JournalError, Receipt, Text};
use proxy_index::Index;
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;

use crate::access::{
    Attempts, Hosts, Logins, Role, Session, Sessions, SignIn, Users, forwarded_for,
};
use crate::api;
use crate::request::Request;
use crate::respond::{Problem, Reply};
use crate::rules::Rules;
use crate::searches::Searches;
use crate::turns::Turns;

/// How long somebody who follows the log waits for news at most, before asking again.
const NEWS_TIME: Duration = Duration::from_secs(20);
/// How often it is looked for news.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How long a record is offered again that the log has no room for: then its disk does not keep up.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often it is.
const OFFER_EVERY: Duration = Duration::from_millis(50);
/// How long it is waited for the index to know a record that is on the disk.
const KNOWN: Duration = Duration::from_millis(500);

/// What a console is made of.
#[derive(Debug)]
pub struct Parts {
    /// Where it listens.
    pub address: SocketAddr,
    /// Further names that browsers may call it by, with a port where that is not the usual one.
    pub hosts: Vec<String>,
    /// Whether it is spoken to in TLS.
    pub secure: bool,
    /// Whether that ends at a server in front, which says in `x-forwarded-for` who speaks to it.
    pub behind_tls: bool,
    /// Who may log in by a password.
    pub users: Users,
    /// Whether anybody may.
    pub local_users: bool,
    /// How people log in by a provider of identities, if they do.
    pub sign_in: Option<SignIn>,
    /// Where the log is.
    pub log: PathBuf,
    /// The log's index; somebody else keeps it up to date.
    pub index: Arc<Index>,
    /// Where acts of people are recorded. Without it, nothing that must be recorded can be done.
    pub journal: Option<Arc<Journal>>,
    /// What decides.
    pub rules: Rules,
}

/// The review page and what it asks for.
#[derive(Clone, Debug)]
pub struct Console(Arc<Shared>);

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) hosts: Hosts,
    pub(crate) secure: bool,
    behind_tls: bool,
    pub(crate) users: Users,
    pub(crate) local_users: bool,
    pub(crate) sign_in: Option<SignIn>,
    pub(crate) log: PathBuf,
    pub(crate) index: Arc<Index>,
    pub(crate) journal: Option<Arc<Journal>>,
    pub(crate) rules: Rules,
    pub(crate) sessions: Sessions,
    pub(crate) logins: Logins,
    pub(crate) attempts: Attempts,
    pub(crate) searches: Searches,
    pub(crate) turns: Turns,
}

impl Console {
    /// Puts a console together.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(Shared {
            hosts: Hosts::new(parts.address, &parts.hosts),
            secure: parts.secure,
            behind_tls: parts.behind_tls,
            users: parts.users,
            local_users: parts.local_users,
            sign_in: parts.sign_in,
            log: parts.log,
            index: parts.index,
            journal: parts.journal,
            rules: parts.rules,
            sessions: Sessions::default(),
            logins: Logins::default(),
            attempts: Attempts::default(),
            searches: Searches::default(),
            turns: Turns::default(),
        }))
    }

    /// Answers a request that came from `remote`.
    pub async fn call<B>(
        &self,
        request: http::Request<B>,
        remote: Option<IpAddr>,
    ) -> Response<Bytes>
    where
        B: http_body::Body<Data = Bytes> + Unpin,
    {
        let remote = if self.0.behind_tls { forwarded_for(request.headers()) } else { remote };
        let reply = match Request::read(request, remote).await {
            Ok(request) => self.answer(request).await,
            Err(problem) => problem.into(),
        };
        reply.into_response()
    }

    async fn answer(&self, mut request: Request) -> Reply {
        let until = Instant::now() + NEWS_TIME;
        loop {
            let reply = self.answer_once(request.clone()).await.unwrap_or_else(Into::into);
            if reply.nothing_until.is_none() || Instant::now() >= until {
                return reply;
            }
            request.seen = reply.nothing_until;
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Waits for a turn before it takes a thread, and keeps both until the answer is there, whoever has left meanwhile.
    async fn answer_once(&self, request: Request) -> Result<Reply, Problem> {
        let turn = self.0.turns.wait(api::work(&request)).await?;
        let shared = Arc::clone(&self.0);
        let answer = move || {
            let _turn = turn;
            api::answer(&shared, &request)
        };
        spawn_blocking(answer).await.map_err(|error| Problem::ours("the console failed", &error))
    }
}

impl Shared {
    /// The journal, where acts can be recorded.
    pub(crate) fn journal(&self) -> Result<&Journal, Problem> {
        self.journal.as_deref().ok_or_else(|| Problem::new(StatusCode::CONFLICT, READ_ONLY))
    }

    /// Appends a record and waits until it is durable: what is not on record does not happen. Of many records each is
    /// waited for, so that they leave the log's queue to the callers, and each is there before the next.
    pub(crate) fn on_record(&self, append: impl Fn(&Journal) -> Receipt) -> Result<(), Problem> {
        let (journal, until) = (self.journal()?, Instant::now() + PATIENCE);
        loop {
            let mut receipt = append(journal);
            match Handle::current().block_on(receipt.durable()) {
                Ok(()) => return Ok(()),
                Err(JournalError::Overloaded) if Instant::now() < until => {
                    std::thread::sleep(OFFER_EVERY);
                }
                Err(error) => {
                    let what = "this cannot be recorded, so it does not happen";
                    let status = StatusCode::SERVICE_UNAVAILABLE;
                    return Err(Problem { status, ..Problem::ours(what, &error) });
                }
            }
        }
    }

    /// The same, and as a rule the index knows it. It stands also where the index cannot know it yet: while a long log is
    /// read for the first time, or cannot be read.
    pub(crate) fn recorded(&self, append: impl Fn(&Journal) -> Receipt) -> Result<(), Problem> {
        self.on_record(append)?;
        if let Err(error) = self.index.catch_up_soon(KNOWN) {
            tracing::warn!(%error, "the index does not know yet what was recorded");
        }
        Ok(())
    }

    /// Records that `by` did something.
    pub(crate) fn act(
        &self,
        by: &str,
        act: &'static str,
        about: impl IntoIterator<Item = (&'static str, String)>,
    ) -> Result<(), Problem> {
        let acted = acted(by, act, about);
        self.recorded(|journal| journal.append_acted(&acted))
    }

    /// Records that `session` looks for words in texts, by this filter, unless that is on record.
    pub(crate) fn search(&self, session: &Session, filter: &str) -> Result<(), Problem> {
        self.searches.record((&session.csrf, filter), Instant::now(), || {
            let acted = acted(&session.user, SEARCHED, [("filter", filter.to_owned())]);
            self.on_record(|journal| journal.append_acted(&acted))
        })
    }

    /// Whether `role` may read kept texts, as the policy says it.
    pub(crate) fn may_reveal(&self, role: Role) -> bool {
        let policy = self.rules.policy();
        let roles = policy.retention().map(|kept| kept.reveal_roles.as_slice()).unwrap_or_default();
        let named = |role: Role| roles.iter().any(|name| name == role.name());
        let allowed =
            roles.is_empty() || Role::ALL.into_iter().any(|one| one <= role && named(one));
        role >= Role::Reviewer && allowed
    }
}

/// The act of looking for words in kept texts: `about` says the `filter`.
const SEARCHED: &str = "searched";

fn acted(
    by: &str,
    act: &'static str,
    about: impl IntoIterator<Item = (&'static str, String)>,
) -> Acted {
    let about = about.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
    let (time, by) = (jiff::Timestamp::now(), Text::from(by.to_owned()));
    Acted { time, by, act: act.into(), about }
}

/// Why nothing can be done where the log is written by another process.
pub(crate) const READ_ONLY: &str = "This console only reads: another process writes this log. Texts, searches for words, verdicts and exports need its own console.";
