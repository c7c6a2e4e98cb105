#!/usr/bin/env python3
"""A second verifier for the audit journal, independent of the Rust one.

Usage: verify.py DIRECTORY [KEY [ANCHORS]]    (needs the packages `blake3` and `cryptography` from PyPI)

It reads every segment in order and recomputes the chain, the Merkle trees and the signatures from the bytes on disk. It
shares nothing with the product but the description of the format, so the two can only agree if both are right. KEY is the
public key that must have signed, `ed25519:...`; without it the one in `journal.pub` is taken. ANCHORS is a file of
checkpoints that were noted elsewhere.
"""

import datetime
import json
import pathlib
import re
import sys

from blake3 import blake3
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

GENESIS = "b3:" + blake3(b"portcullis audit journal v1").hexdigest()
FRAME = re.compile(rb'(\{"v":1,"seq":(\d+),.*,"prev":"(b3:[0-9a-f]{64})"),"hash":"(b3:[0-9a-f]{64})"\}')
PER_REQUEST = ("released", "examined", "closed", "abandoned")
# How long after a checkpoint a record may be dated that none covers yet: one is signed every second.
UNSIGNED = datetime.timedelta(seconds=5)


class Bad(Exception):
    """A record that is not what was written."""


def no_repeats(pairs):
    """Builds an object, refusing a field that stands there twice."""
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise Bad("a field is repeated")
    return fields


def check_signature(key, signature, lines):
    """Checks an Ed25519 signature of lines of text."""
    message = "".join(f"{line}\n" for line in lines).encode()
    public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(key.removeprefix("ed25519:")))
    if not re.fullmatch("[0-9a-f]{128}", signature):
        raise Bad("wrong signature")
    try:
        public.verify(bytes.fromhex(signature), message)
    except InvalidSignature:
        raise Bad("wrong signature") from None


def checkpoint_lines(seq, digest, fields):
    """What a checkpoint signs."""
    return ["portcullis audit checkpoint v1", seq, digest, fields["segment"], fields["root"], fields["time"]]


def merkle_root(leaves):
    """RFC 6962, 2.1, with BLAKE3."""
    if len(leaves) < 2:
        return blake3(b"\0" + leaves[0]).digest() if leaves else blake3(b"").digest()
    half = 1 << (len(leaves) - 1).bit_length() - 1
    return blake3(b"\1" + merkle_root(leaves[:half]) + merkle_root(leaves[half:])).digest()


class Journal:
    """The state of the chain and the books, record by record."""

    def __init__(self, key, noted):
        self.key, self.noted = key, noted
        self.seq, self.head = 0, GENESIS
        self.open, self.done = set(), set()
        self.counts = {}
        self.sealed, self.signed_end, self.open_unknown = False, False, False
        self.segment, self.leaves = 0, []
        # When the last checkpoint was signed, and the first record behind it that is dated too long after it.
        self.signed_at, self.uncovered = None, None

    def removed(self, path):
        """Takes in the notes about segments that are gone."""
        for line in path.read_text().splitlines() if path.exists() else []:
            note = json.loads(line, object_pairs_hook=no_repeats)
            if note["first"] != self.seq + 1 or note["prev"] != self.head or note["last"] < note["first"]:
                raise Bad("the note does not continue what comes before")
            if self.key and note["key"] != self.key:
                raise Bad("signed by somebody else")
            values = [note[name] for name in ("first", "last", "prev", "hash", "time")]
            # JSON as the product writes a string; reasons are plain words.
            lines = ["portcullis audit removed v1", *values, json.dumps(note["why"], ensure_ascii=False)]
            check_signature(note["key"], note["signature"], lines)
            self.seq, self.head, self.open_unknown = note["last"], note["hash"], True

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
        if first_of:
            if first_of != f"{self.seq + 1:020}.jsonl" or fields["kind"] != "started":
                raise Bad("wrong beginning of a segment")
            self.segment, self.leaves = self.seq + 1, []
        if fields["kind"] == "checkpoint":
            self.checkpoint(fields)
        self.book(fields)
        self.seq, self.head = self.seq + 1, digest.decode()
        self.date(fields)
        self.leaves.append(bytes.fromhex(self.head.removeprefix("b3:")))
        self.signed_end = fields["kind"] == "checkpoint"
        if self.noted.get(self.seq, self.head) != self.head:
            raise Bad("another record was noted elsewhere")
        if self.seq - 1 in self.noted and not self.signed_end:
            raise Bad("a checkpoint was noted elsewhere")

    def checkpoint(self, fields):
        """A checkpoint is of everything before it, signed by whoever must have."""
        if self.key and fields["key"] != self.key:
            raise Bad("signed by somebody else")
        if fields["segment"] != self.segment or fields["root"] != "b3:" + merkle_root(self.leaves).hex():
            raise Bad("the checkpoint is of another segment")
        check_signature(fields["key"], fields["signature"], checkpoint_lines(self.seq, self.head, fields))

    def date(self, fields):
        """What no checkpoint covers must not be dated long after the last one. A start may be cut before its own."""
        time = datetime.datetime.fromisoformat(fields["time"])
        if fields["kind"] == "checkpoint":
            self.signed_at, self.uncovered = time, None
        elif fields["kind"] not in ("started", "abandoned") and self.uncovered is None:
            if self.signed_at is None or time > self.signed_at + UNSIGNED:
                self.uncovered = self.seq

    def book(self, fields):
        """Every close has its open, and no id is used twice between two starts."""
        kind, who = fields["kind"], fields.get("id")
        if self.sealed and kind not in ("started", "checkpoint"):
            raise Bad("follows the seal")
        self.sealed = kind == "sealed" or (self.sealed and kind == "checkpoint")
        self.counts[kind] = self.counts.get(kind, 0) + 1
        if kind == "started":
            if set(fields["open"]) != self.open and not self.open_unknown:
                raise Bad("names other open requests")
            self.open, self.open_unknown = set(fields["open"]), False
            self.done.clear()
        elif kind == "opened":
            if who in self.open or who in self.done:
                raise Bad("opened twice")
            self.open.add(who)
        elif kind in PER_REQUEST:
            if who not in self.open:
                raise Bad(f"{kind} without being open")
            if kind in ("closed", "abandoned"):
                self.open.remove(who)
                self.done.add(who)


