//! Every field of a request and what becomes of it.

use classifiers_core::{Direction, Role};

use super::answer::{CALLER, STATUS, TAGGED};
use crate::openai_chat::tables::{
    CACHE_BREAKPOINT, CACHE_OPTIONS, MEDIA, OPTIONAL_BOOL, OPTIONAL_ID, OPTIONAL_TEXT,
    OPTIONAL_TOKENS, REASONING_EFFORTS, TRUNCATED,
};
use crate::table::{Field, Shape, may, must};

use Shape::{
    Dropped, Either, Emptied, Free, Having, Id, Int, JsonText, List, Map, Never, Null, Number,
    Object, Parts, Refused, Tag, Tagged, Text, Word,
};

/// A request for a response.
pub(super) const REQUEST: &[Field] = &[
    must("model", Id),
    must("input", Either(&[Text, List(&ITEM)])),
    may("instructions", OPTIONAL_TEXT).by(Role::Operator, Direction::Input),
    // Judged as something said to the model, by its words.
    may("tools", Either(&[List(&TOOL), Null])).by(Role::User, Direction::Tools),
    may("tool_choice", Either(&[Word(&["none", "auto", "required"]), TOOL_CHOICE, Null])),
    may("text", Either(&[Object(TEXT_OPTIONS), Null])),
    may("reasoning", Either(&[Object(REASONING), Null])),
    may("stream", OPTIONAL_BOOL),
    may("stream_options", Either(&[Object(&[may("include_obfuscation", OPTIONAL_BOOL)]), Null])),
    may("max_output_tokens", OPTIONAL_TOKENS),
    may("max_tool_calls", OPTIONAL_TOKENS),
    may("parallel_tool_calls", OPTIONAL_BOOL),
    may("temperature", Either(&[Number(0.0, 2.0), Null])),
    may("top_p", Either(&[Number(0.0, 1.0), Null])),
    may("top_logprobs", Either(&[Int(0, 0), Null])),
    may("service_tier", Either(&[Word(SERVICE_TIERS), Null])),
    may("metadata", Either(&[Map(&Text), Null])),
    may("user", OPTIONAL_ID),
    may("safety_identifier", OPTIONAL_ID),
    may("prompt_cache_key", OPTIONAL_ID),
    may("prompt_cache_retention", Either(&[Word(&["in-memory", "in_memory", "24h"]), Null])),
    may("prompt_cache_options", Either(&[Object(CACHE_OPTIONS), Null])),
    // With `auto` the server drops what does not fit: the model would see another text.
    may("truncation", Either(&[Word(&["disabled"]), Null])),
    may(
        "include",
        Either(&[
            List(&Refused(
                "token probabilities and encrypted thoughts cannot be examined, and tools of the server are not run",
            )),
            Null,
        ]),
    ),
    // Where it is absent, the request goes on with `false`.
    may(
        "store",
        Either(&[Never("the guard cannot watch over answers that are stored upstream"), Null]),
    ),
    may(
        "background",
        Either(&[Never("an answer that is fetched later would not pass the guard"), Null]),
    ),
    may("previous_response_id", STORED),
    may("conversation", STORED),
    may("prompt", STORED),
    may("context_management", TRUNCATED),
    // The guard answers it: see `moderation.rs`.
    may("moderation", Dropped),
];

/// What is kept by the server is not in the request, so nobody can judge it here.
const STORED: Shape = Either(&[
    Null,
    Refused("what the server has stored cannot be examined here; send it as `input`"),
]);

const SERVICE_TIERS: &[&str] =
    &["auto", "default", "flex", "scale", "priority", "fast", "ultrafast"];

const TEXT_OPTIONS: &[Field] = &[
    may("format", Either(&[FORMAT, Null])),
    may("verbosity", Either(&[Word(&["low", "medium", "high"]), Null])),
];
const FORMAT: Shape =
    Tagged("type", &[("text", TAGGED), ("json_object", TAGGED), ("json_schema", JSON_SCHEMA)]);
/// A schema's enums and constants can dictate the answer, so it is text like any other.
const JSON_SCHEMA: &[Field] = &[
    must("type", Tag),
    must("name", Text),
    may("description", OPTIONAL_TEXT),
    must("schema", Free),
    may("strict", OPTIONAL_BOOL),
];

