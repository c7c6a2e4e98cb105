//! Several servers that run the same model, asked as one.
//!
//! Not `tower::balance`: that waits when no server is ready, and here somebody must hear at once that there is no
//! verdict, so that the next rung of a policy's ladder can judge.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use serde_json::Value;
use tower::retry::budget::{Budget, TpsBudget};

use crate::client::Client;
use crate::fault::Fault;
use crate::ranking::{End, Nobody, Ranking};
use crate::settings::{Settings, SetupError};

/// Over how long second tries are counted against questions.
const BUDGET_TIME: Duration = Duration::from_secs(10);
/// The share of the deadline after which a server that has not answered had all of it: clocks are not exact.
const ALL_THE_TIME: f32 = 0.9;
/// Second tries in a second that are free: with few questions a share of them is none.
const FREE_TRIES: u32 = 2;

/// Several servers that run the same model.
#[derive(Clone, Debug)]
pub(crate) struct Fleet {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    clients: Vec<Client>,
    ranking: Mutex<Ranking>,
    budget: TpsBudget,
    deadline: Duration,
}

/// What is asked: where, and what.
pub(crate) struct Question<'a> {
    path: &'a str,
    body: Bytes,
    /// Whether a server has answered it: those that have not are behind.
    is_answered: AtomicBool,
}

impl<'a> Question<'a> {
    pub(crate) const fn new(path: &'a str, body: Bytes) -> Self {
        Self { path, body, is_answered: AtomicBool::new(false) }
    }
}

/// A place at a server; given back whatever happens.
struct Place<'a> {
    shared: &'a Shared,
    at: usize,
    since: Instant,
    usual: Duration,
    is_answered: &'a AtomicBool,
    is_over: bool,
}

type Attempt<'a, T> = BoxFuture<'a, Result<T, Fault>>;

impl Fleet {
    pub(crate) fn new(settings: &Settings) -> Result<Self, SetupError> {
        let clients = Client::all(settings)?;
        let ranking = Mutex::new(Ranking::new(clients.len(), settings.concurrent));
        let extra = if settings.extra.is_finite() { settings.extra.clamp(0.0, 1.0) } else { 0.0 };
        let budget = TpsBudget::new(BUDGET_TIME, FREE_TRIES, extra);
        let deadline = settings.deadline;
        Ok(Self { shared: Arc::new(Shared { clients, ranking, budget, deadline }) })
    }

    /// How long a text waits for its verdict.
    pub(crate) fn deadline(&self) -> Duration {
        self.shared.deadline
    }

    /// Servers, and how many of them are failing.
    pub(crate) fn counts(&self) -> (usize, usize) {
        self.shared.ranking().counts()
    }

    /// Each server on its own.
    pub(crate) fn clients(&self) -> &[Client] {
        &self.shared.clients
    }

    /// What `read` makes of the first answer that it can read, until the deadline.
    ///
    /// The least loaded server is asked; another one too when its answer takes longer than usual, or when it fails.
    pub(crate) async fn ask<T: Send>(
        &self,
        question: &Question<'_>,
        read: impl Fn(&Value) -> Result<T, Fault> + Copy + Send + Sync,
    ) -> Result<T, Fault> {
        let shared = &*self.shared;
        let answer = tokio::time::timeout(shared.deadline, shared.ask(question, read)).await;
        answer.unwrap_or(Err(Fault::Slow(shared.deadline)))
    }
}

