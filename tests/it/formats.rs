//! The same conversation in every wire format: the guard decides the same, and says so in the words of the format.

use proxy_audit::Outcome;
use serde_json::{Value, json};

use crate::support::{
    Guard, POLICY, Script, Upstream, chat, completion, embedding, message, message_blocks_sse,
    message_sse, message_with_tool_sse, policy_with, post_to, responded, responded_parts_sse,
    responded_sse, responded_with_tool_sse, sse, text_completion, text_sse,
};

/// One wire format: a request that says something, an answer that says something, and where to look.
pub struct Format {
    pub path: &'static str,
    pub ask: fn(&str) -> Value,
    pub answer: fn(&str) -> Value,
    /// Where an answer's text stands.
    pub said: &'static str,
    /// Where an answer says why it ended.
    why: &'static str,
    /// Where an answer's refusal stands, and the reason that goes with it.
    refusal: (&'static str, &'static str),
    /// A streamed answer that says something, piece by piece.
    pub stream: fn(&[&str]) -> String,
    /// Where the events of a stream have a text or the reason for its end.
    streamed: (&'static [&'static str], &'static str),
    /// How a stream ends.
    last: &'static str,
}

pub const FORMATS: [Format; 4] = [
    Format {
        path: "/v1/chat/completions",
        ask: |text| chat(text, false),
        answer: completion,
        said: "/choices/0/message/content",
        why: "/choices/0/finish_reason",
        refusal: ("/choices/0/message/refusal", "content_filter"),
        stream: sse,
        streamed: (
            &["/choices/0/delta/content", "/choices/0/delta/refusal"],
            "/choices/0/finish_reason",
        ),
        last: "data: [DONE]\n\n",
    },
    Format {
        path: "/v1/completions",
        ask: |text| json!({ "model": "m", "prompt": text }),
        answer: text_completion,
        said: "/choices/0/text",
        why: "/choices/0/finish_reason",
        refusal: ("/choices/0/text", "content_filter"),
        stream: text_sse,
        streamed: (&["/choices/0/text"], "/choices/0/finish_reason"),
        last: "data: [DONE]\n\n",
    },
    Format {
        path: "/v1/messages",
        ask: |text| json!({ "model": "m", "max_tokens": 9, "messages": [{ "role": "user", "content": text }] }),
        answer: message,
        said: "/content/0/text",
        why: "/stop_reason",
        refusal: ("/content/0/text", "refusal"),
        stream: message_sse,
        streamed: (&["/delta/text"], "/delta/stop_reason"),
        last: "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
    },
    Format {
        path: "/v1/responses",
        ask: |text| json!({ "model": "m", "input": text }),
        answer: responded,
        said: "/output/0/content/0/text",
        why: "/status",
        refusal: ("/output/0/content/0/refusal", "incomplete"),
        stream: responded_sse,
        streamed: (&["/delta"], "/response/status"),
        last: "\n\n",
    },
];

/// What a test is about: the question, the answer, and how the exchange must end.
const EXCHANGES: [(&str, &str, Outcome); 6] = [
    ("hello", "good day", Outcome::Allowed),
    ("PORTCULLIS-TEST-S6", "good day", Outcome::Flagged),
    ("PORTCULLIS-TEST-S9", "good day", Outcome::Blocked),
    ("hello", "PORTCULLIS-TEST-S9", Outcome::Blocked),
    ("hello", "it is PORTCULLIS-TEST-SECRET, hush", Outcome::Redacted),
    ("my PORTCULLIS-TEST-SECRET", "good day", Outcome::Redacted),
];