const SUMMARIES: Shape = Either(&[Word(&["auto", "concise", "detailed"]), Null]);
const REASONING: &[Field] = &[
    may("mode", Either(&[Word(&["standard", "pro"]), Null])),
    may("effort", Either(&[Word(REASONING_EFFORTS), Null])),
    may("summary", SUMMARIES),
    may("generate_summary", SUMMARIES),
    may("context", Either(&[Word(&["auto", "current_turn", "all_turns"]), Null])),
];

const TOOL: Shape = Tagged(
    "type",
    &[
        ("function", FUNCTION),
        ("custom", CUSTOM),
        ("web_search", SERVERS_TOOL),
        ("web_search_2025_08_26", SERVERS_TOOL),
        ("web_search_preview", SERVERS_TOOL),
        ("web_search_preview_2025_03_11", SERVERS_TOOL),
        ("file_search", SERVERS_TOOL),
        ("code_interpreter", SERVERS_TOOL),
        ("computer", SERVERS_TOOL),
        ("computer_use_preview", SERVERS_TOOL),
        ("image_generation", SERVERS_TOOL),
        ("mcp", SERVERS_TOOL),
        ("shell", SERVERS_TOOL),
        ("local_shell", SERVERS_TOOL),
        ("apply_patch", SERVERS_TOOL),
        ("namespace", SERVERS_TOOL),
        ("tool_search", SERVERS_TOOL),
        ("programmatic_tool_calling", SERVERS_TOOL),
    ],
);
const SERVERS_TOOL: &[Field] = &[must(
    "type",
    Refused(
        "what this tool reads and says cannot be examined here; `function` and `custom` tools can",
    ),
)];
const FUNCTION: &[Field] = &[
    must("type", Tag),
    must("name", Text),
    may("description", OPTIONAL_TEXT),
    may("parameters", Free),
    may("output_schema", Free),
    may("strict", OPTIONAL_BOOL),
    may("defer_loading", OPTIONAL_BOOL),
    may("allowed_callers", CALLERS),
];
const CUSTOM: &[Field] = &[
    must("type", Tag),
    must("name", Text),
    may("description", OPTIONAL_TEXT),
    may("format", Either(&[Tagged("type", &[("text", TAGGED), ("grammar", GRAMMAR)]), Null])),
    may("defer_loading", OPTIONAL_BOOL),
    may("allowed_callers", CALLERS),
];
/// A grammar can dictate what the model writes.
const GRAMMAR: &[Field] =
    &[must("type", Tag), must("definition", Text), must("syntax", Word(&["lark", "regex"]))];
/// A program that the model writes and the server runs is not among them.
const CALLERS: Shape = Either(&[List(&Word(&["direct"])), Null]);

const TOOL_CHOICE: Shape = Tagged(
    "type",
    &[
        ("function", &[must("type", Tag), must("name", Text)]),
        ("custom", &[must("type", Tag), must("name", Text)]),
        ("allowed_tools", ALLOWED_TOOLS),
    ],
);
const ALLOWED_TOOLS: &[Field] =
    &[must("type", Tag), must("mode", Word(&["auto", "required"])), must("tools", List(&Free))];

/// Only messages have a role, and they may leave out their type.
const ITEM: Shape = Having("role", &[MESSAGE, OTHER_ITEM]);

const MESSAGE: Shape = Tagged(
    "role",
    &[
        ("user", USER_MESSAGE),
        ("system", OPERATOR_MESSAGE),
        ("developer", OPERATOR_MESSAGE),
        ("assistant", ASSISTANT_MESSAGE),
    ],
);
const MESSAGE_TYPE: Field = may("type", Word(&["message"]));
const PHASE: Field = may("phase", Either(&[Word(&["commentary", "final_answer"]), Null]));

const USER_MESSAGE: &[Field] = &[
    MESSAGE_TYPE,
    must("role", Tag),
    must("content", Either(&[Text, Parts(&INPUT_PART)])),
    may("id", OPTIONAL_ID),
    may("status", STATUS),
    PHASE,
];
const OPERATOR_MESSAGE: &[Field] = &[
    MESSAGE_TYPE,
    must("role", Tag),
    must("content", Either(&[Text, Parts(&INPUT_PART)])).by(Role::Operator, Direction::Input),
    may("id", OPTIONAL_ID),
    may("status", STATUS),
    PHASE,
];
/// What the caller says the model said before: the caller may have made it up.
const ASSISTANT_MESSAGE: &[Field] = &[
    MESSAGE_TYPE,
    must("role", Tag),
    must("content", Either(&[Text, Parts(&SAID_PART)])),
    may("id", OPTIONAL_ID),
    may("status", STATUS),
    PHASE,
];

