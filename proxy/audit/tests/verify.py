#!/usr/bin/env python3
"""A second verifier for the audit journal, independent of the Rust one.

Usage: verify.py DIRECTORY        (needs the package `blake3` from PyPI)

It reads every segment in order and recomputes the chain from the bytes on disk. It shares nothing
with the product but the description of the format, so the two can only agree if both are right.
"""

import json
import pathlib
import re
import sys

from blake3 import blake3

GENESIS = "b3:" + blake3(b"portcullis audit journal v1").hexdigest()
FRAME = re.compile(rb'(\{"v":1,"seq":(\d+),.*,"prev":"(b3:[0-9a-f]{64})"),"hash":"(b3:[0-9a-f]{64})"\}')


class Bad(Exception):
    """A record that is not what was written."""


def no_repeats(pairs):
    """Builds an object, refusing a field that stands there twice."""
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise Bad("a field is repeated")
    return fields


class Journal:
    """The state of the chain and the books, record by record."""

    def __init__(self):
        self.seq, self.head = 0, GENESIS
        self.open, self.done = set(), set()
        self.counts = dict.fromkeys(["opened", "closed", "abandoned", "started", "sealed"], 0)
        self.sealed = False

    def take(self, line, first_of):
        """Checks one line; `first_of` is the segment's name on its first line."""
        frame = FRAME.fullmatch(line)
        if not frame:
            raise Bad("not a record")
        hashed, seq, prev, digest = frame.groups()
        if "b3:" + blake3(hashed).hexdigest() != digest.decode():
            raise Bad("changed")
        fields = json.loads(line, object_pairs_hook=no_repeats)
        if int(seq) != self.seq + 1 or fields["seq"] != self.seq + 1:
            raise Bad(f"record {seq.decode()} where {self.seq + 1} was due")
        if prev.decode() != self.head:
            raise Bad("does not continue the record before")
        if first_of and (first_of != f"{self.seq + 1:020}.jsonl" or fields["kind"] != "started"):
            raise Bad("wrong beginning of a segment")
        self.book(fields)
        self.seq, self.head = self.seq + 1, digest.decode()

    def book(self, fields):
        """Every close has its open, and no id is used twice between two starts."""
        kind, who = fields["kind"], fields.get("id")
        if self.sealed and kind != "started":
            raise Bad("follows the seal")
        self.sealed = kind == "sealed"
        self.counts[kind] = self.counts.get(kind, 0) + 1
        if kind == "started":
            if set(fields["open"]) != self.open:
                raise Bad("names other open requests")
            self.done.clear()
        elif kind == "opened":
            if who in self.open or who in self.done:
                raise Bad("opened twice")
            self.open.add(who)
        elif kind == "released":
            if who not in self.open:
                raise Bad("released without being open")
        elif kind in ("closed", "abandoned"):
            if who not in self.open:
                raise Bad("closed without being open")
            self.open.remove(who)
            self.done.add(who)


def main(directory):
    """Verifies a directory, prints one line, and returns the exit status."""
    segments = sorted(p for p in pathlib.Path(directory).iterdir() if re.fullmatch(r"\d{20}\.jsonl", p.name))
    journal = Journal()
    for path in segments:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                try:
                    if not line.endswith(b"\n"):
                        raise Bad("unfinished")
                    journal.take(line[:-1], path.name if number == 1 else None)
                except (Bad, ValueError, KeyError) as problem:
                    print(f"bad: {path.name}, line {number}: {problem}")
                    return 1
    counts = journal.counts
    print(
        f"sound: {journal.seq} records in {len(segments)} segments, {counts['opened']} opened, "
        f"{counts['closed']} closed, {counts['abandoned']} abandoned, {len(journal.open)} still open, "
        f"{'sealed' if journal.sealed else 'not sealed'}, head {journal.head}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
