"""DNS messages (RFC 1035, RFC 3596, RFC 2782): just what a cluster's server and a stub resolver exchange. Pure."""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

A: Final = 1
CNAME: Final = 5
AAAA: Final = 28
SRV: Final = 33
IN: Final = 1
NOERROR: Final = 0
FORMERR: Final = 1
NXDOMAIN: Final = 3
NOTIMP: Final = 4
UDP_LIMIT: Final = 512  # without EDNS; more is truncated and asked again over TCP


class BadMessage(ValueError):  # noqa: N818
    """Not a DNS message that this module understands."""


@dataclass(frozen=True, slots=True)
class Question:
    name: str  # lower case, without the trailing dot
    type: int
    raw: bytes  # as it stood in the query, to be echoed letter by letter


@dataclass(frozen=True, slots=True)
class Record:
    """An answer: `data` is an address for A and AAAA, a name for CNAME, (priority, weight, port, target) for SRV."""

    name: str
    type: int
    ttl_s: int
    data: str | tuple[int, int, int, str]


def encode_name(name: str) -> bytes:
    """Labels without compression. Raises BadMessage for a label that cannot be."""
    out = b""
    for label in name.rstrip(".").split("."):
        raw = label.encode("idna") if not label.isascii() else label.encode()
        if not 0 < len(raw) < 64:
            raise BadMessage(f"bad label in {name!r}")
        out += bytes((len(raw),)) + raw
    return out + b"\0"


def decode_name(message: bytes, at: int) -> tuple[str, int]:
    """The name at offset `at`, and the offset after it. Follows compression. Raises BadMessage."""
    labels: list[str] = []
    after: int | None = None
    for _ in range(128):
        if at >= len(message):
            break
        length = message[at]
        if length == 0:
            return ".".join(labels).lower(), after if after is not None else at + 1
        if length >= 0xC0:
            if at + 1 >= len(message):
                break
            after = after if after is not None else at + 2
            at = (length & 0x3F) << 8 | message[at + 1]
            continue
        labels.append(message[at + 1 : at + 1 + length].decode("latin-1"))
        at += 1 + length
    raise BadMessage("bad name")


def query(number: int, name: str, type_: int) -> bytes:
    """A recursive question with message id `number`."""
    return struct.pack(">HHHHHH", number, 0x0100, 1, 0, 0, 0) + encode_name(name) + struct.pack(">HH", type_, IN)


def parse_query(message: bytes) -> tuple[int, Question]:
    """The id and the one question of a query. Raises BadMessage."""
    if len(message) < 12:
        raise BadMessage("shorter than a header")
    number, flags, questions = struct.unpack_from(">HHH", message)
    if flags & 0x8000 or questions != 1:
        raise BadMessage("not a query with one question")
    name, at = decode_name(message, 12)
    if at + 4 > len(message):
        raise BadMessage("question cut short")
    type_, class_ = struct.unpack_from(">HH", message, at)
    if class_ != IN:
        raise BadMessage("not class IN")
    return number, Question(name, type_, message[12 : at + 4])


def answer(number: int, question: Question, code: int, records: Sequence[Record], limit: int | None) -> bytes:
    """A response; when longer than `limit` bytes (None = TCP) it is empty and marked truncated."""
    body = b"".join(_encode_record(r, question) for r in records)
    size = 12 + len(question.raw) + len(body)
    cut = limit is not None and size > limit
    flags = 0x8580 | code | (0x0200 if cut else 0)
    head = struct.pack(">HHHHHH", number, flags, 1, 0 if cut else len(records), 0, 0)
    return head + question.raw + (b"" if cut else body)


def _encode_record(record: Record, question: Question) -> bytes:
    name = b"\xc0\x0c" if record.name == question.name else encode_name(record.name)
    if record.type in (A, AAAA):
        data = ipaddress.ip_address(str(record.data)).packed
    elif isinstance(record.data, tuple):
        priority, weight, port, target = record.data
        data = struct.pack(">HHH", priority, weight, port) + encode_name(target)
    else:
        data = encode_name(record.data)
    return name + struct.pack(">HHIH", record.type, IN, record.ttl_s, len(data)) + data


def parse_answer(message: bytes, number: int) -> tuple[int, bool, list[Record]]:
    """Code, whether truncated, and the address and CNAME records of the response to query `number`. Raises BadMessage."""
    if len(message) < 12:
        raise BadMessage("shorter than a header")
    got, flags, questions, answers = struct.unpack_from(">HHHH", message)
    if got != number or not flags & 0x8000:
        raise BadMessage("not the answer to this query")
    at = 12
    for _ in range(questions):
        at = decode_name(message, at)[1] + 4
    records = []
    for _ in range(answers):
        name, at = decode_name(message, at)
        if at + 10 > len(message):
            raise BadMessage("record cut short")
        type_, _, ttl_s, length = struct.unpack_from(">HHIH", message, at)
        at += 10
        if type_ in (A, AAAA):
            records.append(Record(name, type_, ttl_s, str(ipaddress.ip_address(message[at : at + length]))))
        elif type_ == CNAME:
            records.append(Record(name, type_, ttl_s, decode_name(message, at)[0]))
        at += length
    return flags & 0xF, bool(flags & 0x0200), records