const INPUT_PART: Shape = Tagged(
    "type",
    &[
        ("input_text", INPUT_TEXT),
        ("input_image", MEDIA_PART),
        ("input_file", MEDIA_PART),
        ("input_audio", MEDIA_PART),
    ],
);
const INPUT_TEXT: &[Field] =
    &[must("type", Tag), must("text", Text), may("prompt_cache_breakpoint", CACHE_BREAKPOINT)];
const MEDIA_PART: &[Field] = &[
    must("type", MEDIA),
    may("image_url", MEDIA),
    may("file_id", MEDIA),
    may("file_url", MEDIA),
    may("file_data", MEDIA),
    may("filename", MEDIA),
    may("detail", MEDIA),
    may("input_audio", MEDIA),
    may("prompt_cache_breakpoint", MEDIA),
];
const SAID_PART: Shape = Tagged(
    "type",
    &[
        ("output_text", SAID_TEXT),
        ("refusal", &[must("type", Tag), must("refusal", Text)]),
        ("input_text", INPUT_TEXT),
    ],
);
/// Servers want the empty list of annotations back that they gave.
const SAID_TEXT: &[Field] =
    &[must("type", Tag), must("text", Text), may("annotations", Emptied), may("logprobs", Emptied)];

const OTHER_ITEM: Shape = Tagged(
    "type",
    &[
        ("function_call", FUNCTION_CALL),
        ("function_call_output", CALL_OUTPUT),
        ("custom_tool_call", CUSTOM_CALL),
        ("custom_tool_call_output", CALL_OUTPUT),
        ("reasoning", THOUGHT),
        (
            "item_reference",
            &[must("type", Refused("what the server has stored cannot be examined here"))],
        ),
    ],
);
/// Some models write the id of a call themselves.
const FUNCTION_CALL: &[Field] = &[
    must("type", Tag),
    may("id", OPTIONAL_ID),
    must("call_id", Text).by(Role::Assistant, Direction::Tools),
    must("name", Text).by(Role::Assistant, Direction::Tools),
    must("arguments", JsonText).by(Role::Assistant, Direction::Tools),
    may("namespace", OPTIONAL_TEXT).by(Role::Assistant, Direction::Tools),
    may("status", STATUS),
    may("caller", CALLER),
];
const CUSTOM_CALL: &[Field] = &[
    must("type", Tag),
    may("id", OPTIONAL_ID),
    must("call_id", Text).by(Role::Assistant, Direction::Tools),
    must("name", Text).by(Role::Assistant, Direction::Tools),
    must("input", Text).by(Role::Assistant, Direction::Tools),
    may("namespace", OPTIONAL_TEXT).by(Role::Assistant, Direction::Tools),
    may("status", STATUS),
    may("caller", CALLER),
];
const CALL_OUTPUT: &[Field] = &[
    must("type", Tag),
    may("id", OPTIONAL_ID),
    must("call_id", Text).by(Role::Tool, Direction::Tools),
    must("output", Either(&[Text, Parts(&INPUT_PART)])).by(Role::Tool, Direction::Tools),
    may("name", OPTIONAL_TEXT).by(Role::Tool, Direction::Tools),
    may("namespace", OPTIONAL_TEXT).by(Role::Tool, Direction::Tools),
    may("status", STATUS),
    may("caller", CALLER),
];

const THOUGHT: &[Field] = &[
    must("type", Tag),
    may("id", OPTIONAL_ID),
    must("summary", Parts(&SUMMARY_PART)),
    may("content", Either(&[Parts(&THOUGHT_PART), Null])),
    may("encrypted_content", Either(&[Null, Refused("encrypted thoughts cannot be examined")])),
    may("status", STATUS),
];
const SUMMARY_PART: Shape = Tagged("type", &[("summary_text", SAID)]);
const THOUGHT_PART: Shape = Tagged("type", &[("reasoning_text", SAID)]);
const SAID: &[Field] = &[must("type", Tag), must("text", Text)];
