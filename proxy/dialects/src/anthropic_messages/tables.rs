//! Every field of the format and what becomes of it.

use classifiers_core::{Direction, Role};

use crate::openai_chat::tables::{
    MAX_TOKENS, MEDIA, OPTIONAL_BOOL, OPTIONAL_ID, OPTIONAL_TEXT, OPTIONAL_TOKENS, SERVERS_OWN,
};
use crate::table::{Field, Shape, may, must};

use Shape::{
    Base64, Dropped, Either, Free, Id, Int, List, Null, Number, Numbers, Object, Parts, Refused,
    Tag, Tagged, Text, Word,
};

/// A request for a message.
pub(super) const REQUEST: &[Field] = &[
    must("model", Id),
    must("messages", List(&MESSAGE)),
    must("max_tokens", Int(1, MAX_TOKENS)),
    may("system", Either(&[Text, Parts(&TEXT_BLOCK)])).by(Role::Operator, Direction::Input),
    // Judged as something said to the model, by its words.
    may("tools", List(&Object(TOOL))).by(Role::User, Direction::Tools),
    may("tool_choice", Either(&[TOOL_CHOICE, Null])),
    may("stop_sequences", Either(&[List(&Text), Null])),
    may("stream", OPTIONAL_BOOL),
    may("temperature", Either(&[Number(0.0, 2.0), Null])),
    may("top_p", Either(&[Number(0.0, 1.0), Null])),
    may("top_k", Either(&[Int(-1, MAX_TOKENS), Null])),
    may("thinking", Either(&[THINKING, Null])),
    may("metadata", Either(&[Object(&[may("user_id", OPTIONAL_ID)]), Null])),
    may("cache_control", CACHE_CONTROL),
    may("output_config", Either(&[Object(OUTPUT_CONFIG), Null])),
    may("service_tier", Either(&[Word(&["auto", "standard_only"]), Null])),
    may("speed", Either(&[Word(&["standard", "fast"]), Null])),
    may("inference_geo", OPTIONAL_ID),
    may("container", SERVERS_OWN),
    may(
        "thread",
        Either(&[
            Null,
            Refused("the model would see messages that were not judged; send all of them"),
        ]),
    ),
    may("mcp_servers", Either(&[Null, Refused("what a remote tool says cannot be examined here")])),
    may(
        "context_management",
        Either(&[Null, Refused("the model would see another text than the one that was judged")]),
    ),
];

const OUTPUT_CONFIG: &[Field] = &[
    may("effort", Either(&[Word(&["low", "medium", "high", "xhigh", "max"]), Null])),
    may("format", Either(&[Tagged("type", &[("json_schema", JSON_SCHEMA)]), Null])),
];
const JSON_SCHEMA: &[Field] = &[must("type", Tag), must("schema", Free)];

const THINKING: Shape = Tagged(
    "type",
    &[
        (
            "enabled",
            &[must("type", Tag), must("budget_tokens", Int(0, MAX_TOKENS)), THOUGHTS_SHOWN],
        ),
        ("adaptive", &[must("type", Tag), THOUGHTS_SHOWN]),
        ("disabled", &[must("type", Tag)]),
    ],
);
const THOUGHTS_SHOWN: Field = may("display", Either(&[Word(&["summarized", "omitted"]), Null]));

const TOOL: &[Field] = &[
    must("name", Text),
    may("type", Either(&[Word(&["custom"]), Null])),
    may("description", OPTIONAL_TEXT),
    must("input_schema", Free),
    may("input_examples", Either(&[List(&Free), Null])),
    may("strict", OPTIONAL_BOOL),
    may("eager_input_streaming", OPTIONAL_BOOL),
    may("defer_loading", OPTIONAL_BOOL),
    // What a program on the server says to a tool cannot be examined here.
    may("allowed_callers", Either(&[List(&Word(&["direct"])), Null])),
    may("cache_control", CACHE_CONTROL),
];

const ONE_AT_A_TIME: Field = may("disable_parallel_tool_use", OPTIONAL_BOOL);
const TOOL_CHOICE: Shape = Tagged(
    "type",
    &[
        ("auto", &[must("type", Tag), ONE_AT_A_TIME]),
        ("any", &[must("type", Tag), ONE_AT_A_TIME]),
        ("tool", &[must("type", Tag), must("name", Text), ONE_AT_A_TIME]),
        ("none", &[must("type", Tag)]),
    ],
);

