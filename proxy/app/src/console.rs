//! The review page on a listener of its own.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use proxy_audit::Journal;
use proxy_console::{Console, Document, Parts, Rules, Users};
use proxy_http::Http;
use proxy_stack::{Arrival, CutOff, Gate, ReplyBody};
use tower::util::BoxCloneSyncService;

use crate::config;
use crate::failure::Failure;
use crate::indexed::Indexed;
use crate::listener::Listener;
use crate::sign_in::OpenId;
use crate::tls::{Greeting, Tls};

/// Loopback only: whoever wants others to look says so, and says how it is encrypted.
pub(crate) const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8090);
/// In the log's folder, unless it is said where.
const USERS: &str = "console-users.json";
/// How long what is asked may take after the server was told to stop.
const DRAIN: Duration = Duration::from_secs(1);

/// How the page is served.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) listen: SocketAddr,
    /// Names that browsers call it by, besides those of this machine.
    pub(crate) hosts: Vec<String>,
    pub(crate) users: PathBuf,
    /// Whether people log in by a password.
    pub(crate) local_users: bool,
    /// How they log in by a provider of identities, if they do.
    pub(crate) sign_in: Option<Arc<OpenId>>,
    pub(crate) tls: Option<Tls>,
    /// Something before it speaks TLS with browsers.
    pub(crate) behind_tls: bool,
}

impl Settings {
    /// On `listen`, for the log in `audit_dir`, with everything else as it is by default.
    pub(crate) fn new(listen: SocketAddr, audit_dir: &Path) -> Self {
        Self {
            listen,
            hosts: Vec::new(),
            users: users_file(audit_dir),
            local_users: true,
            sign_in: None,
            tls: None,
            behind_tls: false,
        }
    }
}

/// Where users are kept unless it is said where.
pub(crate) fn users_file(audit_dir: &Path) -> PathBuf {
    audit_dir.join(USERS)
}

/// What the page shows.
pub(crate) struct Shown {
    pub(crate) audit_dir: PathBuf,
    /// The index of that log.
    pub(crate) indexed: Indexed,
    /// Where acts are recorded; without it the page only reads.
    pub(crate) journal: Option<Arc<Journal>>,
    pub(crate) rules: Rules,
}

/// The page, ready to be served.
pub(crate) struct Served {
    listener: Listener,
    greeting: Option<Greeting>,
    gate: Gate,
    /// Keeps the index up with the log.
    _indexed: Indexed,
}

impl Served {
    /// How it greets in TLS.
    pub(crate) fn greeting(&self) -> Option<Greeting> {
        self.greeting.clone()
    }

    /// Listens, and brings the index up to date in the background.
    pub(crate) async fn start(settings: &Settings, shown: Shown) -> Result<Self, Failure> {
        let Settings { listen, hosts, users, local_users, sign_in, tls, behind_tls } = settings;
        let secure = tls.is_some() || *behind_tls;
        if !listen.ip().is_loopback() && !secure {
            return Err(Failure::Usage(format!(
                "the console on {listen} would send passwords in the clear: give `console: {{ tls: ... }}`, or `behind_tls: true` if something before it speaks TLS"
            )));
        }
        let users = Users::new(users.clone());
        let known = users
            .list()
            .map_err(|error| Failure::environment("the console has no users", &error))?;
        if known.is_empty() && sign_in.is_none() {
            tracing::warn!(file = %users.file().display(), "nobody can log in to the console yet: `portcullis console add-user` makes accounts");
        }
        let Shown { audit_dir, indexed, journal, rules } = shown;
        let greeting = tls.as_ref().map(Greeting::read).transpose()?;
        let listener = Listener::bind(*listen, None, greeting.clone()).await?;
        let address = listener.address()?;
        let mut hosts = hosts.clone();
        let sign_in = sign_in.as_ref().map(|open_id| open_id.serve((address, secure), &mut hosts));
        let parts = Parts {
            address,
            hosts,
            secure,
            behind_tls: *behind_tls,
            users,
            local_users: *local_users,
            sign_in: sign_in.transpose()?,
            log: audit_dir,
            index: Arc::clone(&indexed.index),
            journal,
            rules,
        };
        Ok(Self { listener, greeting, gate: gate(Console::new(parts)), _indexed: indexed })
    }

    /// Where a browser finds it.
    pub(crate) fn url(&self) -> Result<String, Failure> {
        let scheme = if self.greeting.is_some() { "https" } else { "http" };
        Ok(format!("{scheme}://{}", self.listener.address()?))
    }

    /// Serves until `stop`.
    pub(crate) async fn serve(self, stop: impl Future<Output = ()>) {
        let spoken = (Http::default(), self.gate);
        self.listener.serve(spoken, stop, (DRAIN, CutOff::default())).await;
    }
}

/// The page as a listener serves it: a request that is no plain HTTP does not reach it.
fn gate(console: Console) -> Gate {
    BoxCloneSyncService::new(tower::service_fn(move |arrival: Arrival| {
        let console = console.clone();
        async move {
            if let Some(fault) = arrival.fault {
                return Ok(proxy_stack::unrecognised(fault));
            }
            let response = console.call(arrival.request, arrival.remote).await;
            Ok(response.map(ReplyBody::from))
        }
    }))
}

/// The document behind a policy's name, read anew each time: it may have changed.
pub(crate) fn document(
    name: &str,
) -> impl Fn() -> Result<Document, String> + Send + Sync + 'static {
    let name = name.to_owned();
    move || {
        let text = config::policy_source(&name).map_err(|failure| failure.to_string())?;
        let file = Path::new(&name)
            .file_name()
            .map_or(name.clone(), |name| name.to_string_lossy().into_owned());
        Ok(Document { file: if file.contains('.') { file } else { format!("{file}.yaml") }, text })
    }
}
