//! Every place of a request where a text can stand is examined or refused. The document below uses every field
//! that requests have; a test trigger is put into each of its strings and keys in turn.

use serde_json::{Value, json};

use crate::support::{
    Guard, Script, Upstream, completion, embedding, message, post_to, responded, text_completion,
};

const CANARY: &str = "PORTCULLIS-TEST-JAILBREAK";

fn everything_of_a_completion() -> Value {
    json!({
        "model": "m", "prompt": ["once upon a time", "there was"], "suffix": "the end", "stop": ["one", "two"],
        "stream": false, "stream_options": { "include_usage": true }, "n": 1, "best_of": 1, "max_tokens": 5,
        "temperature": 1, "top_p": 0.5, "frequency_penalty": 0, "presence_penalty": 0, "seed": 1,
        "logit_bias": { "50256": -100 }, "echo": false, "user": "u",
    })
}

fn everything_of_an_embedding() -> Value {
    json!({ "model": "m", "input": ["one", "two"], "dimensions": 8, "encoding_format": "float", "user": "u" })
}

fn everything_of_a_message() -> Value {
    let cached = json!({ "type": "ephemeral", "ttl": "5m" });
    json!({
        "model": "m", "max_tokens": 5,
        "system": [{ "type": "text", "text": "be kind", "cache_control": cached }],
        "messages": [
            { "role": "user", "content": "hello" },
            { "role": "assistant", "content": [
                { "type": "thinking", "thinking": "hm", "signature": "c2ln" }, { "type": "text", "text": "hi" },
                { "type": "tool_use", "id": "toolu_1", "name": "f", "input": { "city": ["Rome"] } }] },
            { "role": "user", "content": [
                { "type": "tool_result", "tool_use_id": "toolu_1", "is_error": false,
                  "content": [{ "type": "text", "text": "sunny" }] },
                { "type": "tool_result", "tool_use_id": "toolu_1", "content": "warm" },
                { "type": "text", "text": "and now?" }] },
        ],
        "tools": [{ "name": "f", "type": "custom", "description": "d", "cache_control": cached,
            "input_schema": { "type": "object", "properties": { "city": { "type": "array", "description": "which" } } } }],
        "tool_choice": { "type": "tool", "name": "f", "disable_parallel_tool_use": true },
        "stop_sequences": ["one"], "stream": false, "temperature": 1, "top_p": 0.5, "top_k": 3,
        "thinking": { "type": "enabled", "budget_tokens": 1024 }, "metadata": { "user_id": "u" },
        "service_tier": "auto",
    })
}

