//! Judging a request.

use policies::Action;

use super::clearance::Cleared;
use super::layer::Guarding;
use super::ruling::{Ruled, redacted, rule};
use crate::denial::{Block, Denial, WantsUsage};
use crate::read::Asked;
use crate::record::milliseconds;

/// Judges `asked`; what is returned may go to the upstream.
///
/// # Errors
/// When the policy blocks it, a check gave no verdict, or the exchange cannot be recorded.
pub(super) async fn clear(
    guarding: &Guarding,
    mut asked: Asked,
) -> Result<(Cleared<Asked>, Action), Denial> {
    let started = std::time::Instant::now();
    let mut ruled = rule(&guarding.panel, &asked.policy, asked.request.passages()).await;
    if ruled.decision.action == Action::Redact && !redact(&mut asked, &ruled) {
        ruled.block_instead();
    }
    let ruling = ruled.take_record();
    asked.entry.note(|closed| {
        closed.input = Some(ruling);
        closed.timing_ms.guard_input = milliseconds(started.elapsed());
    });
    if ruled.decision.action == Action::Block {
        return Err(block(&asked, ruled));
    }
    asked.entry.opened().await.map_err(|_| Denial::AuditUnavailable)?;
    Ok((Cleared::grant(asked), ruled.decision.action))
}

/// Cuts out what the decision says; `false` if any of it cannot be cut out.
fn redact(asked: &mut Asked, ruled: &Ruled) -> bool {
    ruled.redactions().iter().all(|(at, spans)| {
        redacted(asked.request.passages(), at, spans)
            .is_some_and(|text| asked.request.replace(at, &text))
    })
}

fn block(asked: &Asked, ruled: Ruled) -> Denial {
    if ruled.decision.unavailable {
        return Denial::GuardUnavailable;
    }
    let request = &asked.request;
    Denial::Blocked(Box::new(Block {
        at: ruled.place(),
        decision: ruled.decision,
        model: request.model().to_owned(),
        dialect: request.dialect(),
        stream: request.is_stream().then(|| WantsUsage(request.wants_usage())),
        choices: request.choices(),
        language: asked.language.clone(),
    }))
}
