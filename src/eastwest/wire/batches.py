"""Several batches as one body, and an answer for each of them. Knows nothing of what is in a batch (`batch` does).

body   = b"EWBN" + number of batches (u32, little-endian) + for each: length (u32) + the batch as `batch.frame` makes it
answer = {"answers": [{"status": 204}, {"status": 422, "reason": "…"}, …]}, in the order of the batches

A path of its own: a server that does not know it says 404 and has read nothing. docs/decisions/0162.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from eastwest.wire.header import BatchError

MAGIC: Final = b"EWBN"
PATH: Final = "/ingest/v1/batches"
CONTENT_TYPE: Final = "application/vnd.eastwest.batches"
MAX_BATCHES: Final = 128
REASON_CHARS: Final = 300
REPLY_LIMIT_BYTES: Final = 256 << 10
_COUNT: Final = struct.Struct("<4sI")
_LENGTH: Final = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class BatchAnswer:
    """What became of one batch: the status that it would have been answered with alone, and why."""

    status: int
    reason: str = ""


def join(batches: Sequence[bytes]) -> list[bytes]:
    """The pieces of one body, to be sent (or compressed) one after the other."""
    if not 0 < len(batches) <= MAX_BATCHES:
        raise ValueError(f"1 to {MAX_BATCHES} batches go into one body, not {len(batches)}")
    pieces = [_COUNT.pack(MAGIC, len(batches))]
    for batch in batches:
        pieces += (_LENGTH.pack(len(batch)), batch)
    return pieces


def split(body: bytes) -> list[bytes]:
    """The inverse of `join`. Raises BatchError that says where it goes wrong: then nothing of the body is to be taken."""
    if len(body) < _COUNT.size:
        raise BatchError(f"body of {len(body)} bytes is too short for several batches")
    magic, count = _COUNT.unpack_from(body)
    if magic != MAGIC:
        raise BatchError(f"body begins with {magic!r}, not {MAGIC!r}: not several eastwest batches")
    if not 0 < count <= MAX_BATCHES:
        raise BatchError(f"body says it holds {count} batches; 1 to {MAX_BATCHES} go into one")
    found, at = [], _COUNT.size
    for number in range(count):
        if at + _LENGTH.size > len(body):
            raise BatchError(f"body ends before batch {number} of {count}")
        (length,) = _LENGTH.unpack_from(body, at)
        at += _LENGTH.size
        if at + length > len(body):
            raise BatchError(f"batch {number} of {count} reaches past the end of a body of {len(body)} bytes")
        found.append(body[at : at + length])
        at += length
    if at != len(body):
        raise BatchError(f"{len(body) - at} bytes follow the last of {count} batches")
    return found


def answers_to_json(answers: Sequence[BatchAnswer]) -> bytes:
    """One object; reasons are cut to REASON_CHARS."""
    said = [{"status": a.status} | ({"reason": a.reason[:REASON_CHARS]} if a.reason else {}) for a in answers]
    return json.dumps({"answers": said}, separators=(",", ":")).encode()


def answers_from_json(raw: bytes, expected: int) -> list[BatchAnswer]:
    """`expected` answers. Raises ValueError for anything else: then nothing is known of any batch."""
    value = json.loads(raw)
    said = value.get("answers") if isinstance(value, dict) else None
    if not isinstance(said, list) or len(said) != expected:
        raise ValueError(f"expected {expected} answers")
    found = []
    for answer in said:
        if not isinstance(answer, dict) or type(answer.get("status")) is not int:
            raise ValueError("an answer has no status")
        found.append(BatchAnswer(answer["status"], str(answer.get("reason", ""))[:REASON_CHARS]))
    return found
