"""Predicates as SQL conditions. Column names come from the schema; all values are bound."""

from __future__ import annotations

import re
from typing import Final

from eastwest.model.schema import BY_NAME, Type
from eastwest.store import verdicts
from eastwest.store.predicates import (
    And,
    Compare,
    Glob,
    InNetwork,
    IsNull,
    Not,
    OneOf,
    Operator,
    Or,
    Predicate,
    both,
)
from eastwest.store.questions import Range
from eastwest.store.statement import Binder

DERIVED: Final = {"wire_bytes_forward": Type.U64, "wire_bytes_reverse": Type.U64} | verdicts.DERIVED
"""Columns of an edge that are computed and not stored."""
NOT_OF_AN_EDGE: Final = ("allowed_by", "denied_by")
"""Columns of a report that an edge holds once for each end."""

_PUSHED: Final = {"src_ip", "dst_ip", "protocol", "dst_port", "cluster"}
_NAMED: Final = re.compile(r"(src|dst)_(namespace|workload|workload_kind|pod)")


def column(name: str) -> str:
    """The name itself, once it is known to be a column. Raises KeyError otherwise: no other text reaches the SQL."""
    if name not in BY_NAME and name not in DERIVED:
        raise KeyError(name)
    return name


def type_of(name: str) -> Type:
    """The type of a column of an edge. Raises KeyError for other names."""
    return DERIVED[name] if name in DERIVED else BY_NAME[name].type


def like(pattern: str) -> str:
    """A glob of * and ? as a LIKE pattern."""
    text = pattern.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return text.replace("*", "%").replace("?", "_")


def condition(predicate: Predicate, binder: Binder) -> str:
    """SQL that is 1 or 0 for every row, never NULL."""
    match predicate:
        case Compare(name, Operator.NE, value):
            return f"ifNull({column(name)} != {binder.value(value)}, 1)"
        case Compare(name, operator, value):
            return f"ifNull({column(name)} {operator} {binder.value(value)}, 0)"
        case OneOf(name, values):
            return f"ifNull(has({binder.values(values)}, {column(name)}), 0)" if values else "0"
        case Glob(name, pattern):
            return f"ifNull({column(name)} ILIKE {binder.bind(like(pattern), 'String')}, 0)"
        case InNetwork(name, first, last):
            text = column(name)
            return f"ifNull({text} >= {binder.value(first)} AND {text} <= {binder.value(last)}, 0)"
        case IsNull(name):
            return f"isNull({column(name)})"
        case Not(inner):
            return f"(NOT {condition(inner, binder)})"
        case And(parts):
            return "(" + (" AND ".join(condition(p, binder) for p in parts) or "1") + ")"
        case Or(parts):
            return "(" + (" OR ".join(condition(p, binder) for p in parts) or "0") + ")"


def early(predicate: Predicate) -> Predicate:
    """The part that may be applied to single reports, before they become edges, without changing the answer.

    Addresses, protocol and port are the same in all reports of an edge. A name may be missing from one of them, so a
    condition on names is early only when a missing name cannot fulfil it.
    """
    parts = predicate.parts if isinstance(predicate, And) else (predicate,)
    return both(*(p for p in parts if _is_early(p)))


def _is_early(predicate: Predicate) -> bool:
    match predicate:
        case Compare(name, operator, _):
            return name in _PUSHED or (operator is not Operator.NE and _NAMED.fullmatch(name) is not None)
        case OneOf(name, _) | Glob(name, _):
            return name in _PUSHED or _NAMED.fullmatch(name) is not None
        case InNetwork(name):
            return name in _PUSHED
        case Or(parts):
            return all(_is_early(p) for p in parts)
        case And(parts):
            return all(_is_early(p) for p in parts)
        case Not(inner):
            return _only_pushed(inner)
        case IsNull():
            return False


def _only_pushed(predicate: Predicate) -> bool:
    match predicate:
        case Compare(name) | OneOf(name) | Glob(name) | InNetwork(name) | IsNull(name):
            return name in _PUSHED
        case Not(inner):
            return _only_pushed(inner)
        case And(parts) | Or(parts):
            return all(_only_pushed(p) for p in parts)


def within(range_: Range, binder: Binder) -> str:
    """Windows that begin in a range, of flows and of batches."""
    start, end = binder.integer(range_.start_ns), binder.integer(range_.end_ns)
    return f"window_start_ns >= {start} AND window_start_ns < {end}"
