//! Records to append, and waiting for them. Shared with the tests inside the crate and the
//! benchmark.

use jiff::Timestamp;
use proxy_audit::{
    Action, ByCategory, Check, CheckStatus, Closed, Mode, Opened, Outcome, ReadSummary, Released,
    Ruling, Span, Timing, Verdict,
};
use uuid::Uuid;

/// The request numbered `number`, as an ordinary proxy would record it.
pub(crate) fn opened(number: u64) -> Opened {
    Opened {
        id: id(number),
        time: time(number),
        instance: "pod-7".into(),
        route: "/v1/chat/completions".into(),
        key: Some("b3:5c0f91d2a7e4".into()),
        remote: Some([10, 1, 2, 3].into()),
        method: "POST".into(),
        trace_id: Some("4bf92f3577b34da6a3ce929d0e0e4736".into()),
    }
}

/// A part of its answer.
pub(crate) fn released(number: u64) -> Released {
    let until = [("/choices/0/message/content".into(), 1_200)];
    Released { id: id(number), time: time(number + 500), action: Action::Flag, until: until.into() }
}

/// Its end, with two checks on the way in and one on the way out.
pub(crate) fn closed(number: u64) -> Closed {
    let input = ruling(vec![
        check("prompt_guard", &["jailbreak", "prompt_injection"]),
        check("llama_guard", &["violent_crimes", "hate", "sexual_content", "privacy"]),
    ]);
    let output = ruling(vec![check("llama_guard", &["violent_crimes", "hate", "sexual_content"])]);
    Closed {
        id: id(number),
        time: time(number + 900),
        outcome: Outcome::Allowed,
        status: 200,
        reason: None,
        stream: true,
        model: Some("llama-3.1-405b".into()),
        policy: Some(format!("acme-assistant@b3:{:032x}", 0x91ac).into()),
        profile: None,
        key_name: None,
        mode: Mode::Enforce,
        input: Some(input),
        output: Some(output),
        unchecked: Vec::new(),
        unchecked_left_out: 0,
        read: ReadSummary { passages: 4, bytes: 2_113 },
        answered: ReadSummary { passages: 1, bytes: 912 },
        released_bytes: 1_877,
        timing_ms: Timing { total: 958.2, guard_input: 41.2, upstream: 913.0, guard_output: 3.7 },
    }
}

fn ruling(checks: Vec<Check>) -> Ruling {
    Ruling {
        verdict: Verdict::Safe,
        action: Action::Allow,
        would: None,
        because: Vec::new(),
        exemptions: Vec::new(),
        languages: Vec::new(),
        checks,
        checks_left_out: 0,
    }
}

fn check(name: &'static str, categories: &[&'static str]) -> Check {
    let scores = categories.iter().zip(1_u8..);
    Check {
        name: name.into(),
        revision: "3-8B@sha256:9f86d081884c7d65".into(),
        status: CheckStatus::Ok,
        ms: 41.2,
        passages: 3,
        scores: scores.map(|(name, i)| ((*name).into(), f32::from(i) / 100.0)).collect(),
        tools: ByCategory::default(),
        dialogue: ByCategory::default(),
        measures: ByCategory::default(),
        at: [(categories[0].into(), "/messages/3/content/0/text".into())].into_iter().collect(),
        spans: vec![Span {
            at: "/messages/3/content/0/text".into(),
            start: 212,
            end: 268,
            category: categories[0].into(),
        }],
        spans_left_out: 0,
    }
}

/// A UUIDv7-shaped id that carries its number.
pub(crate) fn id(number: u64) -> Uuid {
    Uuid::from_u128(0x0198_a000_0000_7000_8000_0000_0000_0000 | u128::from(number))
}

fn time(number: u64) -> Timestamp {
    let start = 1_795_327_408_112_i64;
    let number = i64::try_from(number).expect("test numbers are small");
    Timestamp::from_millisecond(start + number).expect("the time is in range")
}

/// Waits for one future on this thread.
pub(crate) fn wait<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.expect("a runtime starts").block_on(future)
}