/// Where the server's cache may cut; the model does not see it.
const CACHE_CONTROL: Shape =
    Either(&[Object(&[must("type", Word(&["ephemeral"])), may("ttl", Word(&["5m", "1h"]))]), Null]);

const MESSAGE: Shape = Tagged(
    "role",
    &[("user", USER_MESSAGE), ("assistant", ASSISTANT_MESSAGE), ("system", SYSTEM_MESSAGE)],
);
const SYSTEM_MESSAGE: &[Field] = &[
    must("role", Tag),
    must("content", Either(&[Text, Parts(&TEXT_BLOCK)])).by(Role::Operator, Direction::Input),
];
const USER_MESSAGE: &[Field] =
    &[must("role", Tag), must("content", Either(&[Text, Parts(&USER_BLOCK)]))];
/// What the caller says the model said before: the caller may have made it up.
const ASSISTANT_MESSAGE: &[Field] =
    &[must("role", Tag), must("content", Either(&[Text, Parts(&ASSISTANT_BLOCK)]))];

const TEXT_BLOCK: Shape = Tagged("type", &[("text", TEXT_FIELDS)]);
const TEXT_FIELDS: &[Field] = &[
    must("type", Tag),
    must("text", Text),
    may("cache_control", CACHE_CONTROL),
    may("citations", Dropped),
];

const USER_BLOCK: Shape = Tagged(
    "type",
    &[
        ("text", TEXT_FIELDS),
        ("tool_result", TOOL_RESULT),
        ("image", MEDIA_BLOCK),
        ("document", MEDIA_BLOCK),
        ("search_result", MEDIA_BLOCK),
    ],
);
const MEDIA_BLOCK: &[Field] = &[must("type", MEDIA), may("source", MEDIA), may("content", MEDIA)];

const TOOL_RESULT: &[Field] = &[
    must("type", Tag),
    must("tool_use_id", Id),
    may("content", Either(&[Text, Parts(&RESULT_BLOCK), Null])).by(Role::Tool, Direction::Tools),
    may("is_error", OPTIONAL_BOOL),
    may("toolset_name", OPTIONAL_ID),
    may("cache_control", CACHE_CONTROL),
];
const RESULT_BLOCK: Shape = Tagged("type", &[("text", TEXT_FIELDS), ("image", MEDIA_BLOCK)]);

const ASSISTANT_BLOCK: Shape = Tagged(
    "type",
    &[
        ("text", TEXT_FIELDS),
        ("tool_use", TOOL_USE),
        ("thinking", THOUGHT),
        ("redacted_thinking", REDACTED_THOUGHT),
    ],
);
/// The id is text: some models write it themselves.
const TOOL_USE: &[Field] = &[
    must("type", Tag),
    must("id", Text).by(Role::Assistant, Direction::Tools),
    must("name", Text).by(Role::Assistant, Direction::Tools),
    must("input", Free).by(Role::Assistant, Direction::Tools),
    may("caller", CALLER),
    may("toolset_name", OPTIONAL_ID),
    may("cache_control", CACHE_CONTROL),
];
/// The model itself, not a program on the server.
const CALLER: Shape = Either(&[Tagged("type", &[("direct", &[must("type", Tag)])]), Null]);
const THOUGHT: &[Field] =
    &[must("type", Tag), must("thinking", Text), may("signature", Either(&[Base64, Null]))];
const REDACTED_THOUGHT: &[Field] =
    &[must("type", Refused("encrypted thoughts cannot be examined")), may("data", Dropped)];

/// A plain answer.
pub(super) const ANSWER: &[Field] = &[
    must("id", Id),
    must("type", Word(&["message"])),
    must("role", Word(&["assistant"])),
    must("model", Id),
    must("content", List(&ANSWER_BLOCK)),
    must("stop_reason", STOP_REASON),
    may("stop_sequence", OPTIONAL_TEXT),
    may("stop_details", STOP_DETAILS),
    must("usage", Object(USAGE)),
    may("container", Dropped),
    may("context_management", Dropped),
];

const STOP_REASON: Shape = Either(&[
    Word(&[
        "end_turn",
        "max_tokens",
        "stop_sequence",
        "tool_use",
        "pause_turn",
        "refusal",
        "model_context_window_exceeded",
    ]),
    Null,
]);

