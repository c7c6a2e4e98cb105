"""The wire formats of the scripted model server: how what the model says is put, plain and streamed.

Each as its own server puts it: OpenAI's has `refusal` and `logprobs`, null, and a usage chunk only when it is asked
for; Anthropic's has events with names, pings between them, and a long account of tokens.
"""

import base64
import json
import struct

from script import Asked, pieces, say

USAGE = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}
# What Anthropic's server says at the end of a stream, and what it says besides at the beginning.
END_USAGE = {
    "input_tokens": 7,
    "output_tokens": 5,
    "cache_creation_input_tokens": 0,
    "cache_read_input_tokens": 2,
    "output_tokens_details": {"thinking_tokens": 1},
    "server_tool_use": None,
}
LONG_USAGE = {
    **END_USAGE,
    "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
    "service_tier": "standard",
    "inference_geo": "not_available",
    "speed": "standard",
}
HEAD = {"created": 1700000000, "system_fingerprint": "fp_scripted"}


def text_of(content):
    """The text of a message's content, or of a tool's result."""
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


class OpenAI:
    """What OpenAI's formats have in common."""

    end = "data: [DONE]\n\n"

    @staticmethod
    def event(data):
        return f"data: {json.dumps(data)}\n\n"

    @staticmethod
    def error(_status, message, kind, code):
        return {"error": {"message": message, "type": kind, "param": None, "code": code}}

    @staticmethod
    def chunk(head, body):
        """Makes chunks; each says `usage: null` if usage was asked for."""
        wants_usage = (body.get("stream_options") or {}).get("include_usage")

        def chunk(choices, usage=None):
            return {**head, "choices": choices, **({"usage": usage} if wants_usage else {})}

        return chunk, [chunk([], USAGE)] if wants_usage else []


class Chat(OpenAI):
    """`/v1/chat/completions`."""

    @staticmethod
    def asked(body):
        messages, tools = body["messages"], body.get("tools") or []
        results = [text_of(message["content"]) for message in messages if message["role"] == "tool"]
        return Asked(
            model=body["model"],
            text=text_of(messages[-1]["content"]),
            tool=tools[0]["function"]["name"] if tools else None,
            results=tuple(results) if messages[-1]["role"] == "tool" else (),
        )

    @staticmethod
    def calls(calls):
        return [
            {
                "id": f"call_{index}",
                "type": "function",
                "function": {"name": name, "arguments": json.dumps(arguments)},
            }
            for index, (name, arguments) in enumerate(calls)
        ]

    @classmethod
    def answer(cls, body):
        choices = []
        for index in range(body.get("n") or 1):
            text, calls = say(cls.asked(body), index)
            said = {"role": "assistant", "content": text, "refusal": None}
            if calls:
                said["tool_calls"] = cls.calls(calls)
            reason = "tool_calls" if calls else "stop"
            choices.append({"index": index, "message": said, "logprobs": None, "finish_reason": reason})
        head = {"id": "chatcmpl-scripted", **HEAD, "object": "chat.completion", "model": body["model"]}
        return {**head, "choices": choices, "usage": USAGE}

    @classmethod
    def deltas(cls, text, calls):
        yield {"role": "assistant", "content": None if calls else "", "refusal": None}
        for piece in pieces(text or ""):
            yield {"content": piece}
        for index, call in enumerate(cls.calls(calls)):
            name = call["function"]["name"]
            opening = {"index": index, "id": call["id"], "type": "function"}
            yield {"tool_calls": [{**opening, "function": {"name": name, "arguments": ""}}]}
            for piece in pieces(call["function"]["arguments"]):
                yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}

    @classmethod
    def events(cls, body):
        head = {"id": "chatcmpl-scripted", **HEAD, "object": "chat.completion.chunk", "model": body["model"]}
        chunk, usage = cls.chunk(head, body)
        for index in range(body.get("n") or 1):
            text, calls = say(cls.asked(body), index)
            for delta in cls.deltas(text, calls):
                yield chunk([{"index": index, "delta": delta, "logprobs": None, "finish_reason": None}])
            reason = "tool_calls" if calls else "stop"
            yield chunk([{"index": index, "delta": {}, "logprobs": None, "finish_reason": reason}])
        yield from usage


