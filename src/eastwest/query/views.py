"""The flow table's views and the namespace parameter as conditions."""

from __future__ import annotations

import re
from typing import Final, Literal

from eastwest.query.errors import ParameterError
from eastwest.store.predicates import EVERYTHING, And, Compare, OneOf, Operator, Or, Predicate

View = Literal["cluster", "aws", "external"]

_INSIDE: Final = ("pod", "node", "service")
_OUTSIDE: Final = ("internet", "unknown")
_NAMESPACE: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


def view(name: View | None) -> Predicate:
    """cluster: both ends inside; aws: an end is an AWS service; external: an end is outside and not AWS, or unknown."""
    match name:
        case "cluster":
            return And((OneOf("src_kind", _INSIDE), OneOf("dst_kind", _INSIDE)))
        case "aws":
            return Or((Compare("src_kind", Operator.EQ, "aws"), Compare("dst_kind", Operator.EQ, "aws")))
        case "external":
            return Or((OneOf("src_kind", _OUTSIDE), OneOf("dst_kind", _OUTSIDE)))
        case None:
            return EVERYTHING


def namespaces(text: str | None) -> Predicate:
    """Edges with an end in one of the namespaces. Raises ParameterError for what cannot be a namespace."""
    names = tuple(part.strip() for part in (text or "").split(",") if part.strip())
    for name in names:
        if not _NAMESPACE.fullmatch(name):
            raise ParameterError("namespace", f"{name!r} cannot be a namespace (RFC 1123 label)")
    if not names:
        return EVERYTHING
    return Or((OneOf("src_namespace", names), OneOf("dst_namespace", names)))
