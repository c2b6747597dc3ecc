"""The batch header as JSON: written by the agent, read strictly by the collector (`decode` and `batch` call it).

Reading never trusts the sender: a wrong type, a missing field or an absurd number is a ValueError that names the field.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import json
from typing import Any, Final

from eastwest.model.batch import BATCH_VERSION, Amount, BatchHeader, Books, HookStatus

INT64_MAX: Final = 2**63 - 1
_HOOK_STATES: Final = ("on", "off", "refused")


class BatchError(ValueError):
    """A batch that can never be accepted; the text says what is wrong with it."""


def to_json(header: BatchHeader) -> bytes:
    """UTF-8 JSON, one object, field names as in the model."""
    return json.dumps(dataclasses.asdict(header), separators=(",", ":")).encode()


def from_json(raw: bytes) -> BatchHeader:
    """The inverse of `to_json`. Raises BatchError for anything that is not a header of this version."""
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise BatchError(f"batch header is not JSON: {error}") from None
    top = _Reader(value, "header")
    version = top.integer("version")
    if version != BATCH_VERSION:
        raise BatchError(f"header.version: this server reads version {BATCH_VERSION}, the agent sent {version}")
    header = BatchHeader(
        cluster=top.text("cluster"),
        node=top.text("node"),
        boot_id=top.text("boot_id"),
        seq=top.integer("seq"),
        window_start_ns=top.integer("window_start_ns"),
        window_end_ns=top.integer("window_end_ns"),
        sent_at_ns=top.integer("sent_at_ns"),
        agent_version=top.text("agent_version"),
        records=top.integer("records"),
        books=tuple(_books(r) for r in top.readers("books")),
        hooks=tuple(_hook(r) for r in top.readers("hooks")),
        shipping_lost=top.amounts("shipping_lost"),
        shipping_lost_windows=tuple(top.windows("shipping_lost_windows")),
        node_addresses=tuple(top.addresses("node_addresses")),
        version=version,
    )
    if header.window_end_ns < header.window_start_ns:
        raise BatchError("header.window_end_ns: must be ≥ window_start_ns")
    return header


def _books(r: _Reader) -> Books:
    return Books(
        pod_uid=r.optional_text("pod_uid"),
        interface=r.text("interface"),
        hook=r.amount("hook"),
        recorded=r.amount("recorded"),
        lost=r.amounts("lost"),
        other=r.integers("other"),
        unseen=r.amounts("unseen"),
    )


def _hook(r: _Reader) -> HookStatus:
    state = r.text("state")
    if state not in _HOOK_STATES:
        raise BatchError(f"{r.path}.state: expected one of {', '.join(_HOOK_STATES)}, not {state[:40]!r}")
    return HookStatus(r.text("name"), state, r.optional_text("reason"), tuple(r.texts("columns")))


class _Reader:
    """One JSON object, read field by field; `path` names it in messages."""

    def __init__(self, value: Any, path: str) -> None:
        if not isinstance(value, dict):
            raise BatchError(f"{path}: expected an object, not {type(value).__name__}")
        self._value: dict[str, Any] = value
        self.path = path

    def _get(self, name: str) -> Any:
        if name not in self._value:
            raise BatchError(f"{self.path}.{name}: missing")
        return self._value[name]

    def _list(self, name: str) -> list[Any]:
        value = self._get(name)
        if not isinstance(value, list):
            raise BatchError(f"{self.path}.{name}: expected a list, not {type(value).__name__}")
        return value

    def text(self, name: str) -> str:
        return _text(self._get(name), f"{self.path}.{name}")

    def optional_text(self, name: str) -> str | None:
        return None if self._get(name) is None else self.text(name)

    def texts(self, name: str) -> list[str]:
        return [_text(v, f"{self.path}.{name}[{i}]") for i, v in enumerate(self._list(name))]

    def addresses(self, name: str) -> list[str]:
        for i, text in enumerate(texts := self.texts(name)):
            try:
                ipaddress.ip_address(text)
            except ValueError:
                raise BatchError(f"{self.path}.{name}[{i}]: {text[:60]!r} is not an address") from None
        return texts

    def integer(self, name: str) -> int:
        return _integer(self._get(name), f"{self.path}.{name}")

    def integers(self, name: str) -> dict[str, int]:
        inner = self.reader(name)
        return {_text(key, inner.path): inner.integer(key) for key in inner.names()}

    def reader(self, name: str) -> _Reader:
        return _Reader(self._get(name), f"{self.path}.{name}")

    def readers(self, name: str) -> list[_Reader]:
        return [_Reader(v, f"{self.path}.{name}[{i}]") for i, v in enumerate(self._list(name))]

    def names(self) -> list[str]:
        return list(self._value)

    def amount(self, name: str) -> Amount:
        inner = self.reader(name)
        return Amount(inner.integer("bytes"), inner.integer("packets"))

    def amounts(self, name: str) -> dict[str, Amount]:
        inner = self.reader(name)
        return {_text(key, inner.path): inner.amount(key) for key in inner.names()}

    def windows(self, name: str) -> list[tuple[int, int]]:
        result = []
        for i, pair in enumerate(self._list(name)):
            path = f"{self.path}.{name}[{i}]"
            if not isinstance(pair, list) or len(pair) != 2:
                raise BatchError(f"{path}: expected [start_ns, end_ns]")
            result.append((_integer(pair[0], path), _integer(pair[1], path)))
        return result


def _text(value: Any, path: str) -> str:
    if not isinstance(value, str):
        raise BatchError(f"{path}: expected text, not {type(value).__name__}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise BatchError(f"{path}: text holds a lone surrogate") from None
    return value


def _integer(value: Any, path: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise BatchError(f"{path}: expected an integer, not {type(value).__name__}")
    if not 0 <= value <= INT64_MAX:
        raise BatchError(f"{path}: {str(value)[:40]} is outside 0…2^63-1")
    return value
