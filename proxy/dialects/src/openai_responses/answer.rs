//! Every field of an answer, plain or streamed, and what becomes of it.

use classifiers_core::{Direction, Role};

use crate::openai_chat::tables::{OPTIONAL_BOOL, OPTIONAL_ID, OPTIONAL_TEXT, OPTIONAL_TOKENS};
use crate::table::{Field, Shape, may, must};

use Shape::{
    Dropped, Either, Emptied, Id, Int, JsonText, List, Null, Number, Object, Refused, Tag, Tagged,
    Text, Word,
};

/// A plain answer. What it repeats of the request is dropped where it is text, or emptied where clients expect it.
pub(super) const ANSWER: &[Field] = &response(
    List(&Tagged(
        "type",
        &[
            ("message", MESSAGE),
            ("function_call", &call("arguments", JsonText)),
            ("custom_tool_call", &call("input", Text)),
            ("reasoning", THOUGHT),
        ],
    )),
    Either(&[Object(&[must("code", Id), must("message", Text)]), Null]),
);

/// The answer in an event that begins it: nothing is said yet.
const STARTED: &[Field] = &response(List(&Refused("an answer begins empty")), NO_ERROR);
/// The answer in an event that ends it.
const ENDED: &[Field] = &response(List(&ITEM), NO_ERROR);
const NO_ERROR: Shape = Either(&[Null, Refused("the upstream ended its answer with an error")]);

const fn response(output: Shape, error: Shape) -> [Field; 36] {
    [
        must("id", Id),
        must("object", Word(&["response"])),
        must("created_at", Number(0.0, LATEST)),
        may("completed_at", Either(&[Number(0.0, LATEST), Null])),
        must("model", Id),
        must("output", output),
        must("status", Word(STATUSES)),
        may("error", error),
        may("incomplete_details", Either(&[Object(INCOMPLETE), Null])),
        may("usage", Either(&[Object(USAGE), Null])),
        may("service_tier", OPTIONAL_ID),
        may("temperature", NUMBER),
        may("top_p", NUMBER),
        may("top_logprobs", OPTIONAL_TOKENS),
        may("max_output_tokens", OPTIONAL_TOKENS),
        may("max_tool_calls", OPTIONAL_TOKENS),
        may("parallel_tool_calls", OPTIONAL_BOOL),
        may("truncation", OPTIONAL_ID),
        may("background", OPTIONAL_BOOL),
        may("store", OPTIONAL_BOOL),
        may("tool_choice", Either(&[Id, Object(TOOL_CHOICE), Null])),
        may("reasoning", Either(&[Object(REASONING), Null])),
        may("instructions", Emptied),
        may("metadata", Emptied),
        may("text", Emptied),
        may("tools", Emptied),
        may("user", Dropped),
        may("safety_identifier", Dropped),
        may("prompt_cache_key", Dropped),
        may("prompt_cache_retention", Dropped),
        may("prompt_cache_options", Dropped),
        may("previous_response_id", Dropped),
        may("conversation", Dropped),
        may("prompt", Dropped),
        may("output_text", Dropped),
        may("moderation", Dropped),
    ]
}

/// Some thousands of years from now, in seconds since 1970.
const LATEST: f64 = 1e12;
const NUMBER: Shape = Either(&[Number(-1e9, 1e9), Null]);
const STATUSES: &[&str] =
    &["completed", "failed", "in_progress", "cancelled", "queued", "incomplete"];

const INCOMPLETE: &[Field] = &[may("reason", OPTIONAL_ID)];
const TOOL_CHOICE: &[Field] =
    &[must("type", Id), may("mode", Dropped), may("name", Dropped), may("tools", Dropped)];
const REASONING: &[Field] = &[
    may("mode", OPTIONAL_ID),
    may("effort", OPTIONAL_ID),
    may("summary", OPTIONAL_ID),
    may("generate_summary", OPTIONAL_ID),
    may("context", OPTIONAL_ID),
];

const USAGE: &[Field] = &[
    must("input_tokens", OPTIONAL_TOKENS),
    may("input_tokens_details", Either(&[Object(DETAILS), Null])),
    must("output_tokens", OPTIONAL_TOKENS),
    may("output_tokens_details", Either(&[Object(DETAILS), Null])),
    must("total_tokens", OPTIONAL_TOKENS),
];
const DETAILS: &[Field] = &[
    may("cached_tokens", OPTIONAL_TOKENS),
    may("cache_write_tokens", OPTIONAL_TOKENS),
    may("reasoning_tokens", OPTIONAL_TOKENS),
];

/// How far an item has come.
pub(super) const STATUS: Shape = Either(&[Word(&["in_progress", "completed", "incomplete"]), Null]);
/// Nothing but its type.
pub(super) const TAGGED: &[Field] = &[must("type", Tag)];
/// Who called a tool: the model itself.
pub(super) const CALLER: Shape = Either(&[Tagged("type", &[("direct", TAGGED)]), Null]);

