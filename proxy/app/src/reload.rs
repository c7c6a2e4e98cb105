//! Takes a new policy while the server runs: when its file changes, and on SIGHUP.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use proxy_stack::{ActivePolicy, Refused, Reloaded};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::failure::Failure;
use crate::server::no_standby;

/// A file is read when it has been left alone for this long: most editors write in several steps.
const QUIET: Duration = Duration::from_millis(100);
/// How often the file is looked at although nobody said that it changed: network file systems do not say.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Watches one policy file.
pub(crate) struct Reload {
    file: PathBuf,
    active: Arc<ActivePolicy>,
    /// How long models wait for an answer: they were told at the start.
    patience: Duration,
    changed: Arc<Notify>,
    /// Whether changes are taken although nobody asks.
    watched: bool,
    hangup: Signal,
    /// Dropped, it watches no more.
    _watcher: Option<RecommendedWatcher>,
    /// What was read last, taken or not.
    seen: Option<String>,
}

impl Reload {
    /// Reads `file` when somebody asks; where it is `watched`, watches its directory too, because replacing a file (as editors do), and the link to it (as a
    /// Kubernetes ConfigMap does), is a change of the directory.
    pub(crate) fn new(
        (file, watched): (PathBuf, bool),
        active: Arc<ActivePolicy>,
    ) -> Result<Self, Failure> {
        let hangup = signal(SignalKind::hangup())
            .map_err(|error| Failure::environment("signals cannot be handled", &error))?;
        let changed = Arc::new(Notify::new());
        let watcher = watched.then(|| watcher(&file, Arc::clone(&changed)));
        let watcher = watcher.and_then(|watcher| {
            watcher
                .inspect_err(|error| {
                    tracing::warn!(%error, "changes of the policy file are not announced; it is looked at every 5 s");
                })
                .ok()
        });
        // The first look is at once: the file may have changed since it was read for the start.
        let patience = active.policy().timeout();
        Ok(Self { file, active, patience, changed, watched, hangup, _watcher: watcher, seen: None })
    }

    /// Watches until dropped.
    pub(crate) async fn run(mut self) {
        let mut look = interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let asked = tokio::select! {
                // Other files change in its directory, too: however often they do, this one is read ten times a second.
                () = self.changed.notified() => {
                    sleep(QUIET).await;
                    false
                }
                _ = look.tick(), if self.watched => false,
                _ = self.hangup.recv() => true,
            };
            self.take(asked).await;
        }
    }

    /// Reads the file, and takes the policy in it if it is another one; `asked` by a person, who gets an answer.
    async fn take(&mut self, asked: bool) {
        let Some(source) = self.settled(asked).await else { return };
        self.seen = Some(source.clone());
        let (active, file) = (Arc::clone(&self.active), self.file.display().to_string());
        // Reading a policy and running its tests takes milliseconds that no request should wait for.
        let result = tokio::task::spawn_blocking(move || active.reload(&source, &file)).await;
        match result {
            Ok(result) => self.report(&result, asked),
            Err(error) => {
                tracing::error!(%error, "the new policy could not be read; the old one stays")
            }
        }
    }

    /// What the file holds, once it has stopped changing; nothing if it is what was read last.
    async fn settled(&self, asked: bool) -> Option<String> {
        let mut before = self.read()?;
        if !asked && self.seen.as_ref() == Some(&before) {
            return None;
        }
        loop {
            sleep(QUIET).await;
            let now = self.read()?;
            if now == before {
                return Some(now);
            }
            before = now;
        }
    }

    fn read(&self) -> Option<String> {
        std::fs::read_to_string(&self.file)
            .inspect_err(|error| {
                tracing::warn!(%error, file = %self.file.display(), "the policy file cannot be read; the old policy stays");
            })
            .ok()
    }

    fn report(&self, result: &Result<Reloaded, Refused>, asked: bool) {
        let policy = self.active.policy();
        let timeout = policy.timeout();
        let (policy, (replaced, refused)) = (policy.label(), self.active.counts());
        match result {
            Ok(Reloaded::Replaced(warnings)) => {
                tracing::info!(%policy, replaced, refused, warnings = warnings.iter().count(), "a new policy is in force");
                if timeout > self.patience {
                    tracing::warn!(
                        ?timeout,
                        "models go on to give up after {:?}, as the policy said at the start",
                        self.patience
                    );
                }
            }
            Ok(Reloaded::Same) if asked => tracing::info!(%policy, "the policy is still the same"),
            Ok(Reloaded::Same) => {}
            Err(Refused::Wrong(diagnostics)) => {
                tracing::error!(%policy, replaced, refused, "the new policy is wrong; the old one stays\n{diagnostics}");
            }
            Err(Refused::NoStandby(missing)) => {
                let wrong = no_standby(missing);
                tracing::error!(%policy, replaced, refused, "the new policy cannot be followed; the old one stays: {wrong}");
            }
            Err(Refused::TestsFail(failed)) => {
                for test in failed {
                    tracing::error!(
                        test = test.name,
                        line = test.line,
                        expected = test.expected,
                        got = test.got,
                        "a test of the new policy fails"
                    );
                }
                tracing::error!(%policy, replaced, refused, "the new policy fails its own tests; the old one stays");
            }
        }
    }
}

fn watcher(file: &Path, changed: Arc<Notify>) -> notify::Result<RecommendedWatcher> {
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // Reading the file is an event too.
        if !event.is_ok_and(|event| event.kind.is_access()) {
            changed.notify_one();
        }
    })?;
    let dir = file.parent().filter(|dir| !dir.as_os_str().is_empty());
    watcher.watch(dir.unwrap_or(Path::new(".")), RecursiveMode::NonRecursive)?;
    Ok(watcher)
}