#[tokio::test]
async fn the_same_words_are_judged_the_same_in_every_format() {
    for format in &FORMATS {
        let upstream = Upstream::start(Script::say("")).await;
        let guard = Guard::start(&upstream.url());
        for (question, answer, outcome) in EXCHANGES {
            upstream.play(Script::json(&(format.answer)(answer)));
            let before = upstream.received().len();
            let reply = post_to(guard.address, format.path, &(format.ask)(question)).await;
            let case = format!("{} {question} / {answer}: {}", format.path, reply.body);
            assert_eq!(guard.closed().pop().unwrap().outcome, outcome, "{case}");
            assert!(!reply.body.contains("PORTCULLIS-TEST-S"), "{case}");
            let at = |place: &str| reply.json().pointer(place).cloned().unwrap_or_default();
            match (outcome, question.contains("S9")) {
                (Outcome::Blocked, true) => {
                    assert_eq!((reply.status, upstream.received().len()), (400, before), "{case}");
                    assert_eq!(reply.headers["x-should-retry"], "false", "{case}");
                    assert!(at("/error/message").as_str().unwrap().contains("Not that."), "{case}");
                }
                (Outcome::Blocked, false) => {
                    let (place, why) = format.refusal;
                    assert!(at(place).as_str().unwrap().starts_with("Not that."), "{case}");
                    assert_eq!(at(format.why), why, "{case}");
                }
                (Outcome::Redacted, _) if answer.contains("SECRET") => {
                    assert_eq!(at(format.said), "it is [REDACTED], hush", "{case}");
                }
                _ => assert_eq!(at(format.said), "good day", "{case}"),
            }
            let forwarded = upstream.received();
            let sent = String::from_utf8_lossy(&forwarded);
            assert!(!sent.contains("TEST-SECRET") && !sent.contains("TEST-S9"), "{case}");
        }
        let received = String::from_utf8(upstream.received()).unwrap();
        assert!(received.contains(&format!("POST {} HTTP/1.1", format.path)), "{received}");
    }
}

impl Format {
    /// What the events of `body` say, all together, and why they say they end.
    pub fn joined(&self, body: &str) -> (String, Value) {
        let (texts, why) = self.streamed;
        let data = body.lines().filter_map(|line| line.strip_prefix("data: "));
        let events: Vec<Value> = data.filter_map(|data| serde_json::from_str(data).ok()).collect();
        let pieces = events.iter().flat_map(|event| texts.iter().map(|at| event.pointer(at)));
        let said = pieces.flatten().filter_map(Value::as_str).collect();
        let mut ends = events.iter().filter_map(|event| event.pointer(why));
        (said, ends.rfind(|why| !why.is_null()).cloned().unwrap_or_default())
    }
}

#[tokio::test]
async fn streams_are_released_and_cut_off_in_every_format() {
    let bad = ["It begins well. ", "PORTCULLIS-", "TEST-S9", " and goes on."];
    let late = [vec!["All is well. "; 200], bad.to_vec()].concat();
    for format in &FORMATS {
        let upstream = Upstream::start(Script::say("")).await;
        let guard = Guard::start(&upstream.url());
        let play = |pieces: &[&str]| upstream.play(Script::slow_sse(&(format.stream)(pieces)));
        let mut ask = (format.ask)("hello");
        ask["stream"] = json!(true);

        play(&["good ", "day, ", "the key is PORTCULLIS-TEST-", "SECRET", "!"]);
        let reply = post_to(guard.address, format.path, &ask).await;
        let (said, why) = format.joined(&reply.body);
        assert_eq!(said, "good day, the key is [REDACTED]!", "{}", reply.body);
        assert!(
            ["stop", "end_turn", "completed"].contains(&why.as_str().unwrap()),
            "{}",
            reply.body
        );
        assert!(reply.body.ends_with(format.last), "{}", reply.body);
        assert_eq!(guard.closed().pop().unwrap().outcome, Outcome::Redacted);

        for (pieces, begun) in [(&late[..], true), (&bad[1..], false)] {
            play(pieces);
            let reply = post_to(guard.address, format.path, &ask).await;
            let (said, why) = format.joined(&reply.body);
            let case = format!("{} {}", format.path, reply.body);
            assert_eq!(why, format.refusal.1, "{case}");
            assert!(reply.body.ends_with(format.last), "{case}");
            assert!(!reply.body.contains("TEST-S9") && !reply.body.contains("goes on"), "{case}");
            assert_eq!(said.starts_with("All is well. "), begun, "{case}");
            // A text that has begun has no place for a refusal where the format has no field for one.
            assert!(said.contains("Not that.") || format.path == "/v1/completions", "{case}");
            assert_eq!(guard.closed().pop().unwrap().outcome, Outcome::Blocked);
        }
    }
}