class Completions(OpenAI):
    """`/v1/completions`."""

    @staticmethod
    def texts(body):
        """The text of each choice: as many for each prompt as were asked for."""
        prompts = body["prompt"] if isinstance(body["prompt"], list) else [body["prompt"]]
        each = range(body.get("n") or 1)
        return [say(Asked(body["model"], prompt), choice)[0] for prompt in prompts for choice in each]

    @staticmethod
    def choice(index, text, reason):
        return {"index": index, "text": text, "logprobs": None, "finish_reason": reason}

    @classmethod
    def answer(cls, body):
        choices = [cls.choice(index, text, "stop") for index, text in enumerate(cls.texts(body))]
        return {**cls.head(body), "choices": choices, "usage": USAGE}

    @staticmethod
    def head(body):
        return {"id": "cmpl-scripted", **HEAD, "object": "text_completion", "model": body["model"]}

    @classmethod
    def events(cls, body):
        chunk, usage = cls.chunk(cls.head(body), body)
        for index, text in enumerate(cls.texts(body)):
            for piece in pieces(text):
                yield chunk([cls.choice(index, piece, None)])
            yield chunk([cls.choice(index, "", "stop")])
        yield from usage


class Embeddings(OpenAI):
    """`/v1/embeddings`: numbers that depend on the text."""

    @classmethod
    def answer(cls, body):
        texts = body["input"] if isinstance(body["input"], list) else [body["input"]]
        data = [
            {"object": "embedding", "index": index, "embedding": cls.vector(text, body.get("encoding_format"))}
            for index, text in enumerate(texts)
        ]
        usage = {"prompt_tokens": 7, "total_tokens": 7}
        return {"object": "list", "data": data, "model": body["model"], "usage": usage}

    @staticmethod
    def vector(text, encoding):
        numbers = [len(text) / 8, -1.5, 1e-07, *(ord(letter) / 1024 for letter in text[:3])]
        if encoding == "base64":
            return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()
        return numbers


class Messages:
    """Anthropic's `/v1/messages`."""

    end = ""

    @staticmethod
    def event(data):
        return f"event: {data['type']}\ndata: {json.dumps(data)}\n\n"

    @staticmethod
    def error(status, message, _kind, _code):
        kinds = {400: "invalid_request_error", 401: "authentication_error", 404: "not_found_error"}
        kinds |= {429: "rate_limit_error", 503: "overloaded_error"}
        return {"type": "error", "error": {"type": kinds.get(status, "api_error"), "message": message}}

    @staticmethod
    def asked(body):
        last, tools = body["messages"][-1]["content"], body.get("tools") or []
        blocks = last if isinstance(last, list) else []
        return Asked(
            model=body["model"],
            text=text_of(last),
            tool=tools[0]["name"] if tools else None,
            results=tuple(text_of(block["content"]) for block in blocks if block["type"] == "tool_result"),
        )

    @classmethod
    def blocks(cls, body):
        """The blocks of the answer, and why it ends."""
        text, calls = say(cls.asked(body))
        blocks = [
            {"type": "tool_use", "id": f"toolu_{index}", "name": name, "input": arguments, "caller": {"type": "direct"}}
            for index, (name, arguments) in enumerate(calls)
        ]
        if text is not None:
            blocks = [{"type": "text", "text": text}]
        if (body.get("thinking") or {}).get("type") in ("enabled", "adaptive"):
            blocks.insert(0, {"type": "thinking", "thinking": "A gate, then.", "signature": "c2lnbmVk/+=="})
        return blocks, "tool_use" if calls else "end_turn"

    @classmethod
    def message(cls, body, content, reason):
        return {
            "id": "msg_scripted", "type": "message", "role": "assistant", "model": body["model"],
            "content": content, "stop_reason": reason, "stop_sequence": None, "stop_details": None,
            "container": None, "usage": LONG_USAGE,
        }

    @classmethod
    def answer(cls, body):
        return cls.message(body, *cls.blocks(body))

    @staticmethod
    def deltas(block):
        """The block as it begins, and what is added to it."""
        if block["type"] == "text":
            return {**block, "text": ""}, [{"type": "text_delta", "text": piece} for piece in pieces(block["text"])]
        if block["type"] == "tool_use":
            arguments = ["", *pieces(json.dumps(block["input"]))]
            return {**block, "input": {}}, [{"type": "input_json_delta", "partial_json": one} for one in arguments]
        thoughts = [{"type": "thinking_delta", "thinking": piece} for piece in pieces(block["thinking"])]
        signature = {"type": "signature_delta", "signature": block["signature"]}
        return {**block, "thinking": "", "signature": ""}, [*thoughts, signature]

    @classmethod
    def events(cls, body):
        blocks, reason = cls.blocks(body)
        yield {"type": "message_start", "message": cls.message(body, [], None)}
        for index, block in enumerate(blocks):
            begun, deltas = cls.deltas(block)
            yield {"type": "content_block_start", "index": index, "content_block": begun}
            yield {"type": "ping"}
            for delta in deltas:
                yield {"type": "content_block_delta", "index": index, "delta": delta}
            yield {"type": "content_block_stop", "index": index}
        delta = {"stop_reason": reason, "stop_sequence": None, "stop_details": None, "container": None}
        yield {"type": "message_delta", "delta": delta, "usage": END_USAGE}
        yield {"type": "message_stop"}


