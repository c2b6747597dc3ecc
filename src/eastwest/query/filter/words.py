"""The words of the language: every column of an edge, and friendlier names for some."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from enum import Enum
from typing import Final

from eastwest.model.flow import EndKind, Protocol, Reporter, RoleSource
from eastwest.model.schema import BY_NAME, Column, Type
from eastwest.query.health import BUCKET_COLUMNS
from eastwest.store.verdicts import VERDICT, VERDICTS
from eastwest.store.where import NOT_OF_AN_EDGE

NOT_IN_AN_EDGE: Final = (
    "window_start_ns",
    "window_end_ns",
    "node",
    "pod_uid",
    "counted_in",
    "src_port",
    *NOT_OF_AN_EDGE,
)
"""Columns of single records that edges no longer hold."""


class Sort(Enum):
    """What may be compared with a word, and how."""

    TEXT = "text"
    NUMBER = "a number"
    SIZE = "a size"
    TIME = "a time"
    ADDRESS = "an address"
    PROTOCOL = "a protocol"


@dataclass(frozen=True, slots=True)
class Word:
    """A word that people write. Several columns: any of them fulfils a positive condition, none a negative one."""

    name: str
    columns: tuple[str, ...]
    sort: Sort
    doc: str
    nullable: bool
    values: tuple[str, ...] = ()  # all there can be; empty when they depend on the cluster


_KINDS: Final = tuple(k.value for k in EndKind)
_VALUES: Final = {
    "reporter": tuple(r.value for r in Reporter),
    "role_source": tuple(r.value for r in RoleSource),
    "protocol": tuple(p.name for p in Protocol),
    "src_kind": _KINDS,
    "dst_kind": _KINDS,
}


def _sort(column: Column) -> Sort:
    if column.name == "protocol":
        return Sort.PROTOCOL
    if column.unit == "bytes":
        return Sort.SIZE
    match column.type:
        case Type.STRING:
            return Sort.TEXT
        case Type.IP:
            return Sort.ADDRESS
        case Type.TIME:
            return Sort.TIME
        case _:
            return Sort.NUMBER


def _own(column: Column) -> Word:
    return Word(column.name, (column.name,), _sort(column), column.doc, column.nullable, _VALUES.get(column.name, ()))


def _alias(name: str, *columns: str) -> Word:
    first = BY_NAME[columns[0]]
    doc = first.doc if len(columns) == 1 else f"{name} of either end"
    return Word(name, columns, _sort(first), doc, first.nullable, _VALUES.get(columns[0], ()))


_WIRE: Final = tuple(
    Word(f"wire_bytes_{way}", (f"wire_bytes_{way}",), Sort.SIZE, f"bytes on the wire, {way}, derived", False)
    for way in ("forward", "reverse")
)
_ALIASES: Final = (
    *(
        _alias(name, f"src_{name}", f"dst_{name}")
        for name in (
            "namespace", "workload", "workload_kind", "pod", "zone", "region", "ip", "kind", "aws_service", "dns_name",
        )
    ),
    _alias("port", "dst_port"),
    _alias("proto", "protocol"),
    _alias("ns", "src_namespace", "dst_namespace"),
    _alias("src_ns", "src_namespace"),
    _alias("dst_ns", "dst_namespace"),
)  # fmt: skip


def _reasons(what: str, doc: str) -> tuple[Word, ...]:
    """Who decided: at either end, and at each."""
    ends = tuple(f"{side}_{what}_by" for side in ("egress", "ingress"))
    either = Word(f"{what}_by", ends, Sort.TEXT, f"tier, policy and rule that {doc}, at either end", True)
    return either, *(
        Word(e, (e,), Sort.TEXT, f"{either.doc[: -len('either end')]}{e.split('_')[0]}", True) for e in ends
    )


_DECIDED: Final = (
    Word(VERDICT, (VERDICT,), Sort.TEXT, "what the policies did: denied (nothing passed), partly, would_deny (audit), allowed", True, VERDICTS),
    *_reasons("denied", "denied packets, or would have"),
    *_reasons("allowed", "let packets pass"),
)  # fmt: skip

WORDS: Final[dict[str, Word]] = {
    word.name: word
    for word in (
        *(_own(c) for c in BY_NAME.values() if c.name not in (*NOT_IN_AN_EDGE, *BUCKET_COLUMNS)),
        *_WIRE,
        *_ALIASES,
        *_DECIDED,
    )
}


def nearest(name: str) -> str | None:
    """The word that was probably meant."""
    found = difflib.get_close_matches(name.lower(), WORDS, 1, 0.6)
    return found[0] if found else None
