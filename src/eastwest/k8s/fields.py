"""Reading one object's fields with their types; every mismatch becomes a `Problem` that names the field.

The parsers of each kind use it. Reading never raises: a field of the wrong type counts as missing, and `Reader.failed`
says that the object is not to be trusted.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from eastwest.k8s.raw import FieldPath, Problem, RawObject, Severity
from eastwest.model.flow import IpNetwork


@dataclass(slots=True)
class Reader:
    """One object under way, and what was found wrong with it."""

    raw: RawObject
    problems: list[Problem]
    failed: bool = False

    def top(self) -> Fields:
        return Fields(self, self.raw.body if isinstance(self.raw.body, dict) else {})

    def say(self, severity: Severity, path: FieldPath, message: str) -> None:
        self.problems.append(self.raw.problem(severity, path, message))
        self.failed = self.failed or severity == "error"


@dataclass(slots=True)
class Fields:
    """A mapping inside an object, and where it stands."""

    reader: Reader
    values: dict[str, Any]
    path: FieldPath = field(default=())

    def __contains__(self, key: str) -> bool:
        """Whether the field is there and not null."""
        return self.values.get(key) is not None

    def error(self, key: str | None, message: str) -> None:
        self.reader.say("error", self.path if key is None else (*self.path, key), message)

    def known(self, keys: Collection[str]) -> None:
        """Refuse fields the API does not have (a misspelt `from` would allow everyone)."""
        for key in self.values:
            if key not in keys:
                self.error(key, f"unknown field; known here: {', '.join(sorted(keys))}")

    def text(self, key: str, default: str = "") -> str:
        value = self.values.get(key)
        if value is None:
            return default
        if not isinstance(value, str):
            self.error(key, f"must be text, not {_word(value)}{_quote_hint(value)}")
            return default
        return value

    def choice(self, key: str, choices: Collection[str], default: str) -> str:
        value = self.text(key, default)
        if value not in choices:
            self.error(key, f"{value!r} is not one of {', '.join(choices)}")
            return default
        return value

    def integer(self, key: str, low: int, high: int) -> int | None:
        """A whole number within [low, high]; None when missing or wrong."""
        value = self.values.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int):
            self.error(key, f"must be a whole number, not {_word(value)}")
            return None
        if not low <= value <= high:
            self.error(key, f"{value} is not within {low}-{high}")
            return None
        return value

    def boolean(self, key: str) -> bool:
        value = self.values.get(key)
        if value is None:
            return False
        if not isinstance(value, bool):
            self.error(key, f"must be true or false, not {_word(value)}")
            return False
        return value

    def inner(self, key: str) -> Fields:
        """The mapping at `key`; an empty one when it is missing or null."""
        value = self.values.get(key)
        if value is not None and not isinstance(value, dict):
            self.error(key, f"must be a mapping, not {_word(value)}")
            value = None
        return Fields(self.reader, value or {}, (*self.path, key))

    def elements(self, key: str) -> list[Any]:
        """The list at `key` as it is; empty when missing or null."""
        value = self.values.get(key)
        if value is None:
            return []
        if not isinstance(value, list):
            self.error(key, f"must be a list, not {_word(value)}")
            return []
        return value

    def items(self, key: str) -> list[Fields]:
        """The list of mappings at `key`; a null element is an empty mapping, as in the API."""
        out = []
        for index, value in enumerate(self.elements(key)):
            path = (*self.path, key, index)
            if value is not None and not isinstance(value, dict):
                self.reader.say("error", path, f"must be a mapping, not {_word(value)}")
                continue
            out.append(Fields(self.reader, value or {}, path))
        return out

    def texts(self, key: str) -> list[str]:
        """The list of texts at `key`."""
        out = []
        for index, value in enumerate(self.elements(key)):
            if isinstance(value, str):
                out.append(value)
            else:
                self.reader.say(
                    "error", (*self.path, key, index), f"must be text, not {_word(value)}{_quote_hint(value)}"
                )
        return out

    def mapping(self, key: str) -> dict[str, str]:
        """Text to text (labels, annotations), sorted by key."""
        out = {}
        for name, value in self.inner(key).values.items():
            if isinstance(value, str):
                out[str(name)] = value
            elif value is None:
                out[str(name)] = ""
            else:
                self.reader.say(
                    "error", (*self.path, key, name), f"must be text, not {_word(value)}{_quote_hint(value)}"
                )
        return dict(sorted(out.items()))


def canonical_ip(text: str) -> str | None:
    """The canonical text of an address (IPv4-mapped as IPv4); None when it is none."""
    try:
        ip = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return str(mapped or ip)


def network(text: str) -> IpNetwork | None:
    """A CIDR as the API server reads it: host bits are cut, leading zeros are decimal; None when it is none."""
    address, slash, length = text.partition("/")
    if not slash or not length.isascii() or not length.isdigit():
        return None
    if ":" not in address:
        address = ".".join(part.lstrip("0") or "0" if part else "" for part in address.split("."))
    try:
        net = ipaddress.ip_network(f"{address}/{int(length)}", strict=False)
    except ValueError:
        return None
    if isinstance(net, ipaddress.IPv6Network) and net.prefixlen >= 96 and net.network_address.ipv4_mapped:
        return ipaddress.IPv4Network((net.network_address.ipv4_mapped, net.prefixlen - 96))
    return net


def _word(value: Any) -> str:
    """A value in the reader's words: `the number 1.1`, `a list`."""
    if isinstance(value, bool):
        return f"the boolean {str(value).lower()}"
    if isinstance(value, (int, float)):
        return f"the number {value}"
    if isinstance(value, str):
        return f"the text {value[:60]!r}"
    return "a list" if isinstance(value, list) else "a mapping" if isinstance(value, dict) else "null"


def _quote_hint(value: Any) -> str:
    return " (put it in quotes)" if isinstance(value, (bool, int, float)) else ""
