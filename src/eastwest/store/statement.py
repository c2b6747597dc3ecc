"""SQL text with its values kept apart: values are bound by the engine, never written into the text."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from eastwest.store.predicates import Value

INT64_MAX: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement and the values of its {name:Type} parameters, JSON-ready."""

    sql: str
    parameters: dict[str, Any] = field(default_factory=dict)


class Binder:
    """Collects the values of one statement and hands out placeholders."""

    def __init__(self) -> None:
        self.parameters: dict[str, Any] = {}

    def bind(self, value: Any, sql_type: str) -> str:
        """A placeholder for `value`."""
        name = f"p{len(self.parameters)}"
        self.parameters[name] = value
        return f"{{{name}:{sql_type}}}"

    def value(self, value: Value) -> str:
        """A placeholder with the type that `value` has."""
        return self.bind(_plain(value), _sql_type(value))

    def values(self, values: Sequence[Value]) -> str:
        """A placeholder for a list; all values have the type of the first."""
        return self.bind([_plain(v) for v in values], f"Array({_sql_type(values[0])})")

    def integer(self, value: int) -> str:
        return self.bind(value, "Int64")


def _plain(value: Value) -> str | int:
    if isinstance(value, ipaddress.IPv6Address):
        return str(value)
    return value


def _sql_type(value: Value) -> str:
    if isinstance(value, ipaddress.IPv6Address):
        return "IPv6"
    if isinstance(value, int):
        return "Int64" if value <= INT64_MAX else "UInt64"
    return "String"