impl Shared {
    fn ranking(&self) -> MutexGuard<'_, Ranking> {
        // A panic in here would leave counts that are right or one too high.
        self.ranking.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ask<T: Send>(
        &self,
        question: &Question<'_>,
        read: impl Fn(&Value) -> Result<T, Fault> + Copy + Send + Sync,
    ) -> Result<T, Fault> {
        self.budget.deposit();
        let mut tried = Vec::new();
        let mut attempts: FuturesUnordered<Attempt<'_, T>> = FuturesUnordered::new();
        attempts.push(self.begin(&mut tried, question, read)?);
        let usual = tried.first().map_or(self.deadline, |at| self.ranking().usual(*at));
        let mut hedge = std::pin::pin!(tokio::time::sleep(usual.min(self.deadline / 2)));
        let mut may_hedge = true;
        loop {
            tokio::select! {
                biased;
                Some(answer) = attempts.next() => match answer {
                    Ok(verdict) => {
                        question.is_answered.store(true, Ordering::Relaxed);
                        return Ok(verdict);
                    }
                    Err(fault) if !fault.may_go_elsewhere() => return Err(fault),
                    // Its answer may still come.
                    Err(_) if !attempts.is_empty() => {}
                    Err(fault) => match self.again(&mut tried, question, read) {
                        Some(attempt) => attempts.push(attempt),
                        None => return Err(fault),
                    },
                },
                () = &mut hedge, if may_hedge => {
                    may_hedge = false;
                    attempts.extend(self.again(&mut tried, question, read));
                }
            }
        }
    }

    /// Asks one more server, if there is one and the budget has room.
    fn again<'a, T: Send>(
        &'a self,
        tried: &mut Vec<usize>,
        question: &'a Question<'_>,
        read: impl Fn(&Value) -> Result<T, Fault> + Copy + Send + Sync + 'a,
    ) -> Option<Attempt<'a, T>> {
        if tried.len() == self.clients.len() || !self.budget.withdraw() {
            return None;
        }
        self.begin(tried, question, read).ok()
    }

    fn begin<'a, T: Send>(
        &'a self,
        tried: &mut Vec<usize>,
        question: &'a Question<'_>,
        read: impl Fn(&Value) -> Result<T, Fault> + Copy + Send + Sync + 'a,
    ) -> Result<Attempt<'a, T>, Fault> {
        let mut place = self.place(tried, &question.is_answered)?;
        tried.push(place.at);
        let client = self.clients.get(place.at).ok_or(Fault::Busy)?;
        Ok(Box::pin(async move {
            let answer = client.ask(question.path, Some(question.body.clone())).await;
            let verdict = answer.and_then(|answer| read(&answer));
            place.end(client, verdict.as_ref().err());
            verdict
        }))
    }

    fn place<'a>(
        &'a self,
        tried: &[usize],
        is_answered: &'a AtomicBool,
    ) -> Result<Place<'a>, Fault> {
        let since = Instant::now();
        let mut ranking = self.ranking();
        let at = ranking.take(since, tried).map_err(|nobody| match nobody {
            Nobody::Busy => Fault::Busy,
            Nobody::Resting(time) => Fault::NoneLeft(time),
        })?;
        let usual = ranking.usual(at);
        Ok(Place { shared: self, at, since, usual, is_answered, is_over: false })
    }
}

impl Place<'_> {
    fn end(&mut self, client: &Client, fault: Option<&Fault>) {
        let end = match fault {
            None => End::Verdict(self.since.elapsed()),
            Some(fault) if fault.is_the_servers() => End::Failure,
            Some(_) => End::Unsaid,
        };
        if let Some(fault) = fault {
            tracing::warn!(endpoint = client.url(), %fault, "a classifier's endpoint gave no verdict");
        }
        self.give_back(end);
    }

    fn give_back(&mut self, end: End) {
        self.is_over = true;
        self.shared.ranking().give_back(self.at, end, Instant::now());
    }
}

impl Drop for Place<'_> {
    /// Nobody waits for the answer any more. A server that had longer than usual when another answered in its place,
    /// or all the time there is, is failing: otherwise one that hangs would never be found out. Of a caller who left
    /// before, it cannot be blamed.
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let time = self.since.elapsed();
        let is_overtaken = self.is_answered.load(Ordering::Relaxed) && time > self.usual;
        let is_late = time >= self.shared.deadline.mul_f32(ALL_THE_TIME);
        self.give_back(if is_overtaken || is_late { End::Failure } else { End::Unsaid });
    }
}
