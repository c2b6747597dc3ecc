"""The small parts of a plan (pods, reasons, settings) as JSON and rows; read strictly: never trusts the sender."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from eastwest.model.flow import Direction
from eastwest.model.plan import Mode, PlanPod, Reason, Ruling, Side
from eastwest.wire.plan_rows import PlanError

REASONS: Final = np.dtype(
    [
        ("tier", "<u4"),
        ("policy", "<u4"),
        ("text", "<u4"),
        ("rule", "<i4"),
        ("direction", "u1"),
        ("ruling", "u1"),
        ("pad", "u1", 2),
    ]
)
"""Reasons as indices into a list of words; word 0 is None, rule -1 is None."""

_DIRECTIONS: Final = (Direction.INGRESS, Direction.EGRESS)
_UINT32: Final = 2**32 - 1
_INT64: Final = 2**63 - 1
E = TypeVar("E", bound=StrEnum)


def pack_reasons(reasons: Sequence[Reason]) -> tuple[list[str], NDArray[Any]]:
    """(words from number 1 on, rows)."""
    number: dict[str, int] = {}

    def of(word: str) -> int:
        return number.setdefault(word, len(number) + 1)

    rows = np.array(
        [
            (
                of(r.tier),
                0 if r.policy is None else of(r.policy),
                of(r.text),
                -1 if r.rule is None else r.rule,
                _DIRECTIONS.index(r.direction),
                int(r.ruling),
                (0, 0),
            )
            for r in reasons
        ],
        REASONS,
    )
    return list(number), rows


def unpack_reasons(words: Sequence[str], rows: NDArray[Any]) -> tuple[Reason, ...]:
    """The inverse of `pack_reasons`. Raises PlanError."""
    if not len(rows):
        return ()
    for name, least in (("tier", 1), ("policy", 0), ("text", 1)):
        if int(rows[name].max()) > len(words) or int(rows[name].min()) < least:
            raise PlanError(f"reasons: {name} is not one of the {len(words)} words")
    if int(rows["direction"].max()) > 1 or int(rows["ruling"].max()) > 2 or int(rows["rule"].min()) < -1:
        raise PlanError("reasons: a direction, ruling or rule is out of range")
    if rows["pad"].any():
        raise PlanError("reasons: padding is not zero")
    known: list[str | None] = [None, *words]
    return tuple(
        Reason(
            known[tier] or "",
            _DIRECTIONS[direction],
            Ruling(ruling),
            known[policy],
            None if rule < 0 else rule,
            known[text] or "",
        )
        for tier, policy, text, rule, direction, ruling, _ in rows.tolist()
    )


def pack_pod(pod: PlanPod) -> dict[str, Any]:
    return {
        "uid": pod.uid,
        "namespace": pod.namespace,
        "name": pod.name,
        "addresses": list(pod.addresses),
        "egress": [pod.egress.mode, pod.egress.table, pod.egress.row],
        "ingress": [pod.ingress.mode, pod.ingress.table, pod.ingress.row],
    }


class Fields:
    """One JSON object, read field by field; `path` names it in messages. Every reader raises PlanError."""

    def __init__(self, value: Any, path: str) -> None:
        if not isinstance(value, dict):
            raise PlanError(f"{path}: expected an object, not {type(value).__name__}")
        self._value: dict[str, Any] = value
        self.path = path

    @classmethod
    def parse(cls, raw: bytes, path: str) -> Fields:
        try:
            return cls(json.loads(raw), path)
        except (ValueError, RecursionError) as error:
            if isinstance(error, PlanError):
                raise
            raise PlanError(f"{path} is not JSON: {str(error)[:100]}") from None

    def get(self, name: str) -> Any:
        if name not in self._value:
            raise PlanError(f"{self.path}.{name}: missing")
        return self._value[name]

    def text(self, name: str) -> str:
        return _text(self.get(name), f"{self.path}.{name}")

    def texts(self, name: str) -> list[str]:
        return [_text(v, f"{self.path}.{name}[{i}]") for i, v in enumerate(self._items(name))]

    def integer(self, name: str, most: int = _INT64) -> int:
        return _integer(self.get(name), f"{self.path}.{name}", most)

    def word(self, name: str, kind: type[E]) -> E:
        return _word(self.text(name), kind, f"{self.path}.{name}")

    def networks(self, name: str) -> tuple[str, ...]:
        for i, text in enumerate(texts := self.texts(name)):
            try:
                ipaddress.ip_network(text)
            except ValueError:
                raise PlanError(f"{self.path}.{name}[{i}]: {text[:60]!r} is not a network") from None
        return tuple(texts)

    def optional_text(self, name: str) -> str | None:
        return None if self.get(name) is None else self.text(name)

    def optional(self, name: str) -> Fields | None:
        """The object there, or None for null."""
        value = self.get(name)
        return None if value is None else Fields(value, f"{self.path}.{name}")

    def objects(self, name: str) -> list[Fields]:
        return [Fields(v, f"{self.path}.{name}[{i}]") for i, v in enumerate(self._items(name))]

    def pods(self, name: str) -> tuple[PlanPod, ...]:
        return tuple(_pod(fields) for fields in self.objects(name))

    def side(self, name: str) -> Side:
        items, path = self._items(name), f"{self.path}.{name}"
        if len(items) != 3:
            raise PlanError(f"{path}: expected [mode, table, row]")
        mode = _word(_text(items[0], path), Mode, path)
        return Side(mode, _integer(items[1], path, _UINT32), _integer(items[2], path, _UINT32))

    def _items(self, name: str) -> list[Any]:
        value = self.get(name)
        if not isinstance(value, list):
            raise PlanError(f"{self.path}.{name}: expected a list, not {type(value).__name__}")
        return value


def _pod(fields: Fields) -> PlanPod:
    addresses = fields.texts("addresses")
    for address in addresses:
        try:
            ipaddress.ip_address(address)
        except ValueError:
            raise PlanError(f"{fields.path}.addresses: {address[:60]!r} is not an address") from None
    return PlanPod(
        uid=fields.text("uid"),
        namespace=fields.text("namespace"),
        name=fields.text("name"),
        addresses=tuple(addresses),
        egress=fields.side("egress"),
        ingress=fields.side("ingress"),
    )


def _text(value: Any, path: str) -> str:
    if not isinstance(value, str):
        raise PlanError(f"{path}: expected text, not {type(value).__name__}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise PlanError(f"{path}: text holds a lone surrogate") from None
    return value


def _integer(value: Any, path: str, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise PlanError(f"{path}: expected an integer, not {type(value).__name__}")
    if not 0 <= value <= most:
        raise PlanError(f"{path}: {str(value)[:40]} is outside 0…{most}")
    return value


def _word(text: str, kind: type[E], path: str) -> E:
    try:
        return kind(text)
    except ValueError:
        raise PlanError(f"{path}: expected one of {', '.join(kind)}, not {text[:40]!r}") from None
