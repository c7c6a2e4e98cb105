"""Lists every field of an API's requests and answers, from its OpenAPI document.

    python3 extract.py openapi.yaml > openai-2.3.0.txt        (needs PyYAML)

One line for each leaf: the schema, and a path of names in which `[]` is any item of an array and `{}` any key of a
map. Alternatives (of roles, of kinds of parts) are listed together. A test holds the tables of this room against
the list: a field without a posture fails it.
"""

import gzip
import re
import sys

import yaml

SCHEMAS = [
    "CreateChatCompletionRequest",
    "CreateChatCompletionResponse",
    "CreateChatCompletionStreamResponse",
    "CreateCompletionRequest",
    "CreateCompletionResponse",
    "CreateEmbeddingRequest",
    "CreateEmbeddingResponse",
    "CreateResponse",
    "Response",
    "ResponseOutputItemAddedEvent",
    "ResponseOutputItemDoneEvent",
    "ResponseContentPartAddedEvent",
    "ResponseContentPartDoneEvent",
    "ResponseTextDeltaEvent",
    "ResponseTextDoneEvent",
    "ResponseRefusalDeltaEvent",
    "ResponseRefusalDoneEvent",
    "ResponseFunctionCallArgumentsDeltaEvent",
    "ResponseFunctionCallArgumentsDoneEvent",
    "ResponseCustomToolCallInputDeltaEvent",
    "ResponseCustomToolCallInputDoneEvent",
    "ResponseReasoningTextDeltaEvent",
    "ResponseReasoningTextDoneEvent",
    "ResponseReasoningSummaryPartAddedEvent",
    "ResponseReasoningSummaryPartDoneEvent",
    "ResponseReasoningSummaryTextDeltaEvent",
    "ResponseReasoningSummaryTextDoneEvent",
]

# Tools that the server runs, their calls and what is stored there: refused by their `type`, so of no interest inside.
REFUSED = re.compile(
    "(FileSearch|WebSearch(Preview)?Tool|Computer|CodeInterpreter|ImageGen|LocalShell|FunctionShell|ApplyPatch|MCP|ToolSearch"
    "|Namespace|Program|AdditionalTools|Compaction|ToolChoiceTypes|ToolChoiceMCP|Specific|FunctionToolCallOutputResource"
    "|CustomToolCallOutputResource)"
)

# Removed or refused wherever they stand, so they are one line each.
WHOLE = {"Annotation", "LogProb", "Prompt"}


def leaves(document, schema, path, above):
    """Yields the path of every leaf below `schema`; `above` are the references on the way, against endless ones."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[-1]
        if REFUSED.match(name):
            return
        if name in WHOLE:
            yield path
            return
        if name in above:
            yield path
            return
        schema, above = document["components"]["schemas"][name], above | {name}
    found = False
    for word in ("allOf", "anyOf", "oneOf"):
        for part in schema.get(word, []):
            found = True
            yield from leaves(document, part, path, above)
    for name, part in schema.get("properties", {}).items():
        found = True
        yield from leaves(document, part, f"{path}/{name}", above)
    if isinstance(schema.get("items"), dict):
        found = True
        yield from leaves(document, schema["items"], f"{path}/[]", above)
    extra = schema.get("additionalProperties")
    if isinstance(extra, dict) and extra:
        found = True
        yield from leaves(document, extra, f"{path}/{{}}", above)
    if not found and schema.get("type") != "null":
        yield path


def main(file):
    opened = gzip.open(file, "rt") if file.endswith(".gz") else open(file)
    with opened as text:
        document = yaml.safe_load(text)
    print(f"# {document['info']['title']} {document['info']['version']}")
    for name in SCHEMAS:
        schema = {"$ref": f"#/components/schemas/{name}"}
        for path in sorted(set(leaves(document, schema, "", frozenset()))):
            print(name, path)


main(sys.argv[1])
