"""What the scripted model says, whatever the wire format: a request's `model` chooses."""

import dataclasses
import json

TRIGGER = "PORTCULLIS-TEST-S1"
STORY = "Once upon a time, there was a gate."
BLOCKED_TEXT = f"It begins well. {TRIGGER} and goes on."
# Long enough that a part of it is released before the trigger comes.
LONG_BEGINNING = "All is well. " * 200
REDACTED_TEXT = "The key is PORTCULLIS-TEST-SECRET, keep it."
STRUCTURED = {"city": "Lisbon", "degrees": 21}
CITIES = ("Lisbon", "Porto")


@dataclasses.dataclass(frozen=True)
class Asked:
    """What the scripts need to know of a request."""

    model: str
    # The last message, or the text to be continued.
    text: str
    # The first tool on offer.
    tool: str | None = None
    # What the tools said, if that is what came last.
    results: tuple[str, ...] = ()


def say(asked, choice=0):
    """What the model says: `(text, tool calls as pairs of name and arguments)`."""
    if asked.model == "parrot":
        return asked.text + ("" if choice == 0 else f" ({choice})"), []
    if asked.model == "second-choice-says-a-trigger":
        return ("All is well." if choice == 0 else BLOCKED_TEXT), []
    if asked.model == "uses-tools":
        if asked.results:
            return "It is " + " and ".join(asked.results) + ".", []
        return None, [(asked.tool, {"city": city}) for city in CITIES]
    if asked.model == "uses-tools-badly":
        return None, [(asked.tool, {"city": TRIGGER}) for _ in CITIES]
    texts = {
        "says-a-trigger": BLOCKED_TEXT,
        "says-a-trigger-late": LONG_BEGINNING + BLOCKED_TEXT,
        "says-a-secret": REDACTED_TEXT,
        "speaks-json": json.dumps(STRUCTURED),
    }
    return texts.get(asked.model, STORY), []


def pieces(text, size=5):
    """Small enough that every word and every argument is split."""
    return [text[at : at + size] for at in range(0, len(text), size)]
