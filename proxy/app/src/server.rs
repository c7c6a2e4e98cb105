//! A running guard: journal, classifiers, policy, upstream and listener put together.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use classifiers_core::ClassifyError;
use futures_util::FutureExt;
use futures_util::future::OptionFuture;
use policies::ClassifierCalibration;
use proxy_audit::{Journal, Options};
use proxy_console::Rules;
use proxy_envoy::ExternalProcessor;
use proxy_http::Http;
use proxy_index::Place;
use proxy_sinks::Sink;
use proxy_stack::{
    ActivePolicy, CutOff, Health, Metrics, Parts, SharedLimits, Tracing, Upstream, stack,
};
use tokio::task::JoinSet;

use crate::again::Again;
use crate::config::Config;
use crate::console::{Served, Shown, document};
use crate::failure::Failure;
use crate::indexed::Indexed;
use crate::listener::Listener;
use crate::policy::{Follow, Source};
use crate::registry;
use crate::reload::Reload;
use crate::sinks;
use crate::supervisor::{self, Given};
use crate::tls::Greeting;
use crate::tokens::Tokens;
use crate::traces::Exports;

/// Between two tests of classifiers that give no verdict yet.
const TEST_PAUSE: Duration = Duration::from_secs(1);

/// A guard that listens, and what must be closed when it stops.
pub(crate) struct Server {
    listener: Listener,
    ext_proc: Option<Listener>,
    admin: Option<Listener>,
    console: Option<Served>,
    config: Config,
    journal: Arc<Journal>,
    upstream: Upstream,
    panel: proxy_stack::Panel,
    policies: Arc<ActivePolicy>,
    reload: Option<Reload>,
    follow: Option<Follow>,
    again: Again,
    metrics: Arc<Metrics>,
    tracing: Tracing,
    exports: Option<Exports>,
    /// Keeps the index up with the log, where no page does.
    _indexed: Option<Indexed>,
    /// Send the log on.
    sinks: Vec<Sink>,
}