class Responses(OpenAI):
    """OpenAI's `/v1/responses`: events with names and numbers, which say everything again when it is over."""

    end = ""
    USAGE = {
        "input_tokens": 7,
        "input_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 0},
        "output_tokens": 5,
        "output_tokens_details": {"reasoning_tokens": 1},
        "total_tokens": 12,
    }

    @staticmethod
    def event(data):
        return f"event: {data.get('type', 'error')}\ndata: {json.dumps(data)}\n\n"

    @staticmethod
    def asked(body):
        items, tools = body["input"], body.get("tools") or []
        if isinstance(items, str):
            items = [{"role": "user", "content": items}]
        results = [text_of(item["output"]) for item in items if item.get("type") == "function_call_output"]
        return Asked(
            model=body["model"],
            text=text_of(items[-1].get("content", "")),
            tool=tools[0]["name"] if tools else None,
            results=tuple(results),
        )

    @classmethod
    def items(cls, body):
        text, calls = say(cls.asked(body))
        if text is not None:
            part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
            return [{"id": "msg_0", "type": "message", "status": "completed", "role": "assistant", "content": [part]}]
        return [
            {
                "id": f"fc_{index}", "type": "function_call", "status": "completed", "call_id": f"call_{index}",
                "name": name, "arguments": json.dumps(arguments),
            }
            for index, (name, arguments) in enumerate(calls)
        ]

    @classmethod
    def response(cls, body, status, output):
        return {
            "id": "resp_scripted", "object": "response", "created_at": 1700000000, "status": status, "error": None,
            "incomplete_details": None, "instructions": None, "max_output_tokens": None, "model": body["model"],
            "output": output, "parallel_tool_calls": True, "temperature": 1.0, "top_p": 1.0, "tool_choice": "auto",
            "tools": [], "truncation": "disabled", "metadata": {}, "store": False,
            "usage": cls.USAGE if status == "completed" else None,
        }

    @classmethod
    def answer(cls, body):
        return cls.response(body, "completed", cls.items(body))

    @classmethod
    def said(cls, index, item):
        """How an item begins, and the events between its beginning and its end."""
        place = {"item_id": item["id"], "output_index": index}
        if item["type"] == "function_call":
            kind = "response.function_call_arguments"
            events = [{"type": f"{kind}.delta", **place, "delta": piece} for piece in pieces(item["arguments"])]
            events.append({"type": f"{kind}.done", **place, "arguments": item["arguments"], "name": item["name"]})
            return {**item, "status": "in_progress", "arguments": ""}, events
        (part,), place = item["content"], {**place, "content_index": 0}
        text = [
            {"type": "response.output_text.delta", **place, "delta": piece, "logprobs": []}
            for piece in pieces(part["text"])
        ]
        events = [
            {"type": "response.content_part.added", **place, "part": {**part, "text": ""}},
            *text,
            {"type": "response.output_text.done", **place, "text": part["text"], "logprobs": []},
            {"type": "response.content_part.done", **place, "part": part},
        ]
        return {**item, "status": "in_progress", "content": []}, events

    @classmethod
    def events(cls, body):
        for number, event in enumerate(cls.unnumbered(body)):
            yield {**event, "sequence_number": number}

    @classmethod
    def unnumbered(cls, body):
        started, items = cls.response(body, "in_progress", []), cls.items(body)
        yield {"type": "response.created", "response": started}
        yield {"type": "response.in_progress", "response": started}
        for index, item in enumerate(items):
            begun, events = cls.said(index, item)
            yield {"type": "response.output_item.added", "output_index": index, "item": begun}
            yield from events
            yield {"type": "response.output_item.done", "output_index": index, "item": item}
        yield {"type": "response.completed", "response": cls.response(body, "completed", items)}


ROUTES = {
    "/v1/chat/completions": Chat,
    "/v1/completions": Completions,
    "/v1/embeddings": Embeddings,
    "/v1/messages": Messages,
    "/v1/responses": Responses,
}