fn everything_of_a_response() -> Value {
    let schema = json!({ "type": "object", "properties": { "city": { "type": "string", "description": "which" } } });
    json!({
        "model": "m", "instructions": "be kind",
        "input": [
            { "type": "message", "role": "developer", "content": "be brief", "id": "msg_0", "status": "completed" },
            { "role": "system", "content": [{ "type": "input_text", "text": "be good" }] },
            { "role": "user", "content": "hello" },
            { "type": "message", "role": "user", "content": [{ "type": "input_text", "text": "one" },
                { "type": "input_text", "text": "two", "prompt_cache_breakpoint": { "mode": "explicit" } }] },
            { "type": "reasoning", "id": "rs_1", "status": "completed", "encrypted_content": null,
              "summary": [{ "type": "summary_text", "text": "hm" }],
              "content": [{ "type": "reasoning_text", "text": "h" }] },
            { "type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "phase": "commentary",
              "content": [{ "type": "output_text", "text": "hi", "annotations": [], "logprobs": [] },
                { "type": "refusal", "refusal": "no" }] },
            { "type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "f", "arguments": "{\"a\":\"b\"}",
              "namespace": "n", "status": "completed", "caller": { "type": "direct" } },
            { "type": "function_call_output", "id": "fo_1", "call_id": "call_1", "output": "sunny", "name": "f",
              "namespace": "n", "status": "completed" },
            { "type": "function_call_output", "call_id": "call_1", "output": [{ "type": "input_text", "text": "w" }] },
            { "type": "custom_tool_call", "id": "ct_1", "call_id": "call_2", "name": "g", "input": "x" },
            { "type": "custom_tool_call_output", "id": "co_1", "call_id": "call_2", "output": "warm" },
            { "role": "assistant", "content": "so" },
        ],
        "tools": [
            { "type": "function", "name": "f", "description": "d", "parameters": schema, "output_schema": schema,
              "strict": true, "defer_loading": false, "allowed_callers": ["direct"] },
            { "type": "custom", "name": "g", "description": "d",
              "format": { "type": "grammar", "syntax": "regex", "definition": "a+" } },
        ],
        "tool_choice": { "type": "allowed_tools", "mode": "auto", "tools": [{ "type": "function", "name": "f" }] },
        "text": { "format": { "type": "json_schema", "name": "s", "description": "d", "schema": schema, "strict": true },
            "verbosity": "low" },
        "reasoning": { "mode": "standard", "effort": "low", "summary": "auto", "context": "auto" },
        "stream": false, "stream_options": { "include_obfuscation": false }, "max_output_tokens": 5,
        "max_tool_calls": 1, "parallel_tool_calls": true, "temperature": 1, "top_p": 0.5, "top_logprobs": 0,
        "service_tier": "auto", "metadata": { "topic": "weather" }, "user": "u", "safety_identifier": "s",
        "prompt_cache_key": "k", "prompt_cache_retention": "24h", "prompt_cache_options": { "mode": "implicit", "ttl": "30m" },
        "truncation": "disabled", "include": [], "store": false, "background": false,
    })
}

fn everything() -> Value {
    let call = json!({ "id": "call_1", "type": "function", "function": { "name": "f", "arguments": "{\"a\":\"b\"}" } });
    let schema = json!({ "type": "object", "properties": { "city": { "type": "string", "description": "which",
        "enum": ["a", "b"], "default": "a", "examples": ["c"], "$comment": "d" } }, "required": ["city"] });
    json!({
        "model": "m",
        "messages": [
            { "role": "system", "content": "be kind", "name": "boss" },
            { "role": "developer", "content": [{ "type": "text", "text": "be brief" }] },
            { "role": "user", "content": "hello", "name": "ann" },
            { "role": "user", "content": [{ "type": "text", "text": "one" }, { "type": "text", "text": "two" }] },
            { "role": "assistant", "content": "hi", "refusal": "no", "reasoning": "r", "reasoning_content": "rc",
              "name": "bot", "tool_calls": [call], "function_call": { "name": "g", "arguments": "{}" } },
            { "role": "assistant", "content": [{ "type": "text", "text": "t" }, { "type": "refusal", "refusal": "n" }] },
            { "role": "tool", "tool_call_id": "call_1", "content": "sunny", "name": "f" },
            { "role": "tool", "tool_call_id": "call_1", "content": [{ "type": "text", "text": "warm" }] },
            { "role": "function", "name": "g", "content": "ok" },
        ],
        "tools": [{ "type": "function", "function": { "name": "f", "description": "d", "parameters": schema, "strict": false } }],
        "functions": [{ "name": "g", "description": "d", "parameters": schema }],
        "tool_choice": { "type": "function", "function": { "name": "f" } },
        "function_call": { "name": "g" },
        "response_format": { "type": "json_schema", "json_schema": { "name": "s", "description": "d", "schema": schema, "strict": true } },
        "prediction": { "type": "content", "content": [{ "type": "text", "text": "p" }] },
        "stop": ["one", "two"],
        "stream": false,
        "stream_options": { "include_usage": true },
        "n": 1, "max_tokens": 5, "max_completion_tokens": 5, "temperature": 1, "top_p": 0.5,
        "frequency_penalty": 0, "presence_penalty": 0, "seed": 1, "top_k": 1, "min_p": 0.1,
        "logit_bias": { "50256": -100 },
        "parallel_tool_calls": true, "reasoning_effort": "low", "verbosity": "low", "modalities": ["text"],
        "service_tier": "auto", "metadata": { "topic": "weather" }, "user": "u", "safety_identifier": "s",
        "prompt_cache_key": "k", "prompt_cache_retention": "24h", "store": false,
    })
}

/// Every document that differs from `value` by the canary in one string or one key, with the place.
fn planted(value: &Value) -> Vec<(String, Value)> {
    match value {
        Value::String(text) => {
            // A word of its own, and hidden among others.
            let hidden = format!("{text} {CANARY} {text}");
            vec![(String::new(), json!(CANARY)), ("~hidden".into(), json!(hidden))]
        }
        Value::Array(items) => items
            .iter()
            .enumerate()
            .flat_map(|(index, item)| {
                planted(item).into_iter().map(move |(at, changed)| {
                    let mut items = items.clone();
                    items[index] = changed;
                    (format!("/{index}{at}"), Value::Array(items))
                })
            })
            .collect(),
        Value::Object(fields) => fields
            .iter()
            .flat_map(|(key, item)| {
                let mut renamed = fields.clone();
                let value = renamed.remove(key).unwrap();
                renamed.insert(CANARY.to_owned(), value);
                let inner = planted(item).into_iter().map(move |(at, changed)| {
                    let mut fields = fields.clone();
                    fields.insert(key.clone(), changed);
                    (format!("/{key}{at}"), Value::Object(fields))
                });
                inner.chain([(format!("/{key}~key"), Value::Object(renamed))]).collect::<Vec<_>>()
            })
            .collect(),
        _ => Vec::new(),
    }
}

async fn count(path: &str, whole: Value, answer: Value) {
    let upstream = Upstream::start(Script::json(&answer)).await;
    let guard = Guard::start(&upstream.url());
    let reply = post_to(guard.address, path, &whole).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert_eq!(upstream.last_body(), whole, "every field is forwarded");

    let before = upstream.received().len();
    for (place, body) in &planted(&whole) {
        let reply = post_to(guard.address, path, body).await;
        assert_eq!(reply.status, 400, "{path}{place} was let through: {}", reply.body);
    }
    assert_eq!(upstream.received().len(), before, "nothing was forwarded");
}

#[tokio::test]
async fn every_string_and_every_key_of_a_request_is_examined_or_refused() {
    assert!(planted(&everything()).len() > 200);
    count("/v1/chat/completions", everything(), completion("ok")).await;
}

#[tokio::test]
async fn so_it_is_in_every_other_format() {
    count("/v1/completions", everything_of_a_completion(), text_completion("ok")).await;
    count("/v1/embeddings", everything_of_an_embedding(), embedding()).await;
    count("/v1/messages", everything_of_a_message(), message("ok")).await;
    count("/v1/responses", everything_of_a_response(), responded("ok")).await;
}