/// Why the model refused.
const STOP_DETAILS: Shape = Either(&[
    Object(&[
        must("type", Word(&["refusal"])),
        may("category", OPTIONAL_ID),
        may("explanation", OPTIONAL_TEXT),
    ]),
    Null,
]);

/// A block of another kind has no place in an answer that can be read, so the answer is refused.
const ANSWER_BLOCK: Shape =
    Tagged("type", &[("text", TEXT_FIELDS), ("tool_use", TOOL_USE), ("thinking", THOUGHT)]);

const USAGE: &[Field] = &[
    must("input_tokens", OPTIONAL_TOKENS),
    must("output_tokens", OPTIONAL_TOKENS),
    may("cache_creation_input_tokens", OPTIONAL_TOKENS),
    may("cache_read_input_tokens", OPTIONAL_TOKENS),
    may("cache_creation", Either(&[Numbers, Null])),
    may("server_tool_use", Either(&[Numbers, Null])),
    may("output_tokens_details", Either(&[Numbers, Null])),
    may("service_tier", OPTIONAL_ID),
    may("inference_geo", OPTIONAL_ID),
    may("speed", OPTIONAL_ID),
];

/// The answer begins: nothing is said yet.
pub(super) const MESSAGE_START: &[Field] =
    &[must("type", Tag), must("message", Object(STARTED_MESSAGE))];
const STARTED_MESSAGE: &[Field] = &[
    must("id", Id),
    must("type", Word(&["message"])),
    must("role", Word(&["assistant"])),
    must("model", Id),
    must("content", List(&Refused("an answer begins empty"))),
    may("stop_reason", Null),
    may("stop_sequence", Null),
    may("stop_details", Null),
    must("usage", Object(USAGE)),
    may("container", Dropped),
    may("context_management", Dropped),
];

/// A block begins.
pub(super) const BLOCK_START: &[Field] = &[
    must("type", Tag),
    must("index", Int(0, MAX_BLOCKS)),
    must(
        "content_block",
        Tagged("type", &[("text", TEXT_FIELDS), ("tool_use", STARTED_USE), ("thinking", THOUGHT)]),
    ),
];
const MAX_BLOCKS: i64 = 10_000;
/// Its input comes piece by piece.
const STARTED_USE: &[Field] = &[
    must("type", Tag),
    must("id", Text).by(Role::Assistant, Direction::Tools),
    must("name", Text).by(Role::Assistant, Direction::Tools),
    must("input", Object(&[])),
    may("caller", CALLER),
    may("toolset_name", OPTIONAL_ID),
];

/// A block goes on.
pub(super) const BLOCK_DELTA: &[Field] = &[
    must("type", Tag),
    must("index", Int(0, MAX_BLOCKS)),
    must(
        "delta",
        Tagged(
            "type",
            &[
                ("text_delta", &[must("type", Tag), must("text", Text)]),
                ("thinking_delta", &[must("type", Tag), must("thinking", Text)]),
                ("signature_delta", &[must("type", Tag), must("signature", Base64)]),
                ("input_json_delta", JSON_DELTA),
            ],
        ),
    ),
];
const JSON_DELTA: &[Field] =
    &[must("type", Tag), must("partial_json", Text).by(Role::Assistant, Direction::Tools)];

/// A block is over.
pub(super) const BLOCK_STOP: &[Field] = &[must("type", Tag), must("index", Int(0, MAX_BLOCKS))];

/// The answer is over, and why.
pub(super) const MESSAGE_DELTA: &[Field] = &[
    must("type", Tag),
    must(
        "delta",
        Object(&[
            must("stop_reason", STOP_REASON),
            may("stop_sequence", OPTIONAL_TEXT),
            may("stop_details", STOP_DETAILS),
            may("container", Dropped),
        ]),
    ),
    may("usage", Object(DELTA_USAGE)),
    may("context_management", Dropped),
];
const DELTA_USAGE: &[Field] = &[
    may("input_tokens", OPTIONAL_TOKENS),
    must("output_tokens", OPTIONAL_TOKENS),
    may("cache_creation_input_tokens", OPTIONAL_TOKENS),
    may("cache_read_input_tokens", OPTIONAL_TOKENS),
    may("cache_creation", Either(&[Numbers, Null])),
    may("server_tool_use", Either(&[Numbers, Null])),
    may("output_tokens_details", Either(&[Numbers, Null])),
    may("service_tier", OPTIONAL_ID),
    may("inference_geo", OPTIONAL_ID),
    may("speed", OPTIONAL_ID),
];