/// An item of a streamed answer. One of another kind has no place in an answer that can be read, so the answer is
/// refused.
const ITEM: Shape = Tagged(
    "type",
    &[
        ("message", MESSAGE),
        // Unescaped by whoever puts the pieces together.
        ("function_call", &call("arguments", Text)),
        ("custom_tool_call", &call("input", Text)),
        ("reasoning", THOUGHT),
    ],
);

const MESSAGE: &[Field] = &[
    must("type", Tag),
    must("id", Id),
    must("role", Word(&["assistant"])),
    must("content", List(&PART)),
    may("status", STATUS),
    may("phase", OPTIONAL_ID),
];
const PART: Shape = Tagged(
    "type",
    &[
        ("output_text", SAID_TEXT),
        ("refusal", &[must("type", Tag), must("refusal", Text)]),
        ("reasoning_text", SAID),
    ],
);
/// Where a text comes from, and how likely it was, is not passed on.
const SAID_TEXT: &[Field] =
    &[must("type", Tag), must("text", Text), may("annotations", Emptied), may("logprobs", Emptied)];
const SAID: &[Field] = &[must("type", Tag), must("text", Text)];

/// The ids of calls are text: some models write them themselves.
const fn call(field: &'static str, shape: Shape) -> [Field; 8] {
    [
        must("type", Tag),
        may("id", OPTIONAL_ID),
        must("call_id", Text).by(Role::Assistant, Direction::Tools),
        must("name", Text).by(Role::Assistant, Direction::Tools),
        must(field, shape).by(Role::Assistant, Direction::Tools),
        may("namespace", OPTIONAL_TEXT).by(Role::Assistant, Direction::Tools),
        may("status", STATUS),
        may("caller", Dropped),
    ]
}

const THOUGHT: &[Field] = &[
    must("type", Tag),
    may("id", OPTIONAL_ID),
    must("summary", List(&SUMMARY_PART)),
    may("content", Either(&[List(&Tagged("type", &[("reasoning_text", SAID)])), Null])),
    may("encrypted_content", Dropped),
    may("status", STATUS),
];
const SUMMARY_PART: Shape = Tagged("type", &[("summary_text", SAID)]);

/// The answer begins.
pub(super) const RESPONSE_STARTED: &[Field] =
    &[must("type", Tag), NUMBERED, must("response", Object(STARTED))];
/// The answer is over; what was said is repeated.
pub(super) const RESPONSE_ENDED: &[Field] =
    &[must("type", Tag), NUMBERED, must("response", Object(ENDED))];
/// An item begins or is over.
pub(super) const ITEM_EVENT: &[Field] =
    &[must("type", Tag), NUMBERED, OUTPUT_INDEX, must("item", ITEM)];
/// A part of a message or of thoughts begins or is over.
pub(super) const PART_EVENT: &[Field] = &part_event("content_index", PART);
/// A part of a summary of thoughts begins or is over.
pub(super) const SUMMARY_PART_EVENT: &[Field] = &part_event("summary_index", SUMMARY_PART);
/// A text goes on.
pub(super) const DELTA: &[Field] = &text_event("content_index", "delta");
/// A text is over.
pub(super) const TEXT_DONE: &[Field] = &text_event("content_index", "text");
/// A refusal is over.
pub(super) const REFUSAL_DONE: &[Field] = &text_event("content_index", "refusal");
/// A summary goes on.
pub(super) const SUMMARY_DELTA: &[Field] = &text_event("summary_index", "delta");
/// A summary is over.
pub(super) const SUMMARY_DONE: &[Field] = &text_event("summary_index", "text");
/// What a tool is asked goes on.
pub(super) const CALL_DELTA: &[Field] = &call_event("delta");
/// What a function is asked is complete.
pub(super) const ARGUMENTS_DONE: &[Field] = &call_event("arguments");
/// What another tool is asked is complete.
pub(super) const INPUT_DONE: &[Field] = &call_event("input");

const NUMBERED: Field = may("sequence_number", Int(0, i64::MAX));
const OUTPUT_INDEX: Field = must("output_index", Int(0, MAX_ITEMS));
const MAX_ITEMS: i64 = 10_000;

const fn part_event(index: &'static str, part: Shape) -> [Field; 7] {
    [
        must("type", Tag),
        NUMBERED,
        must("item_id", Id),
        OUTPUT_INDEX,
        must(index, Int(0, MAX_ITEMS)),
        must("part", part),
        may("status", STATUS),
    ]
}

const fn text_event(index: &'static str, text: &'static str) -> [Field; 7] {
    [
        must("type", Tag),
        NUMBERED,
        must("item_id", Id),
        OUTPUT_INDEX,
        must(index, Int(0, MAX_ITEMS)),
        must(text, Text),
        may("logprobs", Emptied),
    ]
}

const fn call_event(text: &'static str) -> [Field; 6] {
    [
        must("type", Tag),
        NUMBERED,
        must("item_id", Id),
        OUTPUT_INDEX,
        must(text, Text).by(Role::Assistant, Direction::Tools),
        may("name", OPTIONAL_TEXT).by(Role::Assistant, Direction::Tools),
    ]
}