def segments_of(directory, gone):
    """The segments that a note says were removed and are still there, and those behind them, oldest first."""
    paths = sorted(path for path in directory.iterdir() if re.fullmatch(r"\d{20}\.jsonl", path.name))
    is_gone = lambda path: int(path.name[:20]) <= gone
    return [path for path in paths if is_gone(path)], [path for path in paths if not is_gone(path)]


def check_left_over(paths, journal):
    """What an interrupted removal has left must be what its note says is gone."""
    if not paths:
        return
    with paths[0].open("rb") as lines:
        first = FRAME.fullmatch(lines.readline().rstrip(b"\n"))
    if not first:
        raise Bad(f"{paths[0].name} was removed, and is no segment")
    left = Journal(None, {})
    left.seq, left.head, left.open_unknown = int(first[2]) - 1, first[3].decode(), True
    for path in paths:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                left.take(line.rstrip(b"\n"), path.name if number == 1 else None)
    if (left.seq, left.head) != (journal.seq, journal.head):
        raise Bad(f"{paths[0].name} was removed, and is not what the note says")


def read_anchors(path, key):
    """Number and hash of the records that were noted elsewhere."""
    noted = {}
    for line in pathlib.Path(path).read_text().splitlines():
        fields = json.loads(line, object_pairs_hook=no_repeats)
        if key and fields["key"] != key:
            raise Bad("the note elsewhere was signed by somebody else")
        check_signature(fields["key"], fields["signature"], checkpoint_lines(fields["seq"], fields["hash"], fields))
        noted[fields["seq"]] = fields["hash"]
    return noted


def read(directory, key, anchors):
    """Reads all of it; the journal, how many segments there are, and what is wrong, if anything is."""
    where, number, segments = "beginning", 0, []
    journal = Journal(key, {})
    try:
        journal.noted = read_anchors(anchors, key) if anchors else {}
        journal.removed(directory / "removed.jsonl")
        left_over, segments = segments_of(directory, journal.seq)
        check_left_over(left_over, journal)
        for path in segments:
            where, before = path.name, journal.seq
            with path.open("rb") as lines:
                for number, line in enumerate(lines, 1):
                    if not line.endswith(b"\n"):
                        raise Bad("unfinished")
                    journal.take(line[:-1], path.name if number == 1 else None)
            if path != segments[-1] and journal.seq == before:
                raise Bad("a segment without records")
            if path != segments[-1] and key and not journal.signed_end:
                raise Bad("the segment does not end in a checkpoint")
        if key and journal.uncovered:
            raise Bad(f"nothing signed covers record {journal.uncovered}")
        if max(journal.noted, default=-1) >= journal.seq:
            raise Bad("a record that was noted elsewhere is not here")
        if not segments:
            raise Bad("there is no journal")
    except (Bad, ValueError, KeyError, TypeError) as problem:
        return journal, segments, f"{where}, line {number}: {problem}"
    return journal, segments, None


def main(directory, key=None, anchors=None):
    """Verifies a directory, prints one line, and returns the exit status."""
    directory = pathlib.Path(directory)
    public = directory / "journal.pub"
    if not key and public.exists():
        key = public.read_text().strip()
    journal, segments, problem = read(directory, key, anchors)
    if problem:
        print(f"bad: {problem}")
        return 1
    count = lambda kind: journal.counts.get(kind, 0)
    sealed = journal.sealed and (journal.signed_end or not key)
    print(
        f"sound: {sum(journal.counts.values())} records in {len(segments)} segments, {count('opened')} opened, "
        f"{count('closed')} closed, {count('abandoned')} abandoned, {len(journal.open)} still open, "
        f"{'sealed' if sealed else 'not sealed'}, head {journal.head}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
