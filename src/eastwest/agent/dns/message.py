"""DNS messages: bytes to names, codes and addresses (RFC 1035, RFC 3596). No I/O, no clock; bounded on any input.

Knows nothing of packets or pods. Called by `transactions` with what the kernel copied, which may be cut short.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import Final

A: Final = 1
CNAME: Final = 5
AAAA: Final = 28

_HEADER: Final = struct.Struct("!6H")
_RECORD: Final = struct.Struct("!HHIH")
_IN: Final = 1
_MAX_NAME: Final = 255  # octets on the wire, RFC 1035 section 2.3.4
_MAX_QUESTIONS: Final = 16  # in practice there is one
_PLAIN: Final = re.compile(rb"[!-\-/-\[\]-~]*").fullmatch  # printable, neither space, dot nor backslash


class MalformedMessageError(ValueError):
    """The bytes are not a DNS message. The text says why."""


@dataclass(frozen=True, slots=True)
class Question:
    name: str  # lower case, without the final dot; the root is "."
    type: int


@dataclass(frozen=True, slots=True)
class Answer:
    """One A, AAAA or CNAME record of the answer section."""

    name: str
    type: int
    ttl_s: int
    address: bytes | None  # 16 bytes, IPv4 mapped; None for CNAME
    target: str | None  # of a CNAME


@dataclass(frozen=True, slots=True)
class Message:
    id: int
    is_response: bool
    opcode: int
    rcode: int  # the header's four bits; EDNS' upper bits are not read
    truncated: bool  # TC: the whole answer is to be asked for over TCP
    questions: tuple[Question, ...]
    answers: tuple[Answer, ...]
    complete: bool  # every announced question and answer was read


def parse(payload: bytes, *, cut: bool = False) -> Message:
    """Read one message, without TCP's length prefix.

    `cut`: the capture is shorter than the message; what ends beyond it is left out and `complete` is False. Without
    it a message that ends early raises MalformedMessageError, as does anything else that breaks RFC 1035.
    """
    if len(payload) < _HEADER.size:
        raise MalformedMessageError(f"{len(payload)} bytes: shorter than a header")
    ident, flags, n_questions, n_answers, _, _ = _HEADER.unpack_from(payload)
    questions: list[Question] = []
    answers: list[Answer] = []
    complete = True
    try:
        if n_questions > _MAX_QUESTIONS:
            raise MalformedMessageError(f"{n_questions} questions")
        at = _HEADER.size
        for _ in range(n_questions):
            at = _read_question(payload, at, questions)
        for _ in range(n_answers):
            at = _read_answer(payload, at, answers)
    except _EndError as end:
        if not cut:
            raise MalformedMessageError(str(end)) from None
        complete = False
    return Message(
        id=ident,
        is_response=bool(flags & 0x8000),
        opcode=flags >> 11 & 0xF,
        rcode=flags & 0xF,
        truncated=bool(flags & 0x0200),
        questions=tuple(questions),
        answers=tuple(answers),
        complete=complete,
    )


class _EndError(Exception):
    """The message goes on beyond the bytes at hand."""


def _read_question(payload: bytes, at: int, out: list[Question]) -> int:
    name, at = read_name(payload, at)
    if at + 4 > len(payload):
        raise _EndError(f"question ends beyond byte {len(payload)}")
    out.append(Question(name, int.from_bytes(payload[at : at + 2], "big")))
    return at + 4


def _read_answer(payload: bytes, at: int, out: list[Answer]) -> int:
    name, at = read_name(payload, at)
    if at + _RECORD.size > len(payload):
        raise _EndError(f"record ends beyond byte {len(payload)}")
    type_: int
    length: int
    type_, class_, ttl, length = _RECORD.unpack_from(payload, at)
    at += _RECORD.size
    end = at + length
    if end > len(payload):
        raise _EndError(f"record data ends beyond byte {len(payload)}")
    # The top bit of the class is mDNS' cache flush (RFC 6762 section 10.2); of a TTL, meaningless (RFC 2181 section 8).
    if class_ & 0x7FFF == _IN:
        _keep(payload, at, length, name, type_, 0 if ttl >> 31 else ttl, out)
    return end


def _keep(payload: bytes, at: int, length: int, name: str, type_: int, ttl: int, out: list[Answer]) -> None:
    data = payload[at : at + length]
    if type_ == A and length == 4:
        out.append(Answer(name, type_, ttl, b"\0" * 10 + b"\xff\xff" + data, None))
    elif type_ == AAAA and length == 16:
        out.append(Answer(name, type_, ttl, data, None))
    elif type_ == CNAME:
        target, end = read_name(payload, at)
        if end != at + length:
            raise MalformedMessageError("a CNAME's target is not as long as its record says")
        out.append(Answer(name, type_, ttl, None, target))
    elif type_ in (A, AAAA):
        raise MalformedMessageError(f"an address of {length} bytes")


def read_name(payload: bytes, at: int) -> tuple[str, int]:
    """The name at `at` and the offset after it.

    Each compression pointer must lead to before the name it ends (RFC 1035 section 4.1.4: a prior occurrence), so the
    walk ends. Bytes that are not plain text are written \\DDD (section 5.1).
    """
    labels: list[str] = []
    after = -1  # offset behind the first pointer
    barrier = at  # pointers must lead to before this
    octets = 1
    while True:
        if at >= len(payload):
            raise _EndError(f"name ends beyond byte {len(payload)}")
        length = payload[at]
        if length == 0:
            return ".".join(labels) or ".", at + 1 if after < 0 else after
        if length >= 0xC0:
            if at + 1 >= len(payload):
                raise _EndError(f"pointer ends beyond byte {len(payload)}")
            target = (length & 0x3F) << 8 | payload[at + 1]
            if after < 0:
                after = at + 2
            if not _HEADER.size <= target < barrier:
                raise MalformedMessageError(f"compression pointer at {at} to {target}")
            at = barrier = target
            continue
        if length > 63:
            raise MalformedMessageError(f"label type {length >> 6} at {at}")
        octets += length + 1
        if octets > _MAX_NAME:
            raise MalformedMessageError("name longer than 255 octets")
        label = payload[at + 1 : at + 1 + length]
        if len(label) < length:
            raise _EndError(f"label ends beyond byte {len(payload)}")
        labels.append(_text(label))
        at += length + 1


def _text(label: bytes) -> str:
    if _PLAIN(label):
        return label.decode("ascii").lower()
    return "".join(
        chr(byte).lower() if 0x21 <= byte <= 0x7E and byte not in b".\\" else f"\\{byte:03d}" for byte in label
    )
