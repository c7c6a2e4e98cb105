//! Answers in blocks: prose that goes on from block to block, with thoughts and tool calls between, one block after the
//! other or mixed. A client that prints what comes as it comes must never read something bad.

use std::time::Duration;

use proxy_dialects::Dialect;
use proxy_stream::{Mode, Settings, StreamGuard};
use serde_json::{Value, json};

use crate::plan::{BLOCKS, CUT_OUT, modes, text, violations};
use crate::random::Random;
use crate::{End, LIMIT, REFUSAL, judge};

/// What stands where something was cut out.
const MARK: &str = "[REDACTED]";

/// Letters of a tool call's id and name.
const NAMES: usize = "t1f".len();

struct Plan {
    settings: Settings,
    /// The prose of all blocks, in the order in which it comes.
    said: String,
    bytes: Vec<u8>,
}

impl Plan {
    fn new(random: &mut Random) -> Self {
        let (window, overlap) = (1 + random.below(40), random.below(40));
        let max_wait = Duration::from_millis(random.below(50) as u64);
        let settings = Settings { mode: modes(random), window, overlap, max_wait };
        let said = text(random, overlap);
        let mut events = vec![json!({ "type": "message_start", "message": {
            "id": "m1", "type": "message", "role": "assistant", "model": "m", "content": [],
            "stop_reason": null, "stop_sequence": null, "usage": { "input_tokens": 1, "output_tokens": 1 },
        }})];
        events.extend(blocks(random, &said, overlap));
        let end = json!({ "stop_reason": "end_turn", "stop_sequence": null });
        events.push(
            json!({ "type": "message_delta", "delta": end, "usage": { "output_tokens": 5 } }),
        );
        events.push(json!({ "type": "message_stop" }));
        let lines = events.iter().map(|event| format!("event: x\ndata: {event}\n\n"));
        Self { settings, said, bytes: lines.collect::<String>().into_bytes() }
    }

    /// What a client may read in the end; and where the first thing stands that it may not.
    fn fine(&self) -> (String, usize) {
        let worst = violations(&self.said, BLOCKS).first().map_or(self.said.len(), |bad| bad.start);
        let without = |until: usize| {
            let (mut fine, mut at) = (String::new(), 0);
            for cut in violations(&self.said, CUT_OUT).into_iter().filter(|cut| cut.end <= until) {
                fine += &self.said[at..cut.start];
                at = cut.end;
            }
            fine + &self.said[at..until]
        };
        (without(self.said.len()), without(worst).len())
    }
}

/// `said` in blocks. What stands between them is shorter than the overlap: more would be an interruption.
fn blocks(random: &mut Random, said: &str, overlap: usize) -> Vec<Value> {
    let letters: Vec<char> = said.chars().collect();
    let (mut events, mut index, mut between) = (Vec::new(), 0, overlap);
    let mut rest = &letters[..];
    while !rest.is_empty() {
        if between > NAMES && random.chance(30) {
            let other = "x".repeat(random.below(between - NAMES));
            between -= other.len() + NAMES;
            let (kind, field) = if random.chance(50) {
                ("thinking", "thinking")
            } else {
                ("tool_use", "partial_json")
            };
            events.extend(block(random, index, (kind, field), &other));
            index += 1;
        }
        let (now, later) = rest.split_at(1 + random.below(rest.len()));
        rest = later;
        let own = |part: &[char]| part.iter().collect::<String>();
        if random.chance(20) && now.len() > 1 {
            // Two at once: each piece goes to one or the other.
            events.extend([index, index + 1].map(|index| start(index, "text")));
            let size = 1 + random.below(8);
            for piece in now.chunks(size) {
                events.push(delta(index + random.below(2), "text", &own(piece)));
            }
            events.extend([index, index + 1].map(stop));
            index += 2;
            continue;
        }
        events.extend(block(random, index, ("text", "text"), &own(now)));
        index += 1;
    }
    events
}

fn block(random: &mut Random, index: usize, (kind, field): (&str, &str), text: &str) -> Vec<Value> {
    let letters: Vec<char> = text.chars().collect();
    let size = 1 + random.below(20);
    let pieces =
        letters.chunks(size).map(|piece| delta(index, field, &piece.iter().collect::<String>()));
    [start(index, kind)].into_iter().chain(pieces).chain([stop(index)]).collect()
}