/// Clients print the blocks of an answer one after the other.
#[tokio::test]
async fn what_goes_on_in_the_next_block_is_one_text() {
    let streams: [fn(&[&str]) -> String; 2] = [message_blocks_sse, |texts| {
        let parts: Vec<&[&str]> = texts.chunks(1).collect();
        responded_parts_sse(&parts)
    }];
    for (format, stream) in FORMATS[2..].iter().zip(streams) {
        let upstream = Upstream::start(Script::say("")).await;
        let guard = Guard::start(&upstream.url());
        let mut ask = (format.ask)("hello");
        ask["stream"] = json!(true);
        for (texts, said, outcome) in [
            (&["It is ", "well."][..], "It is well.", Outcome::Allowed),
            (&["Is PORTCULLIS-", "TEST-S9 ", "bad?"], "", Outcome::Blocked),
            (&["Hush: PORTCULLIS", "-TEST", "-SECRET", "!"], "Hush: !", Outcome::Redacted),
        ] {
            upstream.play(Script::slow_sse(&stream(texts)));
            let reply = post_to(guard.address, format.path, &ask).await;
            let case = format!("{} {texts:?} {}", format.path, reply.body);
            let (read, _) = format.joined(&reply.body);
            let closed = guard.closed().pop().unwrap();
            assert_eq!(closed.outcome, outcome, "{case}");
            let read = read.replace("[REDACTED]", "");
            assert!(outcome == Outcome::Blocked || read == said, "{case}");
            assert!(!read.contains("TEST") && !reply.body.contains("PORTCULLIS"), "{case}");

            // So it is where nothing is streamed, also with thoughts between.
            let mut answer = (format.answer)("");
            let texts: Vec<Value> = texts.iter().map(|text| json!(text)).collect();
            if format.path == "/v1/messages" {
                let block = |text: &Value| json!([{ "type": "thinking", "thinking": "hm", "signature": "" }, { "type": "text", "text": text }]);
                let blocks = texts.iter().flat_map(|text| block(text).as_array().unwrap().clone());
                answer["content"] = blocks.collect();
            } else {
                let item = answer["output"][0].clone();
                let with = |text: &Value| {
                    let mut item = item.clone();
                    item["content"][0]["text"] = text.clone();
                    item
                };
                answer["output"] = texts.iter().map(with).collect();
            }
            upstream.play(Script::json(&answer));
            let reply = post_to(guard.address, format.path, &(format.ask)("hello")).await;
            let case = format!("{} {texts:?} {}", format.path, reply.body);
            assert_eq!(guard.closed().pop().unwrap().outcome, outcome, "{case}");
            assert!(!reply.body.contains("PORTCULLIS") && !reply.body.contains("TEST"), "{case}");
        }
    }
}

#[tokio::test]
async fn a_stream_that_begins_in_the_middle_does_not_leak_its_first_event() {
    let bad = "PORTCULLIS-TEST-S12";
    for format in &FORMATS {
        let whole = (format.stream)(&[bad]);
        let rest: String =
            whole.split_inclusive("\n\n").skip_while(|event| !event.contains(bad)).collect();
        let upstream = Upstream::start(Script::sse(&rest)).await;
        let guard = Guard::start(&upstream.url());
        let mut ask = (format.ask)("hello");
        ask["stream"] = json!(true);
        let reply = post_to(guard.address, format.path, &ask).await;
        assert!(!reply.body.contains(bad), "{} {}", format.path, reply.body);
        assert_eq!(guard.closed().pop().unwrap().outcome, Outcome::Blocked, "{}", reply.body);
    }
}

#[tokio::test]
async fn a_tool_call_of_a_streamed_message_leaves_when_all_of_it_was_judged() {
    let upstream = Upstream::start(Script::say("")).await;
    let guard = Guard::start(&upstream.url());
    let ask = json!({ "model": "m", "max_tokens": 9, "stream": true,
        "messages": [{ "role": "user", "content": "hi" }] });
    for (city, passes) in [("Rome", true), ("PORTCULLIS-TEST-S9", false)] {
        upstream.play(Script::sse(&message_with_tool_sse(city)));
        let reply = post_to(guard.address, "/v1/messages", &ask).await;
        assert_eq!(reply.body.contains("\"name\":\"weather\""), passes, "{}", reply.body);
        assert!(!reply.body.contains("TEST-S9"), "{}", reply.body);
        let names = reply.body.lines().filter_map(|line| line.strip_prefix("event: "));
        let opened = names.clone().filter(|name| *name == "content_block_start").count();
        let closed = names.filter(|name| *name == "content_block_stop").count();
        assert_eq!(opened, closed, "{}", reply.body);
    }
}

