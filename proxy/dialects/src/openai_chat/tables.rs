//! Every field of the format and what becomes of it.

use classifiers_core::{Direction, Role};

use crate::table::{Field, Shape, may, must};

use Shape::{
    Bool, Either, Free, Id, Int, JsonText, List, Map, Never, Null, Number, Numbers, Object,
};
use Shape::{Dropped, Parts, Refused, Tag, Tagged, Text, Word};

/// As many as OpenAI allows; each choice is held and judged on its own.
pub(crate) const MAX_CHOICES: i64 = 128;
pub(crate) const MAX_TOKENS: i64 = u32::MAX as i64;

pub(crate) const OPTIONAL_TEXT: Shape = Either(&[Text, Null]);
pub(crate) const OPTIONAL_ID: Shape = Either(&[Id, Null]);
pub(crate) const OPTIONAL_BOOL: Shape = Either(&[Bool, Null]);
pub(crate) const OPTIONAL_TOKENS: Shape = Either(&[Int(0, MAX_TOKENS), Null]);
pub(crate) const MEDIA: Shape =
    Refused("no classifier here reads images, audio or files, so they are not forwarded");
const LOGPROBS: Shape =
    Either(&[Never("token probabilities would reveal text that was never released"), Null]);

/// A chat completion request.
pub(crate) const REQUEST: &[Field] = &[
    must("model", Id),
    must("messages", List(&MESSAGE)),
    // A tool's description tells the model what to do by trade, so it is judged as something said to the model,
    // by its words; an instruction as such is a sign of attack only in data.
    may("tools", List(&TOOL)).by(Role::User, Direction::Tools),
    may("functions", List(&Object(FUNCTION))).by(Role::User, Direction::Tools),
    may("tool_choice", Either(&[Word(&["none", "auto", "required"]), TOOL_CHOICE, Null])),
    may("function_call", Either(&[Text, Object(&[must("name", Text)]), Null])),
    may("response_format", Either(&[Tagged("type", RESPONSE_FORMATS), Null])),
    may("prediction", Either(&[Object(PREDICTION), Null])),
    may("stop", Either(&[Text, List(&Text), Null])),
    may("stream", OPTIONAL_BOOL),
    may("stream_options", Either(&[Object(STREAM_OPTIONS), Null])),
    may("n", Either(&[Int(1, MAX_CHOICES), Null])),
    may("max_tokens", OPTIONAL_TOKENS),
    may("max_completion_tokens", OPTIONAL_TOKENS),
    may("temperature", Either(&[Number(0.0, 2.0), Null])),
    may("top_p", Either(&[Number(0.0, 1.0), Null])),
    may("frequency_penalty", Either(&[Number(-2.0, 2.0), Null])),
    may("presence_penalty", Either(&[Number(-2.0, 2.0), Null])),
    may("logit_bias", Either(&[Map(&Number(-100.0, 100.0)), Null])),
    may("logprobs", LOGPROBS),
    may("top_logprobs", Either(&[Int(0, 0), Null])),
    may("seed", Either(&[Int(i64::MIN, i64::MAX), Null])),
    may("parallel_tool_calls", OPTIONAL_BOOL),
    may("reasoning_effort", Either(&[Word(REASONING_EFFORTS), Null])),
    may("verbosity", Either(&[Word(&["low", "medium", "high"]), Null])),
    may("modalities", Either(&[List(&Word(&["text"])), Null])),
    may("service_tier", Either(&[Word(&["auto", "default", "flex", "scale", "priority"]), Null])),
    may("metadata", Either(&[Map(&Text), Null])),
    may("user", OPTIONAL_ID),
    may("safety_identifier", OPTIONAL_ID),
    may("prompt_cache_key", OPTIONAL_ID),
    may("prompt_cache_retention", Either(&[Word(&["in-memory", "in_memory", "24h"]), Null])),
    may(
        "store",
        Either(&[Never("the guard cannot watch over answers that are stored upstream"), Null]),
    ),
    may("audio", Either(&[Null, MEDIA])),
    // The guard answers it: see `moderation.rs`.
    may("moderation", Dropped),
    may(
        "web_search_options",
        Either(&[Null, Refused("text from a web search cannot be examined here")]),
    ),
    may("prompt_cache_options", Either(&[Object(CACHE_OPTIONS), Null])),
    // vLLM
    may("top_k", Either(&[Int(-1, MAX_TOKENS), Null])),
    may("min_p", Either(&[Number(0.0, 1.0), Null])),
    may("repetition_penalty", Either(&[Number(0.0, 10.0), Null])),
    may("length_penalty", Either(&[Number(-10.0, 10.0), Null])),
    may("min_tokens", OPTIONAL_TOKENS),
    may("thinking_token_budget", OPTIONAL_TOKENS),
    may("ignore_eos", OPTIONAL_BOOL),
    may("include_reasoning", OPTIONAL_BOOL),
    may("priority", Either(&[Int(i64::MIN, i64::MAX), Null])),
    may(
        "chat_template",
        Either(&[Null, Refused("a chat template from the caller could hide text from the guard")]),
    ),
    may(
        "chat_template_kwargs",
        Either(&[Null, Refused("arguments of the chat template could change what the guard read")]),
    ),
    may(
        "documents",
        Either(&[Null, Refused("`documents` are not forwarded; put them into a message")]),
    ),
    may("add_generation_prompt", TEMPLATE_SWITCH),
    may("continue_final_message", TEMPLATE_SWITCH),
    may("add_special_tokens", TEMPLATE_SWITCH),
    may("echo", TEMPLATE_SWITCH),
    may("use_beam_search", NOT_GUARDED),
    may("watermarking", NOT_GUARDED),
    may("structured_outputs", NOT_GUARDED),
    may("repetition_detection", NOT_GUARDED),
    may("stop_token_ids", TOKENS_ASKED),
    may("allowed_token_ids", TOKENS_ASKED),
    may("logprob_token_ids", TOKENS_ASKED),
    may("bad_words", NOT_GUARDED),
    may("include_stop_str_in_output", NOT_GUARDED),
    may("skip_special_tokens", NOT_GUARDED),
    may("spaces_between_special_tokens", NOT_GUARDED),
    may("truncate_prompt_tokens", TRUNCATED),
    may("truncation_side", TRUNCATED),
    may("prompt_logprobs", TOKENS_TOLD),
    may("return_tokens_as_token_ids", TOKENS_TOLD),
    may("return_token_ids", TOKENS_TOLD),
    may("return_prompt_text", TOKENS_TOLD),
    may("media_io_kwargs", NOT_GUARDED),
    may("mm_processor_kwargs", NOT_GUARDED),
    may("request_id", SERVERS_OWN),
    may("session_id", SERVERS_OWN),
    may("cache_salt", SERVERS_OWN),
    may("kv_transfer_params", SERVERS_OWN),
    may("ec_transfer_params", SERVERS_OWN),
    may("vllm_xargs", SERVERS_OWN),
    may("stream_interval", SERVERS_OWN),
];

