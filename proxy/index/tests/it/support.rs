//! Logs to look into.

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use proxy_audit::{
    Action, ByCategory, Check, CheckStatus, Closed, Examined, Journal, Keep, Kept, Mode, Opened,
    Options, Outcome, ReadSummary, Ruling, Timing, Verdict,
};
use uuid::Uuid;

/// Segments of a few records, so that a log has several.
const SEGMENT_BYTES: u64 = 20_000;

/// When the first decision of a log is taken.
pub(crate) const START: i64 = 1_795_327_408_000;

/// A decision to record: what the tests vary.
pub(crate) struct Told {
    pub(crate) action: Action,
    pub(crate) hazard: &'static str,
    pub(crate) score: f32,
    pub(crate) route: &'static str,
    pub(crate) key: &'static str,
    pub(crate) text: &'static str,
}

impl Default for Told {
    fn default() -> Self {
        Self {
            action: Action::Allow,
            hazard: "hate",
            score: 0.1,
            route: "/v1/chat/completions",
            key: "b3:aaaa",
            text: "how are you today",
        }
    }
}

pub(crate) fn journal(dir: &Path) -> Journal {
    let options = Options { segment_bytes: SEGMENT_BYTES, ..Options::default() };
    Journal::open(dir, &options).expect("the log opens").0
}

/// The id of decision `number`.
pub(crate) fn id(number: u64) -> Uuid {
    Uuid::from_u128(0x0198_a000_0000_7000_8000_0000_0000_0000 | u128::from(number))
}

fn time(number: u64) -> Timestamp {
    let second = i64::try_from(number).expect("test numbers are small") * 1_000;
    Timestamp::from_millisecond(START + second).expect("the time is in range")
}

/// Records decision `number`, one second after the one before it.
pub(crate) fn tell(journal: &Journal, number: u64, told: &Told) {
    drop(journal.append_opened(&Opened {
        id: id(number),
        time: time(number),
        instance: "pod-7".into(),
        route: told.route.into(),
        key: Some(told.key.into()),
        remote: None,
        method: "POST".into(),
        trace_id: None,
    }));
    drop(journal.append_examined(Box::new(Examined {
        id: id(number),
        time: time(number),
        keep: Keep::Full,
        input: vec![Kept {
            at: "/messages/0/content".into(),
            role: "user".into(),
            bytes: told.text.len() as u64,
            text: Some(Arc::from(told.text)),
            fingerprint: None,
            masked: Vec::new(),
            why: None,
        }],
        output: Vec::new(),
        left_out: 0,
    })));
    wait(journal.append_closed(&closed(number, told)).durable()).expect("the disk works");
}

fn closed(number: u64, told: &Told) -> Closed {
    let found = told.action != Action::Allow;
    let check = Check {
        name: "llama_guard".into(),
        revision: "3-8B".into(),
        status: CheckStatus::Ok,
        ms: 4.0,
        passages: 1,
        scores: [(told.hazard.into(), told.score)].into_iter().collect(),
        tools: ByCategory::default(),
        dialogue: ByCategory::default(),
        measures: ByCategory::default(),
        at: ByCategory::default(),
        spans: Vec::new(),
        spans_left_out: 0,
    };
    let input = Ruling {
        verdict: if found { Verdict::Unsafe } else { Verdict::Safe },
        action: told.action,
        would: None,
        because: if found { vec![told.hazard.into()] } else { Vec::new() },
        exemptions: Vec::new(),
        languages: Vec::new(),
        checks: vec![check],
        checks_left_out: 0,
    };
    Closed {
        id: id(number),
        time: time(number),
        outcome: if told.action == Action::Block { Outcome::Blocked } else { Outcome::Allowed },
        status: if told.action == Action::Block { 400 } else { 200 },
        reason: None,
        stream: false,
        model: Some("llama-3.1-405b".into()),
        policy: Some("acme@b3:91ac".into()),
        profile: None,
        key_name: None,
        mode: Mode::Enforce,
        input: Some(input),
        output: None,
        unchecked: Vec::new(),
        unchecked_left_out: 0,
        read: ReadSummary::default(),
        answered: ReadSummary::default(),
        released_bytes: 0,
        timing_ms: Timing::default(),
    }
}

/// Waits for one future on this thread.
pub(crate) fn wait<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.expect("a runtime starts").block_on(future)
}