/// The data of the events of `body`, which must be numbered without a gap.
fn numbered(body: &str) -> Vec<Value> {
    let data = body.lines().filter_map(|line| line.strip_prefix("data: "));
    let events: Vec<Value> = data.map(|data| serde_json::from_str(data).unwrap()).collect();
    let names = body.lines().filter_map(|line| line.strip_prefix("event: "));
    for (number, (event, name)) in events.iter().zip(names).enumerate() {
        assert_eq!(
            (&event["sequence_number"], &event["type"]),
            (&json!(number), &json!(name)),
            "{body}"
        );
    }
    events
}

fn of<'a>(events: &'a [Value], name: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["type"] == format!("response.{name}")).collect()
}

#[tokio::test]
async fn what_a_streamed_response_repeats_is_what_has_left() {
    let upstream = Upstream::start(Script::say("")).await;
    let guard = Guard::start(&upstream.url());
    let ask = json!({ "model": "m", "input": "hi", "stream": true });
    let secret = ["the key is PORTCULLIS-TEST-", "SECRET", "!"];
    let redacted = "the key is [REDACTED]!";

    upstream.play(Script::sse(&responded_sse(&secret)));
    let reply = post_to(guard.address, "/v1/responses", &ask).await;
    let events = numbered(&reply.body);
    assert!(!reply.body.contains("TEST-"), "{}", reply.body);
    assert_eq!(of(&events, "output_text.done")[0]["text"], redacted);
    assert_eq!(of(&events, "content_part.done")[0]["part"]["text"], redacted);
    assert_eq!(of(&events, "output_item.done")[0]["item"]["content"][0]["text"], redacted);
    let ended = of(&events, "completed")[0];
    assert_eq!(ended["response"]["output"][0]["content"][0]["text"], redacted);
    assert_eq!(ended, events.last().unwrap());

    // Whatever is repeated that was never said, or said otherwise.
    let honest = responded_sse(&["good ", "day"]);
    upstream.play(Script::sse(&honest.replace("\"good day\"", "\"PORTCULLIS-TEST-S9\"")));
    let reply = post_to(guard.address, "/v1/responses", &ask).await;
    assert!(!reply.body.contains("TEST-"), "{}", reply.body);
    let ended = of(&numbered(&reply.body), "completed")[0].clone();
    assert_eq!(ended["response"]["output"][0]["content"][0]["text"], "good day");

    // What is said at the end only is judged like anything else.
    for (text, name) in [("good day", "completed"), ("PORTCULLIS-TEST-S9", "incomplete")] {
        let silent: String = responded_sse(&[text])
            .split_inclusive("\n\n")
            .filter(|event| !event.contains("output_text.delta"))
            .collect();
        upstream.play(Script::sse(&silent));
        let reply = post_to(guard.address, "/v1/responses", &ask).await;
        let events = numbered(&reply.body);
        assert_eq!(reply.body.contains(text), name == "completed", "{}", reply.body);
        assert_eq!(of(&events, name).len(), 1, "{}", reply.body);
    }
}

