"""Declared intent as sentences: who may reach whom, who alone may, who must not. Words to values, nothing else.

ui may reach orders on 8080
only orders, billing/* may reach orders-postgresql on 5432/TCP
payments/* must not reach the internet
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from eastwest.model.flow import Workload
from eastwest.policy.addresses import ALL_ADDRESSES, NO_ADDRESSES, AddressSet, parse_network
from eastwest.policy.ports import EVERYTHING, NOTHING, PortSet, ports_of

_SENTENCE: Final = re.compile(
    r"(?P<only>only\s+)?(?P<src>.+?)\s+(?P<verb>may|must not|may not)\s+reach\s+(?P<dst>.+?)(?:\s+on\s+(?P<ports>.+?))?\.?",
    re.IGNORECASE,
)
_PORT: Final = re.compile(r"(?:port\s+)?(\d+)(?:-(\d+))?(?:/(\w+))?", re.IGNORECASE)
_NAME: Final = re.compile(r"(?:([a-z0-9*][a-z0-9.*-]*)/)?([a-z0-9*][a-z0-9.*-]*)")
_PRIVATE: Final = (
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
    "192.168.0.0/16", "198.18.0.0/15", "224.0.0.0/3",
)  # fmt: skip


class IntentError(ValueError):
    """A sentence that means nothing; the message says what was expected."""


class Kind(StrEnum):
    MAY = "may"
    ONLY = "only"
    MUST_NOT = "must not"


@dataclass(frozen=True, slots=True)
class Ends:
    """Workloads by pattern and addresses. `internet`: stands for any of the addresses, not for all of them."""

    text: str
    patterns: tuple[tuple[str, str], ...] = ()  # (namespace, name), "*" = any
    addresses: AddressSet = NO_ADDRESSES
    internet: bool = False

    def holds(self, workload: Workload) -> bool:
        return any(space in ("*", workload.namespace) and name in ("*", workload.name) for space, name in self.patterns)


@dataclass(frozen=True, slots=True)
class Intent:
    """One sentence. `ports` None = any port."""

    text: str
    kind: Kind
    src: Ends
    dst: Ends
    ports: PortSet | None
    name: str
    line: int = 0

    @property
    def wanted(self) -> PortSet:
        return EVERYTHING if self.ports is None else self.ports


def internet() -> AddressSet:
    """Every public address."""
    v4 = AddressSet(v4=ALL_ADDRESSES.v4)
    for text in _PRIVATE:
        v4 = v4 - parse_network(text)
    return v4 | parse_network("2000::/3")


def parse_intent(text: str, namespace: str | None = None, name: str | None = None, line: int = 0) -> Intent:
    """One sentence; `namespace` is for ends that name none. Raises IntentError."""
    words = " ".join(text.split())
    match = _SENTENCE.fullmatch(words)
    if match is None:
        raise IntentError(
            f"{words!r}: expected `A may reach B [on PORT]`, `only A may reach B [on PORT]` or `A must not reach B [on PORT]`"
        )
    negative = match["verb"].lower() != "may"
    if match["only"] and negative:
        raise IntentError(f"{words!r}: `only` and `not` in one sentence")
    kind = Kind.ONLY if match["only"] else Kind.MUST_NOT if negative else Kind.MAY
    src, dst = (_ends(match[side], namespace) for side in ("src", "dst"))
    return Intent(words, kind, src, dst, _ports(match["ports"]), name or words, line)


def _ends(text: str, namespace: str | None) -> Ends:
    patterns: list[tuple[str, str]] = []
    addresses, outside = NO_ADDRESSES, False
    for raw in re.split(r"\s*,\s*|\s+and\s+|\s+or\s+", text):
        word = raw.removeprefix("the ").strip()
        if word == "internet":
            addresses, outside = addresses | internet(), True
        elif _is_network(word):
            addresses = addresses | parse_network(word)
        elif match := _NAME.fullmatch(word):
            space = match[1] or ("*" if match[2] == "*" else namespace)
            if space is None:
                raise IntentError(f"{word!r}: no namespace; write ns/{word}, or `namespace:` at the top of the file")
            patterns.append((space, match[2]))
        else:
            raise IntentError(f"{word!r}: expected ns/workload, ns/*, an address, a CIDR or `the internet`")
    return Ends(text, tuple(patterns), addresses, outside)


def _is_network(word: str) -> bool:
    try:
        ipaddress.ip_network(word, strict=False)
    except ValueError:
        return False
    return True


def _ports(text: str | None) -> PortSet | None:
    if text is None:
        return None
    out = NOTHING
    for word in re.split(r"\s*,\s*|\s+and\s+", text):
        match = _PORT.fullmatch(word)
        protocol = (match[3] or "TCP").upper() if match else ""
        low = int(match[1]) if match else 0
        high = int(match[2] or low) if match else 0
        if protocol not in ("TCP", "UDP", "SCTP") or not 1 <= low <= high <= 65535:
            raise IntentError(f"{word!r}: expected a port such as 8080, 53/UDP or 8000-8100")
        out = out | ports_of(protocol, low, high)
    return out
