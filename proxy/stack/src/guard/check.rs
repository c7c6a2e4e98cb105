//! Questions about texts: judged, recorded and answered here. Nothing goes to the model server.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use classifiers_core::{Direction, Passage};
use futures_util::future::join_all;
use policies::Action;
use proxy_audit::Outcome;
use proxy_dialects::{Inquiry, Judged, Said};
use tower::Service;

use super::context::in_context;
use super::layer::{Guard, Guarding};
use super::panel::Keep;
use super::ruling::{Ruled, redacted, rule_keeping};
use super::tally::Tally;
use crate::denial::Denial;
use crate::read::Inquired;
use crate::record::{Side, milliseconds};
use crate::reply::Reply;

impl<S> Service<Inquired> for Guard<S> {
    type Response = Reply;
    type Error = Denial;
    // Boxed: it waits for the verdicts of each text.
    type Future = Pin<Box<dyn Future<Output = Result<Reply, Denial>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Denial>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, inquired: Inquired) -> Self::Future {
        let guarding = Arc::clone(&self.guarding);
        Box::pin(async move { judge(&guarding, inquired).await })
    }
}

async fn judge(guarding: &Guarding, mut inquired: Inquired) -> Result<Reply, Denial> {
    let started = Instant::now();
    let policy = inquired.policy.clone();
    let units: Vec<_> = inquired.inquiry.units().map(in_context).collect();
    let (panel, trace) = (&guarding.panel, inquired.entry.trace());
    let verdicts = units
        .iter()
        .map(|passages| rule_keeping(panel, &policy, passages, (Keep::Everything, trace)));
    let ruled = join_all(verdicts).await;
    let answers = inquired.inquiry.passages().iter().any(is_answer);
    let side = if answers { Side::Answer } else { Side::Request };
    for (passages, ruled) in units.iter().zip(&ruled) {
        inquired.entry.keep(|texts| texts.add((side, &policy), passages, &ruled.hidden));
    }
    let mut tally = Tally::default();
    let judged: Vec<Judged> =
        ruled.into_iter().map(|ruled| say(&mut inquired, ruled, &mut tally)).collect();
    inquired.entry.note(|closed| {
        let (ruling, ms) = (tally.ruling(), milliseconds(started.elapsed()));
        if answers {
            (closed.output, closed.timing_ms.guard_output) = (ruling, ms);
        } else {
            (closed.input, closed.timing_ms.guard_input) = (ruling, ms);
        }
    });
    reply(&inquired, &judged)
}

fn is_answer(passage: &Passage) -> bool {
    passage.origin.direction == Direction::Output
}

/// What is said about one unit; what the policy cuts out is cut out of the question.
fn say(inquired: &mut Inquired, mut ruled: Ruled, tally: &mut Tally) -> Judged {
    if ruled.decision.action == Action::Redact && !cut(&mut inquired.inquiry, &ruled) {
        ruled.block_instead();
    }
    let found = ruled.found(&inquired.policy);
    // Who is told what was found, and not what to do, must not take a gap for a clean bill.
    let told = !inquired.inquiry.contract().is_enforced();
    let gap = ruled.is_incomplete() && !found.iter().any(|found| found.counts);
    let said = match ruled.decision.action {
        Action::Block if ruled.decision.unavailable => Said::Unavailable,
        _ if told && gap => Said::Unavailable,
        Action::Block => Said::Blocked,
        Action::Redact => Said::Redacted,
        Action::Flag => Said::Flagged,
        Action::Allow => Said::Passed,
    };
    let id = inquired.entry.id().to_string();
    let because = &ruled.decision.because;
    let message = inquired.policy.message(because, inquired.language.as_deref(), &id);
    let judged = Judged { said, message, found };
    let ruling = ruled.take_record();
    tally.add((ruled.decision.action, ruled.decision.would), ruling);
    judged
}

/// Cuts out what the decision says; `false` if any of it cannot be cut out.
fn cut(inquiry: &mut Inquiry, ruled: &Ruled) -> bool {
    ruled.redactions(inquiry.passages()).iter().all(|(at, spans)| {
        redacted(inquiry.passages(), at, spans).is_some_and(|text| inquiry.replace(at, &text))
    })
}

fn reply(inquired: &Inquired, judged: &[Judged]) -> Result<Reply, Denial> {
    let said = judged.iter().map(|judged| judged.said).max().unwrap_or(Said::Unavailable);
    if said == Said::Unavailable && !inquired.inquiry.contract().is_enforced() {
        return Err(Denial::GuardUnavailable);
    }
    let outcome = match said {
        Said::Passed => Outcome::Allowed,
        Said::Flagged => Outcome::Flagged,
        Said::Redacted => Outcome::Redacted,
        Said::Blocked => Outcome::Blocked,
        Said::Unavailable => Outcome::GuardUnavailable,
    };
    let id = inquired.entry.id().to_string();
    Ok(Reply::json(inquired.inquiry.answer(&id, judged), outcome))
}
