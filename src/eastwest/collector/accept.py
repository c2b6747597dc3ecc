"""Whether a batch may come in at all: its token, its shape, its clock. Pure; the route asks before anything is kept."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from eastwest.model.batch import BatchHeader
from eastwest.model.flow import Reporter, RoleSource
from eastwest.runtime.tokens import speaks_for
from eastwest.wire import batches
from eastwest.wire.decode import BatchError, decode

MAX_BODY_BYTES: Final = 128 << 20
"""Uncompressed; a batch of 500,000 records is about 100 MB."""

MAX_AHEAD_NS: Final = 3_600_000_000_000
MAX_NAME_CHARS: Final = 253
_WORDS: Final = {
    "reporter": {r.value for r in Reporter},
    "role_source": {r.value for r in RoleSource},
}


class RefusedError(Exception):
    """Not this batch: an HTTP status, a cause to count, and the reason in words."""

    def __init__(self, status: int, cause: str, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.cause = cause


def no_token() -> RefusedError:
    return RefusedError(401, "no_token", "send the node's token as: Authorization: Bearer TOKEN")


@dataclass(frozen=True, slots=True)
class Accepted:
    """A batch that is what it says."""

    header: BatchHeader
    records: pa.Table
    received_at_ns: int


def inflate(body: bytes, encoding: str | None) -> bytes:
    """Undo the content encoding, never beyond MAX_BODY_BYTES."""
    if encoding in (None, "", "identity"):
        if len(body) > MAX_BODY_BYTES:
            raise RefusedError(413, "too_large", f"the body is longer than {MAX_BODY_BYTES} bytes")
        return body
    if encoding != "gzip":
        raise RefusedError(415, "encoding", f"content encoding {encoding!r} is not understood; send gzip or none")
    inflater = zlib.decompressobj(wbits=31)
    try:
        plain = inflater.decompress(body, MAX_BODY_BYTES + 1)
    except zlib.error as error:
        raise RefusedError(422, "malformed", f"the body is not gzip: {error}") from None
    if len(plain) > MAX_BODY_BYTES:
        raise RefusedError(413, "too_large", f"the body inflates to more than {MAX_BODY_BYTES} bytes")
    if not inflater.eof or inflater.unused_data:
        raise RefusedError(422, "malformed", "the gzip stream is cut short or has something behind it")
    return plain


def accept(body: bytes, encoding: str | None, token: str | None, secret: bytes, now_ns: int) -> Accepted:
    """A checked batch. Raises RefusedError; whoever holds no token learns nothing about the batch."""
    if not token:
        raise no_token()
    return _accept(inflate(body, encoding), token, secret, now_ns)


def accept_several(
    body: bytes, encoding: str | None, token: str | None, secret: bytes, now_ns: int
) -> list[Accepted | RefusedError]:
    """Each batch of a body of several, or why it is refused: one does not decide about another. Raises RefusedError for the
    whole."""
    if not token:
        raise no_token()
    try:
        found = batches.split(inflate(body, encoding))
    except BatchError as error:
        raise RefusedError(422, "malformed", str(error)) from None
    return [_accept_or_reason(one, token, secret, now_ns) for one in found]


def _accept_or_reason(body: bytes, token: str | None, secret: bytes, now_ns: int) -> Accepted | RefusedError:
    try:
        return _accept(body, token, secret, now_ns)
    except RefusedError as refused:
        return refused


def _accept(plain: bytes, token: str | None, secret: bytes, now_ns: int) -> Accepted:
    try:
        header, records = decode(plain)
    except BatchError as error:
        raise RefusedError(422, "malformed", str(error)) from None
    if not speaks_for(secret, token or "", header.cluster, header.node):
        raise RefusedError(
            403,
            "wrong_token",
            f"this token does not speak for node {header.node!r} of cluster {header.cluster!r}; "
            f"`eastwest server token --cluster {header.cluster} --node {header.node}` prints the one that does",
        )
    check(header, records, now_ns)
    return Accepted(header, records, now_ns)


def check(header: BatchHeader, records: pa.Table, now_ns: int) -> None:
    """Everything `decode` cannot know. Raises RefusedError with status 422."""
    if max(len(header.cluster), len(header.node), len(header.boot_id)) > MAX_NAME_CHARS or not header.boot_id:
        raise _malformed(f"cluster, node and boot_id have 1 to {MAX_NAME_CHARS} characters")
    start, end = header.window_start_ns, header.window_end_ns
    if start >= end:
        raise _malformed(f"window_start_ns {start} is not before window_end_ns {end}")
    if end > now_ns + MAX_AHEAD_NS:
        ahead = (end - now_ns) / 1e9
        raise RefusedError(
            422, "clock", f"the window ends {ahead:.0f} s in the future: check the clock of {header.node}"
        )
    if not records.num_rows:
        return
    for name, expected in (("cluster", header.cluster), ("node", header.node)):
        if pc.unique(records.column(name)).to_pylist() != [expected]:
            raise _malformed(f"column {name} holds other values than the header's {expected!r}")
    for name, words in _WORDS.items():
        strange = set(pc.unique(records.column(name)).to_pylist()) - words
        if strange:
            raise _malformed(
                f"column {name} holds {min(map(str, strange))!r}; expected one of {', '.join(sorted(words))}"
            )
    first = pc.min(records.column("window_start_ns")).as_py()
    last = pc.max(records.column("window_end_ns")).as_py()
    if first < start or last > end:
        raise _malformed(f"records span [{first}, {last}), outside of the header's window [{start}, {end})")


def _malformed(reason: str) -> RefusedError:
    return RefusedError(422, "malformed", reason)
