"""Queries and answers put together: one `Lookup` per question asked. Events in, lookups out; time comes with events.

The key is the interface, the 5-tuple and the message id (RFC 5452 section 3), so that a server's and a client's view on
one node are two lookups, told apart by `from_pod`. Everything that is not a lookup is counted.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from eastwest.agent.dns.message import Answer, MalformedMessageError, Message, parse

_STANDARD_QUERY: Final = 0


@dataclass(frozen=True, slots=True)
class Sighting:
    """One DNS message at a pod's interface. Addresses are 16 bytes, IPv4 mapped."""

    now_ns: int
    ifindex: int
    src: bytes
    src_port: int
    dst: bytes
    dst_port: int
    from_pod: bool
    to_server: bool
    tcp: bool
    cut: bool
    payload: bytes


@dataclass(frozen=True, slots=True)
class Lookup:
    """One question and what became of it. `rcode` None = no answer; `latency_ns` None = not known."""

    asked_ns: int
    ifindex: int
    from_pod: bool  # the interface's pod asked; False: it was asked
    client: bytes
    server: bytes
    server_port: int
    tcp: bool
    name: str
    type: int
    rcode: int | None
    latency_ns: int | None
    retries: int
    truncated: bool
    answers: tuple[Answer, ...] = ()


@dataclass(slots=True)
class Counts:
    """What was seen and did not become a lookup."""

    malformed: int = 0
    other_opcodes: int = 0  # updates, notifications
    unmatched: int = 0  # answers whose query was not seen; they still make a lookup
    forgotten: int = 0  # queries given up because too many were waiting


_Key = tuple[int, bytes, int, bytes, int, bool, int]


@dataclass(slots=True)
class _Asked:
    now_ns: int
    from_pod: bool
    name: str
    type: int
    retries: int = 0


@dataclass(slots=True)
class Transactions:
    """Pairs sightings. `patience_ns`: how long a query may wait; `max_waiting` bounds memory (about 300 bytes each)."""

    patience_ns: int = 5_000_000_000
    max_waiting: int = 32_768
    counts: Counts = field(default_factory=Counts)
    _waiting: dict[_Key, _Asked] = field(default_factory=dict)

    def see(self, sighting: Sighting) -> Lookup | None:
        """Take one message; a lookup when it answers a question."""
        try:
            message = _parse_but_id(sighting.payload[2:], sighting.cut)
        except MalformedMessageError:
            self.counts.malformed += 1
            return None
        ident = int.from_bytes(sighting.payload[:2], "big")
        if message.opcode != _STANDARD_QUERY:
            self.counts.other_opcodes += 1
            return None
        if message.is_response:
            return self._answered(sighting, ident, message)
        self._asked(sighting, ident, message)
        return None

    def expire(self, now_ns: int) -> Iterator[Lookup]:
        """Lookups whose answer did not come within `patience_ns`, oldest first."""
        for key, asked in list(self._waiting.items()):
            if now_ns - asked.now_ns < self.patience_ns:
                break  # in order of arrival
            del self._waiting[key]
            yield _lookup(key, asked, None, None)

    def dump(self, limit_bytes: int) -> tuple[bytes, int]:
        """Questions that wait for their answer, for a successor's `load`; and how many of the oldest did not fit."""
        rows = [
            [
                key[0],
                key[1].hex(),
                key[2],
                key[3].hex(),
                *key[4:],
                asked.now_ns,
                asked.from_pod,
                asked.name,
                asked.type,
                asked.retries,
            ]
            for key, asked in self._waiting.items()
        ]
        left_out = 0
        while len(raw := json.dumps(rows).encode()) > limit_bytes:
            half = len(rows) // 2 + 1
            left_out, rows = left_out + half, rows[half:]
        return raw, left_out

    def load(self, raw: bytes) -> None:
        """Go on with what a predecessor's `dump` told."""
        for ifindex, src, src_port, dst, dst_port, tcp, ident, *asked in json.loads(raw or b"[]"):
            key = (ifindex, bytes.fromhex(src), src_port, bytes.fromhex(dst), dst_port, tcp, ident)
            self._waiting[key] = _Asked(*asked)

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def _asked(self, sighting: Sighting, ident: int, message: Message) -> None:
        if not message.questions:
            self.counts.malformed += 1
            return
        s = sighting
        key = (s.ifindex, s.src, s.src_port, s.dst, s.dst_port, s.tcp, ident)
        question = message.questions[0]
        before = self._waiting.get(key)
        if before is not None and (before.name, before.type) == (question.name, question.type):
            before.retries += 1
            return
        self._waiting.pop(key, None)  # the port and id were used again: the new question goes to the end
        if len(self._waiting) >= self.max_waiting:
            del self._waiting[next(iter(self._waiting))]
            self.counts.forgotten += 1
        self._waiting[key] = _Asked(s.now_ns, s.from_pod, question.name, question.type)

    def _answered(self, sighting: Sighting, ident: int, message: Message) -> Lookup | None:
        s = sighting
        key = (s.ifindex, s.dst, s.dst_port, s.src, s.src_port, s.tcp, ident)
        asked = self._waiting.get(key)
        if asked is not None and _fits(asked, message):
            del self._waiting[key]
            return _lookup(key, asked, message, s.now_ns)
        self.counts.unmatched += 1
        if not message.questions:
            return None
        question = message.questions[0]
        return _lookup(key, _Asked(s.now_ns, not s.from_pod, question.name, question.type), message, None)


@lru_cache(maxsize=1024)
def _parse_but_id(rest: bytes, cut: bool) -> Message:
    """The message without its id, which is 0 here: pods ask the same questions again and again."""
    return parse(b"\0\0" + rest, cut=cut)


def _fits(asked: _Asked, message: Message) -> bool:
    """Whether the answer repeats the question, when it holds one (an error may come without)."""
    if not message.questions:
        return True
    question = message.questions[0]
    return (asked.name, asked.type) == (question.name, question.type)


def _lookup(key: _Key, asked: _Asked, message: Message | None, answered_ns: int | None) -> Lookup:
    ifindex, client, _, server, server_port, tcp, _ = key
    return Lookup(
        asked_ns=asked.now_ns,
        ifindex=ifindex,
        from_pod=asked.from_pod,
        client=client,
        server=server,
        server_port=server_port,
        tcp=tcp,
        name=asked.name,
        type=asked.type,
        rcode=None if message is None else message.rcode,
        latency_ns=None if answered_ns is None else max(0, answered_ns - asked.now_ns),
        retries=asked.retries,
        truncated=message is not None and message.truncated,
        answers=() if message is None else message.answers,
    )
