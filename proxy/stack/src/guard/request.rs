//! Judging a request: before it goes, or while it is with the model server.

use std::future::Future;
use std::sync::Arc;
use std::time::Instant;

use policies::Action;
use proxy_audit::Unchecked;
use proxy_dialects::{Dialect, Moderation};

use super::clearance::Cleared;
use super::context::in_context;
use super::layer::Guarding;
use super::moderation::Seen;
use super::ruling::{Ruled, redacted, rule};
use crate::denial::{Block, Denial, WantsUsage};
use crate::read::Asked;
use crate::record::{Entry, Side, milliseconds};

/// What was let through, and what the caller is told about it, if it asked.
pub(super) struct Passed {
    pub(super) action: Action,
    pub(super) seen: Option<Seen>,
}

/// Judges `asked`; what is returned may go to the upstream.
///
/// # Errors
/// When the policy blocks it, a check gave no verdict, or the exchange cannot be recorded.
pub(super) async fn clear(
    guarding: &Guarding,
    mut asked: Asked,
) -> Result<(Cleared<Asked>, Passed), Denial> {
    let subject = Subject::of(&asked);
    let started = Instant::now();
    let passages = in_context(asked.request.passages());
    let trace = subject.entry.trace();
    let mut ruled = rule(&guarding.panel, &asked.policy, &passages, trace).await;
    subject.entry.keep(|texts| texts.add((Side::Request, &asked.policy), &passages, &ruled.hidden));
    subject.ask_more(&mut ruled);
    if ruled.decision.action == Action::Redact && !redact(&mut asked, &ruled) {
        ruled.block_instead();
    }
    let passed = subject.settle(ruled, started)?;
    asked.entry.opened().await.map_err(|_| Denial::AuditUnavailable)?;
    Ok((Cleared::grant(asked), passed))
}

/// Lets `asked` go to the upstream because the policy says that it need not wait, and judges it meanwhile. The verdict
/// must be awaited before anything that the upstream says is looked at.
///
/// # Errors
/// When the exchange cannot be recorded; the verdict, when the policy blocks or a check gave none.
pub(super) async fn race(
    guarding: Arc<Guarding>,
    asked: Asked,
) -> Result<(Cleared<Asked>, impl Future<Output = Result<Passed, Denial>> + Send), Denial> {
    let raced = Unchecked { at: "".into(), why: RACED.into() };
    asked.entry.note(|closed| closed.unchecked.push(raced));
    asked.entry.opened().await.map_err(|_| Denial::AuditUnavailable)?;
    let (subject, policy) = (Subject::of(&asked), asked.policy.clone());
    let passages = in_context(asked.request.passages());
    let verdict = async move {
        let started = Instant::now();
        let mut ruled = rule(&guarding.panel, &policy, &passages, subject.entry.trace()).await;
        subject.entry.keep(|texts| texts.add((Side::Request, &policy), &passages, &ruled.hidden));
        subject.ask_more(&mut ruled);
        if ruled.decision.action == Action::Redact {
            // It has gone as it was.
            ruled.block_instead();
        }
        subject.settle(ruled, started)
    };
    Ok((Cleared::grant(asked), verdict))
}

/// What the record of a race says.
const RACED: &str = "race: the request went to the model server while it was being judged";

/// What must be known of a request to say no to it.
struct Subject {
    entry: Entry,
    dialect: Dialect,
    model: String,
    stream: Option<WantsUsage>,
    choices: u64,
    language: Option<String>,
    moderation: Option<Moderation>,
}

impl Subject {
    fn of(asked: &Asked) -> Self {
        let request = &asked.request;
        Self {
            entry: asked.entry.clone(),
            dialect: request.dialect(),
            model: request.model().to_owned(),
            stream: request.is_stream().then(|| WantsUsage(request.wants_usage())),
            choices: request.choices(),
            language: asked.language.clone(),
            moderation: request.moderation(),
        }
    }

    /// Blocks more than the policy does, if the caller asked for that.
    fn ask_more(&self, ruled: &mut Ruled) {
        if self.moderation.is_some_and(|asked| asked.blocks_input) {
            ruled.block_what_counts();
        }
    }

    /// Notes the decision; an error if it blocks.
    fn settle(self, mut ruled: Ruled, started: Instant) -> Result<Passed, Denial> {
        let seen = self.moderation.map(|_| Seen::of(&ruled));
        let ruling = ruled.take_record();
        self.entry.note(|closed| {
            closed.input = Some(ruling);
            closed.timing_ms.guard_input = milliseconds(started.elapsed());
        });
        match ruled.decision.action {
            Action::Block => Err(self.block(ruled)),
            action => Ok(Passed { action, seen }),
        }
    }

    fn block(self, ruled: Ruled) -> Denial {
        if ruled.decision.unavailable {
            return Denial::GuardUnavailable;
        }
        let Self { dialect, model, stream, choices, language, .. } = self;
        let at = ruled.place();
        let decision = ruled.decision;
        Denial::Blocked(Box::new(Block { decision, at, dialect, model, stream, choices, language }))
    }
}

/// Cuts out what the decision says; `false` if any of it cannot be cut out.
fn redact(asked: &mut Asked, ruled: &Ruled) -> bool {
    ruled.redactions(asked.request.passages()).iter().all(|(at, spans)| {
        redacted(asked.request.passages(), at, spans)
            .is_some_and(|text| asked.request.replace(at, &text))
    })
}