#[tokio::test]
async fn a_streamed_response_is_cut_off_in_order() {
    let upstream = Upstream::start(Script::say("")).await;
    let guard = Guard::start(&upstream.url());
    let ask = json!({ "model": "m", "input": "hi", "stream": true });
    let bad = ["It begins well. ", "PORTCULLIS-", "TEST-S9", " and goes on."];
    let late = [vec!["All is well. "; 200], bad.to_vec()].concat();
    upstream.play(Script::slow_sse(&responded_sse(&late)));
    let reply = post_to(guard.address, "/v1/responses", &ask).await;
    let events = numbered(&reply.body);
    let ended = &events.last().unwrap()["response"];
    assert_eq!(ended["incomplete_details"]["reason"], "content_filter", "{}", reply.body);
    let deltas = of(&events, "output_text.delta");
    let said: String = deltas.iter().filter_map(|event| event["delta"].as_str()).collect();
    assert!(said.starts_with("All is well. "), "{said}");
    // What has begun is ended with what was said of it, and the refusal has a message of its own.
    assert_eq!(of(&events, "output_text.done")[0]["text"], said);
    let items = of(&events, "output_item.done");
    assert_eq!(items.iter().map(|event| &event["output_index"]).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(items[0]["item"]["status"], "incomplete");
    assert_eq!(items[0]["item"]["content"][0]["text"], said);
    let output = ended["output"].as_array().unwrap();
    assert_eq!((&output[0], &output[1]), (&items[0]["item"], &items[1]["item"]));
    assert!(output[1]["content"][0]["refusal"].as_str().unwrap().starts_with("Not that."));

    for (city, passes) in [("Rome", true), ("PORTCULLIS-TEST-S9", false)] {
        upstream.play(Script::sse(&responded_with_tool_sse(city)));
        let reply = post_to(guard.address, "/v1/responses", &ask).await;
        let events = numbered(&reply.body);
        assert!(!reply.body.contains("TEST-S9"), "{}", reply.body);
        let done = of(&events, "function_call_arguments.done");
        assert_eq!(done.len(), usize::from(passes), "{}", reply.body);
        if passes {
            assert_eq!(done[0]["arguments"], "{\"city\":\"Rome\"}");
            assert_eq!(events.last().unwrap()["response"]["output"][0]["name"], "weather");
        }
    }
}

#[tokio::test]
async fn a_response_leaves_nothing_with_the_server_and_nothing_unread() {
    let upstream = Upstream::start(Script::json(&responded("good day"))).await;
    let guard = Guard::start(&upstream.url());
    let ask = |name: &str, value: Value| {
        let mut ask = json!({ "model": "m", "input": "hi" });
        ask[name] = value;
        ask
    };
    let reply = post_to(guard.address, "/v1/responses", &ask("store", Value::Null)).await;
    assert_eq!(upstream.last_body()["store"], false);
    let document = reply.json();
    assert_eq!(
        (&document["instructions"], &document["metadata"], &document["tools"]),
        (&Value::Null, &json!({}), &json!([]))
    );
    assert_eq!(document["output"][0]["content"][0]["annotations"], json!([]));
    let before = upstream.received().len();
    for (name, value) in [
        ("store", json!(true)),
        ("background", json!(true)),
        ("previous_response_id", json!("resp_1")),
        ("conversation", json!("conv_1")),
        ("prompt", json!({ "id": "pmpt_1" })),
        ("include", json!(["reasoning.encrypted_content"])),
        ("tools", json!([{ "type": "web_search" }])),
        ("input", json!([{ "type": "item_reference", "id": "msg_1" }])),
        (
            "input",
            json!([{ "type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "x" }]),
        ),
        (
            "input",
            json!([{ "role": "user", "content": [{ "type": "input_image", "image_url": "data:" }] }]),
        ),
    ] {
        let reply = post_to(guard.address, "/v1/responses", &ask(name, value)).await;
        assert_eq!((reply.status, reply.code().as_str()), (400, "unsupported"), "{}", reply.body);
    }
    assert_eq!(upstream.received().len(), before);
    let searched = json!({ "type": "web_search_call", "id": "ws_1", "status": "completed" });
    let mut answer = responded("good day");
    answer["output"] = json!([searched]);
    upstream.play(Script::json(&answer));
    let reply = post_to(guard.address, "/v1/responses", &ask("store", json!(false))).await;
    assert_eq!(reply.status, 502, "{}", reply.body);
}

#[tokio::test]
async fn a_refusal_can_look_like_an_answer_in_every_format() {
    let policy = policy_with("reply_as: error", "reply_as: refusal");
    let upstream = Upstream::start(Script::say("never")).await;
    let guard = Guard::with(&upstream.url(), &policy, "");
    for format in &FORMATS {
        let reply = post_to(guard.address, format.path, &(format.ask)("PORTCULLIS-TEST-S9")).await;
        let document = reply.json();
        assert_eq!(reply.status, 200, "{}", reply.body);
        let said = document.pointer(format.refusal.0).unwrap().as_str().unwrap();
        assert!(said.starts_with("Not that."), "{}", reply.body);
        assert_eq!(*document.pointer(format.why).unwrap(), format.refusal.1);
        let mut ask = (format.ask)("PORTCULLIS-TEST-S9");
        ask["stream"] = json!(true);
        let reply = post_to(guard.address, format.path, &ask).await;
        let (said, why) = format.joined(&reply.body);
        assert!(said.starts_with("Not that."), "{}", reply.body);
        assert_eq!(why, format.refusal.1);
        assert!(reply.body.ends_with(format.last), "{}", reply.body);
    }
    assert_eq!(upstream.received(), b"");
}

#[tokio::test]
async fn errors_have_the_shape_that_the_formats_clients_know() {
    let upstream = Upstream::start(Script::say("never")).await;
    let guard = Guard::with(&upstream.url(), POLICY, "");
    let broken = post_to(guard.address, "/v1/messages", &json!({ "model": "m" })).await;
    let document = broken.json();
    assert_eq!((broken.status, &document["type"]), (400, &json!("error")), "{}", broken.body);
    assert_eq!(document["error"]["type"], "invalid_request_error");
    let message = document["error"]["message"].as_str().unwrap();
    assert!(message.contains("messages") && message.contains("missing_field"), "{message}");
    let streamed = json!({ "model": "m", "input": "hi", "stream": true });
    let refused = post_to(guard.address, "/v1/embeddings", &streamed).await;
    assert_eq!((refused.status, refused.code().as_str()), (400, "unknown_field"));
    let ids = json!({ "model": "m", "prompt": [[1, 2, 3]] });
    let refused = post_to(guard.address, "/v1/completions", &ids).await;
    assert_eq!((refused.status, refused.code().as_str()), (400, "unsupported"));
    assert_eq!(upstream.received(), b"");
}

#[tokio::test]
async fn texts_to_be_embedded_are_judged_and_numbers_come_back() {
    let upstream = Upstream::start(Script::json(&embedding())).await;
    let guard = Guard::start(&upstream.url());
    let ask = |text: &str| json!({ "model": "m", "input": ["fine", text] });
    let reply = post_to(guard.address, "/v1/embeddings", &ask("good")).await;
    assert_eq!(reply.json(), embedding());
    let before = upstream.received().len();
    let reply = post_to(guard.address, "/v1/embeddings", &ask("PORTCULLIS-TEST-S9")).await;
    assert_eq!((reply.status, reply.code().as_str()), (400, "content_filter"));
    assert_eq!(reply.json()["error"]["param"], "input[1]");
    assert_eq!(upstream.received().len(), before);
}

/// What Anthropic's clients send and read besides the words.
#[tokio::test]
async fn the_extras_of_messages_go_on_and_their_words_are_judged() {
    let mut answer = message("I will not.");
    answer["stop_reason"] = json!("refusal");
    answer["stop_details"] = json!({ "type": "refusal", "category": "bio", "explanation": "why" });
    answer["usage"]["inference_geo"] = json!("eu");
    answer["usage"]["output_tokens_details"] = json!({ "thinking_tokens": 1 });
    answer["content"][0] = json!({ "type": "tool_use", "id": "t", "name": "w", "input": {},
        "caller": { "type": "direct" } });
    let upstream = Upstream::start(Script::json(&answer)).await;
    let guard = Guard::start(&upstream.url());
    let ask = |word: &str, more: (&str, Value)| {
        let mut ask = json!({ "model": "m", "max_tokens": 9, "cache_control": { "type": "ephemeral" },
            "messages": [{ "role": "user", "content": "hi" }, { "role": "system", "content": word }],
            "tools": [{ "name": "w", "input_schema": {}, "input_examples": [{ "a": "b" }], "strict": true,
                "allowed_callers": ["direct"], "eager_input_streaming": true, "defer_loading": false }],
            "output_config": { "effort": "low", "format": { "type": "json_schema", "schema": {} } },
            "thinking": { "type": "adaptive", "display": "omitted" }, "speed": "fast", "inference_geo": "eu" });
        *ask.pointer_mut(more.0).unwrap() = more.1;
        ask
    };
    let send = async |ask: &Value| post_to(guard.address, "/v1/messages", ask).await;
    let fine = ask("slowly", ("/speed", json!("standard")));
    assert_eq!(send(&fine).await.json(), answer);
    assert_eq!(upstream.last_body(), fine);
    let before = upstream.received().len();
    let trigger = json!("PORTCULLIS-TEST-S9");
    for at in ["/messages/1/content", "/tools/0/input_examples/0/a", "/output_config/format/schema"]
    {
        let reply = send(&ask("slowly", (at, trigger.clone()))).await;
        assert!(reply.body.contains("content_filter"), "{at}: {}", reply.body);
    }
    let callers = json!(["code_execution_20250825"]);
    for (at, value) in [("/tools/0/allowed_callers", callers), ("/speed", json!("a sentence"))] {
        let reply = send(&ask("slowly", (at, value))).await;
        assert_eq!(reply.status, 400, "{at}: {}", reply.body);
    }
    assert_eq!(upstream.received().len(), before);
    answer["stop_details"]["explanation"] = trigger;
    upstream.play(Script::json(&answer));
    let withheld = send(&fine).await.json();
    assert_eq!(withheld["stop_details"], Value::Null, "{withheld}");
    assert!(!withheld.to_string().contains("TEST-S9"));
}

#[tokio::test]
async fn why_a_streamed_message_was_refused_is_judged_too() {
    for (why, passes) in [("too risky", true), ("PORTCULLIS-TEST-S9", false)] {
        let details = json!({ "type": "refusal", "category": "bio", "explanation": why });
        let end = format!("\"stop_details\":{details},\"stop_reason\":\"refusal\"");
        let events = message_sse(&["hm"]).replace("\"stop_reason\":\"end_turn\"", &end);
        assert!(events.contains(why));
        let upstream = Upstream::start(Script::sse(&events)).await;
        let guard = Guard::start(&upstream.url());
        let ask = json!({ "model": "m", "max_tokens": 9, "stream": true,
            "messages": [{ "role": "user", "content": "hi" }] });
        let reply = post_to(guard.address, "/v1/messages", &ask).await;
        assert_eq!(reply.body.contains(why), passes, "{}", reply.body);
        assert_eq!(reply.body.contains("Not that."), !passes, "{}", reply.body);
    }
}

#[tokio::test]
async fn a_conversation_that_is_held_upstream_is_refused_so_that_clients_send_all_of_it() {
    let upstream = Upstream::start(Script::say("never")).await;
    let guard = Guard::start(&upstream.url());
    let ask = json!({ "model": "m", "max_tokens": 9, "thread": { "type": "create" },
        "messages": [{ "role": "user", "content": "hi" }] });
    let reply = post_to(guard.address, "/v1/messages", &ask).await;
    let details = json!({ "error_code": "thread_unsupported_request", "unsupported": ["thread"] });
    assert_eq!(
        (reply.status, &reply.json()["error"]["details"]),
        (400, &details),
        "{}",
        reply.body
    );
    assert_eq!(upstream.received(), b"");
}

#[tokio::test]
async fn a_format_without_words_has_no_refusals_and_errors_are_named_by_their_status() {
    let policy = policy_with("reply_as: error", "reply_as: refusal");
    let upstream = Upstream::start(Script::status("401 Unauthorized", "{}")).await;
    let guard = Guard::with(&upstream.url(), &policy, "");
    let bad = json!({ "model": "m", "input": "PORTCULLIS-TEST-S9" });
    let reply = post_to(guard.address, "/v1/embeddings", &bad).await;
    assert_eq!((reply.status, reply.code().as_str()), (400, "content_filter"));
    assert_eq!(upstream.received(), b"");
    let reply = post_to(guard.address, "/v1/messages", &(FORMATS[2].ask)("hi")).await;
    assert_eq!(reply.status, 401);
    assert_eq!(reply.json()["error"]["type"], "authentication_error", "{}", reply.body);
}

#[tokio::test]
async fn the_query_of_anthropics_beta_interface_is_taken_and_does_not_go_on() {
    let upstream = Upstream::start(Script::json(&message("good day"))).await;
    let guard = Guard::start(&upstream.url());
    let ask = (FORMATS[2].ask)("hello");
    let reply = post_to(guard.address, "/v1/messages?beta=true", &ask).await;
    assert_eq!(reply.json()["content"][0]["text"], "good day");
    let received = String::from_utf8(upstream.received()).unwrap();
    assert!(received.starts_with("POST /v1/messages HTTP/1.1\r\n"), "{received}");
    let bad = (FORMATS[2].ask)("PORTCULLIS-TEST-S9");
    assert_eq!(post_to(guard.address, "/v1/messages?beta=true", &bad).await.status, 400);
    for path in ["/v1/messages?beta=false", "/v1/messages?", "/v1/chat/completions?beta=true"] {
        let reply = post_to(guard.address, path, &ask).await;
        assert!(reply.body.contains("this route takes no query"), "{path}: {}", reply.body);
    }
}