pub(crate) const CACHE_OPTIONS: &[Field] =
    &[may("mode", Word(&["implicit", "explicit"])), may("ttl", Word(&["5m", "30m", "1h", "24h"]))];

/// Why some of vLLM's fields are refused, wherever they appear.
pub(crate) const TEMPLATE_SWITCH: Shape =
    Either(&[Null, Refused("how the prompt is put together is not the caller's to change")]);
pub(crate) const NOT_GUARDED: Shape =
    Either(&[Null, Refused("what this field does to the text is not guarded")]);
pub(crate) const TOKENS_ASKED: Shape =
    Either(&[Null, Refused("token ids cannot be read, so they are not forwarded")]);
pub(crate) const TOKENS_TOLD: Shape =
    Either(&[Null, Refused("tokens would reveal text that was never released")]);
pub(crate) const TRUNCATED: Shape =
    Either(&[Null, Refused("the model would see another text than the one that was judged")]);
pub(crate) const SERVERS_OWN: Shape =
    Either(&[Null, Refused("this field is for the operator of the model server")]);

pub(crate) const REASONING_EFFORTS: &[&str] =
    &["none", "minimal", "low", "medium", "high", "xhigh", "max"];

pub(crate) const STREAM_OPTIONS: &[Field] =
    &[may("include_usage", OPTIONAL_BOOL), may("include_obfuscation", OPTIONAL_BOOL)];

const NAMED: Shape = Object(&[must("name", Text)]);
const TOOL_CHOICE: Shape = Tagged(
    "type",
    &[
        ("function", &[must("type", Tag), must("function", NAMED)]),
        ("custom", &[must("type", Tag), must("custom", NAMED)]),
        ("allowed_tools", &[must("type", Tag), must("allowed_tools", Object(ALLOWED_TOOLS))]),
    ],
);
const ALLOWED_TOOLS: &[Field] =
    &[must("mode", Word(&["auto", "required"])), must("tools", List(&Free))];

const PREDICTION: &[Field] =
    &[must("type", Word(&["content"])), must("content", Either(&[Text, Parts(&TEXT_PART)]))];

const RESPONSE_FORMATS: &[(&str, &[Field])] = &[
    ("text", &[must("type", Tag)]),
    ("json_object", &[must("type", Tag)]),
    ("json_schema", &[must("type", Tag), must("json_schema", Object(JSON_SCHEMA))]),
];

/// A schema's enums and constants can dictate the answer, so it is text like any other.
const JSON_SCHEMA: &[Field] = &[
    must("name", Text),
    may("description", OPTIONAL_TEXT),
    may("schema", Free),
    may("strict", OPTIONAL_BOOL),
];