fn start(index: usize, kind: &str) -> Value {
    let block = match kind {
        "tool_use" => json!({ "type": kind, "id": "t1", "name": "f", "input": {} }),
        kind => json!({ "type": kind, kind: "" }),
    };
    json!({ "type": "content_block_start", "index": index, "content_block": block })
}

fn delta(index: usize, field: &str, text: &str) -> Value {
    let kind = if field == "partial_json" {
        "input_json_delta".to_owned()
    } else {
        format!("{field}_delta")
    };
    json!({ "type": "content_block_delta", "index": index, "delta": { "type": kind, field: text } })
}

fn stop(index: usize) -> Value {
    json!({ "type": "content_block_stop", "index": index })
}

/// What an event adds to what a client prints.
fn printed(event: &[u8]) -> String {
    let event: Value = serde_json::from_slice(event).unwrap();
    let text = event["delta"]["text"].as_str().or_else(|| event["content_block"]["text"].as_str());
    text.filter(|text| *text != REFUSAL).unwrap_or_default().to_owned()
}

fn simulate(seed: u64) -> End {
    let mut random = Random::new(seed);
    let plan = Plan::new(&mut random);
    if crate::number("SHOW", 0) > 0 {
        println!("{:?} {:?}\n{}", plan.settings, plan.said, String::from_utf8_lossy(&plan.bytes));
    }
    let (fine, most) = plan.fine();
    let mut guard = StreamGuard::new(Dialect::ANTHROPIC_MESSAGES, plan.settings, 1, LIMIT);
    let (mut got, mut fed, mut now) = (String::new(), 0, Duration::ZERO);
    let check = |got: &str| {
        if plan.settings.mode == Mode::Follow {
            // It leaves before its verdict.
            return;
        }
        let clean = got.replace(MARK, "");
        assert!(fine.starts_with(&clean), "{clean:?} is not what may be read: {fine:?}");
        assert!(clean.len() <= most, "{clean:?} of {:?} has left", plan.said);
    };
    let mut judging = None;
    for _ in 0..1_000_000 {
        now += Duration::from_millis(random.below(5) as u64);
        if guard.wants_more() && random.chance(60) {
            let rest = &plan.bytes[fed..];
            let count = (1 + random.below(300)).min(rest.len());
            guard.feed(&rest[..count], now).unwrap();
            fed += count;
        }
        judging = judging.or_else(|| guard.examine(now));
        if let Some(examination) = judging.take_if(|_| random.chance(40)) {
            let (blocks, cuts) = judge(&examination);
            let cleared = if blocks { Ok(()) } else { guard.clear(examination, &cuts) };
            assert!(cleared.is_ok() || plan.settings.ahead() > 0, "{cuts:?} came too late");
            if blocks || cleared.is_err() {
                got.extend(guard.cut(REFUSAL).iter().map(|event| printed(event)));
                check(&got);
                return End::Cut;
            }
        }
        got.extend(guard.release().iter().map(|event| printed(event)));
        check(&got);
        if guard.is_judged() && !guard.is_over() {
            guard.clear(proxy_stream::Examination::empty(), &[]).unwrap();
        }
        if guard.is_over() {
            assert!(violations(&plan.said, BLOCKS).is_empty(), "{:?} was let through", plan.said);
            assert_eq!(got.replace(MARK, ""), fine);
            return End::Complete;
        }
    }
    panic!("it never ends: {guard:?}");
}

#[test]
fn what_goes_on_in_the_next_block_is_judged_with_it() {
    let (first, count) = (crate::number("SEED", 0), crate::number("STREAMS", 2000));
    let mut cut = 0;
    for seed in first..first + count {
        let end = std::panic::catch_unwind(|| simulate(seed))
            .unwrap_or_else(|_| panic!("to see it again: SEED={seed} STREAMS=1"));
        cut += u64::from(end == End::Cut);
    }
    println!("{count} answers in blocks: {cut} were cut off");
    assert!(count < 1000 || (cut > count / 100 && cut < count / 2), "{cut} of {count}: too tame");
}
