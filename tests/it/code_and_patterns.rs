//! Real secrets, personal data and insecure code, as the embedded detectors find them: blocked or cut out, plain and
//! streamed, in dialogue and in the arguments of tools.

use proxy_audit::{Action, Outcome};
use serde_json::{Value, json};

use crate::support::{Guard, Script, Upstream, chat, completion, get_events, post, sse};

/// A key that nobody was ever given, in two pieces so that no scanner of repositories finds it.
fn key() -> String {
    ["sk_live_", "4eC39HqLyjWDarjtT1zdp7dc"].concat()
}

const IBAN: &str = "DE89 3704 0044 0532 0130 00";
const WEAK: &str = "```python\ndef find(db, name):\n    db.execute(\"SELECT * FROM users WHERE name = '%s'\" % name)\n```";

fn policy(action: &str, code: &str) -> String {
    format!(
        "version: 1
name: test
hazards:
  defaults: {{ sensitivity: 1.0, input: allow, output: allow, tools: allow }}
  secrets: {{ sensitivity: low, input: {action}, output: {action}, tools: {action} }}
  personal_data: {{ sensitivity: low, input: {action}, output: {action}, tools: {action} }}
  insecure_code: {{ sensitivity: low, input: allow, output: {code}, tools: {code} }}
on_failure: {{ input: block, output: block, tools: block, timeout: 2s }}
streaming: {{ mode: hold, window: 50 chars, overlap: 200 chars, max_wait: 100ms }}
messages: {{ reply_as: error, default: {{ en: \"Not that.\" }} }}
"
    )
}

/// Between words enough for several windows.
fn amid(text: &str) -> String {
    let words: String = (0..60).map(|number| format!("word {number}, ")).collect();
    format!("{words}\n{text}\n{words}")
}

fn streamed(body: &str) -> String {
    let chunks = get_events(body).into_iter().filter_map(|event| serde_json::from_str(&event).ok());
    let said = |chunk: Value| chunk["choices"][0]["delta"]["content"].as_str().map(str::to_owned);
    chunks.filter_map(said).collect()
}

/// What the model says reaches the client as this.
async fn answered(said: &str, stream: bool, policy: &str) -> (String, Outcome, Action) {
    let pieces: Vec<&str> = said.split_inclusive(' ').collect();
    let script = if stream { Script::sse(&sse(&pieces)) } else { Script::say(said) };
    let upstream = Upstream::start(script).await;
    let guard = Guard::with(&upstream.url(), policy, "");
    let reply = post(guard.address, &[], chat("hi", stream).to_string().as_bytes()).await;
    let text = match stream {
        true => streamed(&reply.body),
        false => {
            reply.json()["choices"][0]["message"]["content"].as_str().unwrap_or_default().to_owned()
        }
    };
    let closed = guard.closed_after(1).await.pop().unwrap();
    (text, closed.outcome, closed.output.unwrap().action)
}

#[tokio::test]
async fn secrets_and_personal_data_are_cut_out_of_answers() {
    for found in [key(), IBAN.to_owned(), "jane.doe@acme-corp.co.uk".to_owned()] {
        let said = amid(&format!("It is {found} as you know."));
        for stream in [false, true] {
            let (text, outcome, _) = answered(&said, stream, &policy("redact", "allow")).await;
            assert_eq!(text, said.replace(&found, "[REDACTED]"), "streamed: {stream}");
            assert_eq!(outcome, Outcome::Redacted);
        }
    }
}

#[tokio::test]
async fn what_is_blocked_does_not_begin_to_leave() {
    for (bad, allowed) in [(key(), "allow"), (WEAK.to_owned(), "block")] {
        let said = amid(&bad);
        for stream in [false, true] {
            let (text, outcome, action) = answered(&said, stream, &policy("block", allowed)).await;
            assert!(
                !text.contains(&bad[..8]) && said.starts_with(&text),
                "streamed: {stream}: {text}"
            );
            assert_eq!((outcome, action), (Outcome::Blocked, Action::Block));
        }
    }
    let fine = amid("```python\ndb.execute(\"SELECT 1 FROM t WHERE n = %s\", (name,))\n```");
    let (text, outcome, _) = answered(&fine, true, &policy("block", "block")).await;
    assert_eq!((text, outcome), (fine, Outcome::Allowed));
}

/// An answer that calls a tool with `arguments`.
fn call(arguments: &str) -> Value {
    let mut answer = completion("");
    answer["choices"][0]["message"] = json!({ "role": "assistant", "content": null, "tool_calls": [
        { "id": "c", "type": "function", "function": { "name": "run", "arguments": arguments } }] });
    answer
}

#[tokio::test]
async fn tool_calls_are_judged_too() {
    let command = json!({ "code": "import os\nos.system('rm -rf ' + folder)\n" }).to_string();
    let mail = json!({ "text": format!("the key is {}", key()) }).to_string();
    let fine = json!({ "text": "nothing" }).to_string();
    for (arguments, blocked) in [(&command, true), (&mail, true), (&fine, false)] {
        let upstream = Upstream::start(Script::json(&call(arguments))).await;
        let guard = Guard::with(&upstream.url(), &policy("block", "block"), "");
        let reply = post(guard.address, &[], chat("hi", false).to_string().as_bytes()).await;
        let said = &reply.json()["choices"][0]["message"]["tool_calls"];
        assert_eq!(said.is_array(), !blocked, "{arguments}: {}", reply.body);
    }
    // Cut out where that is possible, withheld where it is not; never let through.
    let upstream = Upstream::start(Script::json(&call(&mail))).await;
    let guard = Guard::with(&upstream.url(), &policy("redact", "allow"), "");
    let reply = post(guard.address, &[], chat("hi", false).to_string().as_bytes()).await;
    assert!(!reply.body.contains(&key()), "{}", reply.body);
}

#[tokio::test]
async fn a_key_in_a_question_never_reaches_the_model() {
    let upstream = Upstream::start(Script::say("fine")).await;
    let guard = Guard::with(&upstream.url(), &policy("redact", "allow"), "");
    let hidden = key().replace("HqLy", "Hq\u{200b}Ly");
    for secret in [key(), hidden] {
        let question = format!("why is {secret} refused?");
        let reply = post(guard.address, &[], chat(&question, false).to_string().as_bytes()).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        let sent = String::from_utf8(upstream.received()).unwrap();
        assert!(!sent.contains("4eC39") && sent.contains("[REDACTED] refused"), "{sent}");
    }
}