const TOOL: Shape = Tagged("type", &[("function", TOOL_FIELDS), ("custom", CUSTOM_TOOL_FIELDS)]);
const TOOL_FIELDS: &[Field] =
    &[must("type", Tag), must("function", Object(FUNCTION)), may("defer_loading", OPTIONAL_BOOL)];
const CUSTOM_TOOL_FIELDS: &[Field] = &[must("type", Tag), must("custom", Object(CUSTOM_TOOL))];
const CUSTOM_TOOL: &[Field] = &[
    must("name", Text),
    may("description", OPTIONAL_TEXT),
    may(
        "format",
        Tagged(
            "type",
            &[
                ("text", &[must("type", Tag)]),
                ("grammar", &[must("type", Tag), must("grammar", Object(GRAMMAR))]),
            ],
        ),
    ),
];
/// A grammar can dictate what the model writes.
const GRAMMAR: &[Field] = &[must("definition", Text), must("syntax", Word(&["lark", "regex"]))];
const FUNCTION: &[Field] = &[
    must("name", Text),
    may("description", OPTIONAL_TEXT),
    may("parameters", Free),
    may("strict", OPTIONAL_BOOL),
];

const MESSAGE: Shape = Tagged(
    "role",
    &[
        ("system", OPERATOR_MESSAGE),
        ("developer", OPERATOR_MESSAGE),
        ("user", USER_MESSAGE),
        ("assistant", ASSISTANT_MESSAGE),
        ("tool", TOOL_MESSAGE),
        ("function", FUNCTION_MESSAGE),
    ],
);

const TEXT_PART: Shape = Tagged("type", &[("text", TEXT_PART_FIELDS)]);
const TEXT_PART_FIELDS: &[Field] =
    &[must("type", Tag), must("text", Text), may("prompt_cache_breakpoint", CACHE_BREAKPOINT)];
/// Where a provider's cache may cut; the model does not see it.
pub(crate) const CACHE_BREAKPOINT: Shape =
    Either(&[Object(&[may("mode", Word(&["explicit"]))]), Null]);
const USER_PART: Shape = Tagged(
    "type",
    &[
        ("text", TEXT_PART_FIELDS),
        ("image_url", MEDIA_PART),
        ("input_audio", MEDIA_PART),
        ("file", MEDIA_PART),
        ("video_url", MEDIA_PART),
    ],
);
const MEDIA_PART: &[Field] = &[
    must("type", MEDIA),
    may("image_url", MEDIA),
    may("input_audio", MEDIA),
    may("file", MEDIA),
    may("video_url", MEDIA),
];
const ASSISTANT_PART: Shape = Tagged(
    "type",
    &[("text", TEXT_PART_FIELDS), ("refusal", &[must("type", Tag), must("refusal", Text)])],
);

const OPERATOR_MESSAGE: &[Field] = &[
    must("role", Tag),
    must("content", Either(&[Text, Parts(&TEXT_PART)])).by(Role::Operator, Direction::Input),
    may("name", OPTIONAL_TEXT),
];

const USER_MESSAGE: &[Field] = &[
    must("role", Tag),
    must("content", Either(&[Text, Parts(&USER_PART)])),
    may("name", OPTIONAL_TEXT),
];

/// What the caller says the model said before: the caller may have made it up.
const ASSISTANT_MESSAGE: &[Field] = &[
    must("role", Tag),
    may("content", Either(&[Text, Parts(&ASSISTANT_PART), Null])),
    may("refusal", OPTIONAL_TEXT),
    may("reasoning", OPTIONAL_TEXT),
    may("reasoning_content", OPTIONAL_TEXT),
    may("name", OPTIONAL_TEXT),
    may("tool_calls", Either(&[List(&TOOL_CALL), Null])).by(Role::Assistant, Direction::Tools),
    may("function_call", Either(&[Object(CALLED), Null])).by(Role::Assistant, Direction::Tools),
    may("audio", Either(&[Null, MEDIA])),
    may("annotations", Dropped),
    may("parsed", Dropped),
];

const TOOL_CALL: Shape =
    Tagged("type", &[("function", TOOL_CALL_FIELDS), ("custom", CUSTOM_CALL_FIELDS)]);
const CUSTOM_CALL_FIELDS: &[Field] = &[
    must("id", Text),
    must("type", Tag),
    must("custom", Object(&[must("name", Text), must("input", Text)])),
];
/// The id is text: some models write it themselves.
const TOOL_CALL_FIELDS: &[Field] = &[
    must("id", Text),
    must("type", Tag),
    must("function", Object(CALLED)),
    may("index", Int(0, 1_000)),
];
const CALLED: &[Field] =
    &[must("name", Text), must("arguments", JsonText), may("parsed_arguments", Dropped)];