impl Server {
    /// Gets everything ready; from then on connections are queued.
    pub(crate) async fn start(mut config: Config) -> Result<Self, Failure> {
        let panel = registry::panel(&config.models, config.policy.timeout())?;
        stands_by(&config, &panel)?;
        let (target, limits) = (config.target.clone(), &config.limits);
        let upstream = match &config.upstream_tls {
            Some(own) => Upstream::over(own.connector()?, target, limits),
            None => Upstream::new(target, limits)
                .map_err(|error| Failure::environment("the upstream cannot be used", &error))?,
        };
        let journal = Arc::new(open_journal(&config)?);
        let greeting = config.tls.as_ref().map(Greeting::read).transpose()?;
        let mut given = Given::take();
        let socket = given.listener(0)?;
        let listener = Listener::bind(config.listen, socket, greeting.clone()).await?;
        let ext_proc = match config.ext_proc {
            Some(address) => Some(Listener::bind(address, None, greeting.clone()).await?),
            None => None,
        };
        let admin = match config.admin {
            Some(address) => Some(Listener::bind(address, given.listener(1)?, None).await?),
            None => None,
        };
        let calibrations = registry::calibrations(&panel)?;
        let standbys = panel.standbys().iter().map(|check| Arc::clone(&check.id().name));
        let policies = ActivePolicy::new(config.policy.clone(), calibrations.clone());
        let signed = config.policy_source.as_ref().map(Source::signed);
        let policies = policies.with_standbys(standbys.collect()).with_signature(signed);
        let policies = Arc::new(policies);
        let console = match &config.console {
            Some(settings) => {
                let shown = shown(&config, &journal, &policies, calibrations)?;
                Some(Served::start(settings, shown).await?)
            }
            None => None,
        };
        // Others look at an index that is shared.
        let indexed = match &config.audit_index {
            Some(place @ Place::Shared(_)) if console.is_none() => {
                Some(Indexed::start(&config.audit_dir, Some(place))?)
            }
            _ => None,
        };
        let shown = console.as_ref().and_then(Served::greeting);
        let greetings = greeting.into_iter().chain(shown).collect();
        let key = config.upstream_key.clone().map(|file| (upstream.clone(), file));
        let again = Again { greetings, key };
        let reload = config.policy_file.take().map(|file| Reload::new(file, Arc::clone(&policies)));
        let reload = reload.transpose()?;
        let source = config.policy_source.take();
        let follow = source.map(|source| Follow::new(source, Arc::clone(&policies))).transpose()?;
        let sinks = sinks::start(&mut config, &journal)?;
        let metrics = Metrics::default()
            .with_shared_limits(config.shared_limits.clone())
            .with_upstream(upstream.circuit());
        let metrics =
            Arc::new(metrics.with_more((!sinks.is_empty()).then(|| Sink::metrics(&sinks))));
        let (tracing, exports) = config.traces.start(&config.instance, &metrics)?;
        Ok(Self {
            listener,
            ext_proc,
            admin,
            console,
            config,
            journal,
            upstream,
            panel,
            policies,
            reload,
            follow,
            again,
            metrics,
            tracing,
            exports,
            _indexed: indexed,
            sinks,
        })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> Result<SocketAddr, Failure> {
        self.listener.address()
    }

    /// Where Envoys ask, if any do.
    pub(crate) fn ext_proc_address(&self) -> Result<Option<SocketAddr>, Failure> {
        self.ext_proc.as_ref().map(Listener::address).transpose()
    }

    /// Where metrics and health are served, if they are.
    pub(crate) fn admin_address(&self) -> Result<Option<SocketAddr>, Failure> {
        self.admin.as_ref().map(Listener::address).transpose()
    }

    /// Where the review page is served, if it is.
    pub(crate) fn console_url(&self) -> Result<Option<String>, Failure> {
        self.console.as_ref().map(Served::url).transpose()
    }

    /// Which classifiers judge, for the log.
    pub(crate) fn classifiers(&self) -> String {
        let names = self.panel.checks().iter().map(|check| check.id().to_string());
        names.collect::<Vec<_>>().join(", ")
    }

    /// Serves until `stop`; returns when every answer has left and the audit log is sealed.
    pub(crate) async fn run(self, stop: impl Future<Output = ()>) -> Result<(), Failure> {
        let ready = self.address()?.to_string();
        let Self {
            listener,
            ext_proc,
            admin,
            console,
            config,
            journal,
            upstream,
            panel,
            policies,
            reload,
            follow,
            again,
            metrics,
            tracing,
            exports,
            _indexed,
            sinks,
        } = self;
        let tokens = config.tokens;
        let issuers = tokens.as_ref().map(|tokens| tokens.issuers.clone());
        let health = Health::new(Arc::clone(&journal)).believing(issuers.clone());
        let health = Arc::new(health.under(Arc::clone(&policies)));
        let test = self_test(panel.clone(), Arc::clone(&health), Arc::clone(&policies));
        let status = proxy_stack::admin(
            Arc::clone(&metrics),
            Arc::clone(&policies),
            config.limits,
            panel.clone(),
            Arc::clone(&health),
        );
        let mut sharing = share(config.shared_limits.clone(), &policies);
        let cut_off = CutOff::default();
        let gate = stack(Parts {
            journal: Arc::clone(&journal),
            instance: config.instance,
            policies,
            keys: config.keys,
            issuers,
            panel,
            limits: config.limits,
            shared_limits: config.shared_limits,
            upstream,
            metrics,
            tracing,
            cut_off: cut_off.clone(),
        });
        let never = std::future::pending;
        let at_once = (Duration::ZERO, CutOff::default());
        let admin = admin.map(|admin| admin.serve((Http::default(), status), never(), at_once));
        let console = console.map(|console| console.serve(never()));
        let again = again.on_hangup()?;
        let stop = async {
            stop.await;
            health.stops();
            supervisor::stopping();
        };
        let stop = stop.shared();
        let envoys = ext_proc.map(|listener| {
            let processor = ExternalProcessor::new(gate.clone());
            listener.serve(processor, stop.clone(), (config.drain, cut_off.clone()))
        });
        let callers = listener.serve((Http::default(), gate), stop, (config.drain, cut_off));
        // Both stop when they are told.
        let guarded = async { tokio::join!(callers, OptionFuture::from(envoys)) };
        supervisor::ready(&ready);
        tokio::select! {
            _ = guarded => {}
            () = if_any(reload.map(Reload::run)) => {}
            () = if_any(follow.map(Follow::run)) => {}
            () = if_any(admin) => {}
            () = if_any(console) => {}
            () = test => {}
            () = again => {}
            Some(_) = sharing.join_next() => {}
            () = if_any(tokens.map(Tokens::follow)) => {}
            () = supervisor::alive() => {}
        }
        if let Some(exports) = exports {
            exports.finish().await;
        }
        let closed = journal.close();
        sinks::finish(sinks).await;
        closed.map_err(|error| Failure::environment("the audit log could not be sealed", &error))
    }
}

/// What there is, for as long as it goes on; what there is not never ends.
async fn if_any(future: Option<impl Future<Output = ()>>) {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

/// Keeps `limits` in touch with their server, if there are any, until the set is dropped.
fn share(limits: Option<SharedLimits>, policies: &Arc<ActivePolicy>) -> JoinSet<Infallible> {
    let mut sharing = JoinSet::new();
    if let Some(limits) = limits {
        let policies = Arc::clone(policies);
        sharing.spawn(async move { limits.keep_in_touch(&policies).await });
    }
    sharing
}

/// Whether each check, or somebody whom `policy` lets judge in its place, gives verdicts.
fn is_judged(
    panel: &proxy_stack::Panel,
    policy: &policies::Policy,
    failed: &[(Arc<str>, ClassifyError)],
) -> bool {
    let works = |name: &str| failed.iter().all(|(check, _)| **check != *name);
    let mut names = panel.checks().iter().map(|check| &*check.id().name);
    names.all(|name| works(name) || policy.instead_of(name).iter().any(|rung| works(rung)))
}

/// Asks every classifier until all texts are judged: only then is the server ready.
async fn self_test(panel: proxy_stack::Panel, health: Arc<Health>, policies: Arc<ActivePolicy>) {
    let mut known = Vec::new();
    loop {
        let policy = policies.policy();
        let failed = panel.self_test(policy.timeout()).await;
        if failed != known {
            for (check, error) in &failed {
                tracing::warn!(%check, %error, "a classifier gives no verdict");
            }
        }
        if is_judged(&panel, &policy, &failed) {
            health.passed();
            tracing::info!("ready: texts are judged");
            return std::future::pending().await;
        }
        known = failed;
        tokio::time::sleep(TEST_PAUSE).await;
    }
}

/// Whether everyone whom the policy lets judge in another's place is there.
pub(crate) fn stands_by(config: &Config, panel: &proxy_stack::Panel) -> Result<(), Failure> {
    let known: Vec<&str> = panel.standbys().iter().map(|check| &*check.id().name).collect();
    let Some(missing) = config.policy.standbys().find(|name| !known.contains(&&***name)) else {
        return Ok(());
    };
    Err(Failure::Environment(no_standby(missing)))
}

/// What is wrong with a policy that lets `missing` judge, which is not there.
pub(crate) fn no_standby(missing: &str) -> String {
    format!(
        "the policy lets `{missing}` judge instead of another check, and there is none: say `standby: {{ {}: {{ dir: ... \
         }} }}` in server.yaml, or take it out of the policy's `on_failure`",
        missing.trim_end_matches("_local")
    )
}

/// What the review page shows of a running guard.
fn shown(
    config: &Config,
    journal: &Arc<Journal>,
    policies: &Arc<ActivePolicy>,
    calibrations: Vec<ClassifierCalibration>,
) -> Result<Shown, Failure> {
    let policies = Arc::clone(policies);
    let current = move || policies.policy();
    let rules = match &config.policy_source {
        Some(source) => Rules::new(current, source.shown(), calibrations),
        None => Rules::new(current, document(&config.policy_name), calibrations),
    };
    let indexed = Indexed::start(&config.audit_dir, config.audit_index.as_ref())?;
    let (audit_dir, journal) = (config.audit_dir.clone(), Some(Arc::clone(journal)));
    Ok(Shown { audit_dir, indexed, journal, rules })
}

fn open_journal(config: &Config) -> Result<Journal, Failure> {
    let dir = &config.audit_dir;
    let options = Options { anchor: config.audit_anchor.clone(), ..Options::default() };
    let (journal, recovery) = Journal::open(dir, &options).map_err(|error| {
        Failure::environment(format!("the audit log in {} cannot be opened", dir.display()), &error)
    })?;
    if !recovery.abandoned.is_empty() || recovery.torn_bytes > 0 {
        tracing::warn!(
            abandoned = recovery.abandoned.len(),
            torn_bytes = recovery.torn_bytes,
            "the audit log was not closed properly; exchanges without an end are marked abandoned"
        );
    }
    Ok(journal)
}
