//! The review queue: which decisions wait, and who has which on the desk.

use jiff::{SignedDuration, Timestamp};
use policies::Policy;
use proxy_index::{Field, Moment, Query, Row, Test};
use serde::Deserialize;
use serde_json::json;

use super::Asking;
use crate::respond::{Problem, Reply};

/// How long a decision stays on a desk where nothing happens.
const LEASE: SignedDuration = SignedDuration::from_mins(15);
/// Decisions of each part of the queue that are counted at most.
const WAITING: u64 = 1_000;
/// How many of the next are shown.
const UPCOMING: usize = 12;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Next {
    #[serde(default)]
    second: bool,
    /// One that was skipped: not this one again at once.
    #[serde(default)]
    not: Option<String>,
}

/// `GET /api/queue?second=`
pub(super) fn show(asking: &Asking<'_>, _: &[&str]) -> Result<Reply, Problem> {
    let second = asking.request.query("second").is_some();
    answer(asking, second, None)
}

/// `POST /api/queue/next`: puts the next decision on the desk of the one who asks.
pub(super) fn next(asking: &Asking<'_>, _: &[&str]) -> Result<Reply, Problem> {
    let Next { second, not } = asking.request.json()?;
    let index = &asking.console.index;
    for queue in queues(asking, second) {
        // Others first; the skipped one again where there are no others.
        let others =
            not.as_ref().map(|id| queue.clone().and_not(Test::Is(Field::Id, vec![id.clone()])));
        for query in others.into_iter().chain([queue]) {
            if let Some(row) = index.assign(&query, asking.user(), LEASE)? {
                return answer(asking, second, Some(&row));
            }
        }
    }
    index.clear_desk(asking.user())?;
    answer(asking, second, None)
}

/// `POST /api/queue/ID/release`
pub(super) fn release(asking: &Asking<'_>, _: &[&str]) -> Result<Reply, Problem> {
    asking.console.index.clear_desk(asking.user())?;
    Ok(Reply::json(&json!({})))
}

fn answer(asking: &Asking<'_>, second: bool, taken: Option<&Row>) -> Result<Reply, Problem> {
    let index = &asking.console.index;
    let (mut waiting, mut more) = (0, false);
    let mut upcoming = Vec::new();
    for queue in queues(asking, second) {
        let (some, others) = index.count_to(&queue, WAITING)?;
        (waiting, more) = (waiting + some, more || others);
        if upcoming.len() < UPCOMING {
            upcoming.extend(index.tail(&queue, 0, UPCOMING - upcoming.len())?);
        }
    }
    if let Some(row) = taken {
        upcoming.retain(|one| one.id != row.id);
        upcoming.insert(0, row.clone());
    }
    let today = Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).start_of_day();
    let done = match today {
        Ok(today) => index.said_since(asking.user(), today.timestamp())?,
        Err(_) => 0,
    };
    Ok(Reply::json(&json!({
        "id": taken.map(|row| row.id),
        "waiting": waiting,
        "more": more,
        "upcoming": upcoming,
        "done": done,
        "agreement": index.agreement(&Query::default())?,
    })))
}

/// What waits, most urgent first: the policy says which share of what was flagged, blocked and allowed. For second
/// opinions, what somebody else has judged.
fn queues(asking: &Asking<'_>, second: bool) -> Vec<Query> {
    if second {
        let mine = Test::Is(Field::Reviewer, vec![asking.user().to_owned()]);
        let judged = Query::default()
            .and_not(Test::Is(Field::Review, vec!["none".to_owned()]))
            .and_not(mine);
        return vec![judged];
    }
    sampled(&asking.console.rules.policy())
}

/// The shares that the policy asks to be reviewed; where it says nothing, everything that was flagged and a tenth of
/// what was stopped.
fn sampled(policy: &Policy) -> Vec<Query> {
    let review = policy.retention().map(|kept| kept.review);
    let share = |given: Option<f64>, otherwise: f64| match review {
        Some(_) => given.unwrap_or(0.0),
        None => otherwise,
    };
    let given = review.unwrap_or_default();
    let parts = [
        (&["flagged", "redacted"][..], share(given.flagged, 1.0)),
        (&["blocked"][..], share(given.blocked, 0.1)),
        (&["allowed"][..], share(given.allowed, 0.0)),
    ];
    let part = |(outcomes, share): (&[&str], f64)| {
        let outcomes = outcomes.iter().map(|name| (*name).to_owned()).collect();
        Query::default()
            .and(Test::Is(Field::Outcome, outcomes))
            .and(Test::Is(Field::Review, vec!["none".to_owned()]))
            .and(Test::Sample(share * 100.0))
    };
    parts.into_iter().filter(|(_, share)| *share > 0.0).map(part).collect()
}

/// `query`, meaning the same decisions whenever it is asked.
pub(super) fn fixed(query: Query, now: Timestamp) -> Query {
    let at = |moment: Moment| Moment::At(moment.resolve(now));
    let terms = query.terms.into_iter().map(|mut term| {
        term.test = match term.test {
            Test::Since(moment) => Test::Since(at(moment)),
            Test::Until(moment) => Test::Until(at(moment)),
            other => other,
        };
        term
    });
    Query { terms: terms.collect() }.and(Test::Until(Moment::At(now)))
}
