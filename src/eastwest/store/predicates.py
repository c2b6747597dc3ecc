"""Conditions on the columns of an edge, as plain values: made by the filter language, compiled by `where`.

Two-valued: an unknown (null) column equals nothing, is in no network and is less than nothing, and the negation of any
of these is true for it.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from enum import StrEnum

Value = str | int | ipaddress.IPv6Address


class Operator(StrEnum):
    """How a column is compared with one value."""

    EQ = "="
    NE = "!="
    LT = "<"
    LE = "<="
    GT = ">"
    GE = ">="


@dataclass(frozen=True, slots=True)
class Compare:
    column: str
    operator: Operator
    value: Value


@dataclass(frozen=True, slots=True)
class OneOf:
    column: str
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Glob:
    """Text that matches a pattern of * and ?, whole and without regard to case."""

    column: str
    pattern: str


@dataclass(frozen=True, slots=True)
class InNetwork:
    """An address within [first, last], both inclusive, IPv4 mapped."""

    column: str
    first: ipaddress.IPv6Address
    last: ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class IsNull:
    column: str


@dataclass(frozen=True, slots=True)
class Not:
    inner: Predicate


@dataclass(frozen=True, slots=True)
class And:
    """True when empty."""

    parts: tuple[Predicate, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """False when empty."""

    parts: tuple[Predicate, ...]


Predicate = Compare | OneOf | Glob | InNetwork | IsNull | Not | And | Or

EVERYTHING = And(())


def both(*parts: Predicate) -> Predicate:
    """All of `parts`, with nested conjunctions opened up."""
    flat: list[Predicate] = []
    for part in parts:
        flat.extend(part.parts if isinstance(part, And) else (part,))
    return flat[0] if len(flat) == 1 else And(tuple(flat))
