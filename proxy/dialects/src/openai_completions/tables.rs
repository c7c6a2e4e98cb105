//! Every field of the format and what becomes of it.

use crate::openai_chat::tables::{
    MAX_CHOICES, MAX_TOKENS, NOT_GUARDED, OPTIONAL_BOOL, OPTIONAL_ID, OPTIONAL_TEXT,
    OPTIONAL_TOKENS, SERVERS_OWN, STREAM_OPTIONS, TEMPLATE_SWITCH, TOKENS_ASKED, TOKENS_TOLD,
    TRUNCATED, USAGE,
};
use crate::table::{Field, Shape, may, must};

use Shape::{
    Dropped, Either, Id, Int, List, Map, Never, Null, Number, Object, Refused, Text, Word,
};

const PROMPT: Shape =
    Either(&[Text, Refused("token ids cannot be read, so they are not forwarded; send text")]);

/// A completion request.
pub(super) const REQUEST: &[Field] = &[
    must("model", Id),
    must("prompt", Either(&[List(&PROMPT), PROMPT])),
    may("suffix", OPTIONAL_TEXT),
    may("stop", Either(&[Text, List(&Text), Null])),
    may("stream", OPTIONAL_BOOL),
    may("stream_options", Either(&[Object(STREAM_OPTIONS), Null])),
    may("n", Either(&[Int(1, MAX_CHOICES), Null])),
    may("best_of", Either(&[Int(1, MAX_CHOICES), Null])),
    may("max_tokens", OPTIONAL_TOKENS),
    may("temperature", Either(&[Number(0.0, 2.0), Null])),
    may("top_p", Either(&[Number(0.0, 1.0), Null])),
    may("frequency_penalty", Either(&[Number(-2.0, 2.0), Null])),
    may("presence_penalty", Either(&[Number(-2.0, 2.0), Null])),
    may("logit_bias", Either(&[Map(&Number(-100.0, 100.0)), Null])),
    may("logprobs", TOKENS_TOLD),
    may(
        "echo",
        Either(&[Never("a prompt that comes back would be judged as the model's words"), Null]),
    ),
    may("seed", Either(&[Int(i64::MIN, i64::MAX), Null])),
    may("user", OPTIONAL_ID),
    // vLLM
    may("top_k", Either(&[Int(-1, MAX_TOKENS), Null])),
    may("min_p", Either(&[Number(0.0, 1.0), Null])),
    may("repetition_penalty", Either(&[Number(0.0, 10.0), Null])),
    may("length_penalty", Either(&[Number(-10.0, 10.0), Null])),
    may("min_tokens", OPTIONAL_TOKENS),
    may("ignore_eos", OPTIONAL_BOOL),
    may("priority", Either(&[Int(i64::MIN, i64::MAX), Null])),
    may("prompt_embeds", TOKENS_ASKED),
    may("stop_token_ids", TOKENS_ASKED),
    may("allowed_token_ids", TOKENS_ASKED),
    may("add_special_tokens", TEMPLATE_SWITCH),
    may("use_beam_search", NOT_GUARDED),
    may("structured_outputs", NOT_GUARDED),
    may("response_format", NOT_GUARDED),
    may("include_stop_str_in_output", NOT_GUARDED),
    may("skip_special_tokens", NOT_GUARDED),
    may("spaces_between_special_tokens", NOT_GUARDED),
    may("truncate_prompt_tokens", TRUNCATED),
    may("prompt_logprobs", TOKENS_TOLD),
    may("return_tokens_as_token_ids", TOKENS_TOLD),
    may("return_token_ids", TOKENS_TOLD),
    may("request_id", SERVERS_OWN),
    may("cache_salt", SERVERS_OWN),
    may("kv_transfer_params", SERVERS_OWN),
    may("vllm_xargs", SERVERS_OWN),
];

/// A plain answer.
pub(super) const ANSWER: &[Field] = &[
    must("id", Id),
    must("object", Word(&["text_completion"])),
    must("created", Int(0, i64::MAX)),
    must("model", Id),
    must("choices", List(&Object(CHOICE))),
    may("usage", USAGE),
    may("system_fingerprint", OPTIONAL_ID),
    may("service_tier", OPTIONAL_ID),
    may("kv_transfer_params", Dropped),
];

/// One chunk of a streamed answer.
pub(super) const CHUNK: &[Field] = &[
    must("id", Id),
    must("object", Word(&["text_completion"])),
    must("created", Int(0, i64::MAX)),
    must("model", Id),
    must("choices", List(&Object(CHUNK_CHOICE))),
    may("usage", USAGE),
    may("system_fingerprint", OPTIONAL_ID),
    may("service_tier", OPTIONAL_ID),
];

const FINISH_REASON: Shape =
    Either(&[Word(&["stop", "length", "content_filter", "abort", "repetition"]), Null]);

const CHUNK_CHOICE: &[Field] = &[
    must("index", Int(0, MAX_TOKENS)),
    must("text", Text),
    may("finish_reason", FINISH_REASON),
    may("logprobs", Dropped),
    may("stop_reason", Dropped),
    may("token_ids", Dropped),
    may("prompt_token_ids", Dropped),
    may("prompt_logprobs", Dropped),
];

const CHOICE: &[Field] = &[
    must("index", Int(0, MAX_TOKENS)),
    must("text", Text),
    must("finish_reason", FINISH_REASON),
    may("logprobs", Dropped),
    may("stop_reason", Dropped),
    may("token_ids", Dropped),
    may("prompt_token_ids", Dropped),
    may("prompt_logprobs", Dropped),
];