const TOOL_MESSAGE: &[Field] = &[
    must("role", Tag),
    must("content", Either(&[Text, Parts(&TEXT_PART)])).by(Role::Tool, Direction::Tools),
    must("tool_call_id", Id),
    may("name", OPTIONAL_TEXT).by(Role::Tool, Direction::Tools),
];

const FUNCTION_MESSAGE: &[Field] = &[
    must("role", Tag),
    must("content", OPTIONAL_TEXT).by(Role::Tool, Direction::Tools),
    must("name", Text).by(Role::Tool, Direction::Tools),
];

/// A plain answer. What is not listed (token probabilities, token ids, annotations, a server's own
/// additions) does not reach the client.
pub(crate) const ANSWER: &[Field] = &[
    must("id", Id),
    must("object", Word(&["chat.completion"])),
    must("created", Int(0, i64::MAX)),
    must("model", Id),
    must("choices", List(&Object(CHOICE))),
    may("usage", USAGE),
    may("system_fingerprint", OPTIONAL_ID),
    may("service_tier", OPTIONAL_ID),
    may("moderation", Dropped),
    may("metadata", Dropped),
    may("prompt_logprobs", Dropped),
    may("prompt_token_ids", Dropped),
    may("prompt_text", Dropped),
    may("kv_transfer_params", Dropped),
    may("ec_transfer_params", Dropped),
    may("metrics", Dropped),
];

/// Token counts of an answer.
pub(crate) const USAGE: Shape = Either(&[Numbers, Null]);

const FINISH_REASON: Shape = Either(&[
    Word(&[
        "stop",
        "length",
        "tool_calls",
        "content_filter",
        "function_call",
        "abort",
        "repetition",
    ]),
    Null,
]);

const CHOICE: &[Field] = &[
    must("index", Int(0, MAX_CHOICES)),
    must("message", Object(ANSWER_MESSAGE)),
    must("finish_reason", FINISH_REASON),
    may("logprobs", Dropped),
    may("stop_reason", Dropped),
    may("token_ids", Dropped),
    may("routed_experts", Dropped),
];

const ANSWER_MESSAGE: &[Field] = &[
    must("role", Word(&["assistant"])),
    may("content", OPTIONAL_TEXT),
    may("refusal", OPTIONAL_TEXT),
    may("reasoning", OPTIONAL_TEXT),
    may("reasoning_content", OPTIONAL_TEXT),
    may("tool_calls", Either(&[List(&TOOL_CALL), Null])).by(Role::Assistant, Direction::Tools),
    may("function_call", Either(&[Object(CALLED), Null])).by(Role::Assistant, Direction::Tools),
    may("annotations", Dropped),
    may("audio", Dropped),
];

/// One chunk of a streamed answer.
pub(crate) const CHUNK: &[Field] = &[
    must("id", Id),
    must("object", Word(&["chat.completion.chunk"])),
    must("created", Int(0, i64::MAX)),
    must("model", Id),
    must("choices", List(&Object(CHUNK_CHOICE))),
    may("usage", USAGE),
    may("system_fingerprint", OPTIONAL_ID),
    may("service_tier", OPTIONAL_ID),
    may("moderation", Dropped),
    may("prompt_logprobs", Dropped),
    may("prompt_token_ids", Dropped),
    may("prompt_text", Dropped),
    may("kv_transfer_params", Dropped),
    may("ec_transfer_params", Dropped),
    may("obfuscation", Dropped),
    may("metrics", Dropped),
];

const CHUNK_CHOICE: &[Field] = &[
    must("index", Int(0, MAX_CHOICES)),
    must("delta", Object(DELTA)),
    may("finish_reason", FINISH_REASON),
    may("logprobs", Dropped),
    may("stop_reason", Dropped),
    may("token_ids", Dropped),
];

const DELTA: &[Field] = &[
    may("role", Either(&[Word(&["assistant"]), Null])),
    may("content", OPTIONAL_TEXT),
    may("refusal", OPTIONAL_TEXT),
    may("reasoning", OPTIONAL_TEXT),
    may("reasoning_content", OPTIONAL_TEXT),
    may("tool_calls", Either(&[List(&Object(CALL_DELTA)), Null]))
        .by(Role::Assistant, Direction::Tools),
    may("function_call", Either(&[Object(CALLED_DELTA), Null]))
        .by(Role::Assistant, Direction::Tools),
];

const CALL_DELTA: &[Field] = &[
    must("index", Int(0, 1_000)),
    may("id", OPTIONAL_TEXT),
    may("type", Either(&[Word(&["function"]), Null])),
    may("function", Either(&[Object(CALLED_DELTA), Null])),
];

const CALLED_DELTA: &[Field] = &[may("name", OPTIONAL_TEXT), may("arguments", OPTIONAL_TEXT)];
