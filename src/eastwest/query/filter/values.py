"""What is written behind an operator, read as the word's column holds it."""

from __future__ import annotations

import ipaddress
import re
from typing import Final

from eastwest.model.flow import IpAddress, IpNetwork, protocol_number
from eastwest.query.errors import ParameterError
from eastwest.query.filter.tokens import Token
from eastwest.query.filter.words import Sort, Word
from eastwest.query.timerange import instant_ns
from eastwest.store.predicates import Compare, InNetwork, Operator, Predicate

_SIZES: Final = {
    "": 1, "b": 1,
    "k": 10**3, "kb": 10**3, "m": 10**6, "mb": 10**6, "g": 10**9, "gb": 10**9, "t": 10**12, "tb": 10**12,
    "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40,
}  # fmt: skip
_COUNTS: Final = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}
_DURATIONS: Final = {"": 1, "ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_NUMBER: Final = re.compile(r"([0-9]{1,19})(?:\.([0-9]{1,9}))?\s*([A-Za-z]*)")
_LARGEST: Final = 2**63 - 1


def wrong(token: Token, message: str) -> ParameterError:
    """An error that points at a token."""
    return ParameterError("filter", message, token.start, max(token.end, token.start + 1))


def number(word: Word, token: Token) -> int:
    """A number with an optional unit: 1MB, 64KiB, 3k; for times RFC 3339 or nanoseconds."""
    if word.sort is Sort.TIME and "T" in token.text.upper():
        try:
            return instant_ns(token.text, "filter")
        except ParameterError as error:
            raise wrong(token, error.detail) from None
    units = {Sort.SIZE: _SIZES, Sort.TIME: _DURATIONS}.get(word.sort, _COUNTS)
    found = _NUMBER.fullmatch(token.text)
    if not found or found[3].lower() not in units:
        example = {Sort.SIZE: "1500, 64KiB or 1MB", Sort.TIME: "2026-11-22T12:00:00Z"}.get(word.sort, "443 or 10k")
        raise wrong(token, f"{word.name} is {word.sort.value}: {token.text!r} is not; write for example {example}")
    unit, fraction = units[found[3].lower()], found[2] or ""
    scale: int = 10 ** len(fraction)
    value, rest = divmod(int(found[1] + fraction) * unit, scale)
    if rest or value > _LARGEST:
        raise wrong(token, f"{token.text!r} is not a whole number below 2^63")
    return value


def protocol(token: Token) -> int:
    """TCP, udp, 132 …"""
    try:
        return protocol_number(token.text)
    except ValueError as error:
        raise wrong(token, str(error)) from None


def address(column: str, token: Token) -> Predicate:
    """An address, or a network of them (10.0.0.0/8; host bits are an error that says the network)."""
    try:
        if "/" not in token.text:
            return Compare(column, Operator.EQ, _mapped(ipaddress.ip_address(token.text)))
        network = ipaddress.ip_network(token.text)
    except ValueError as error:
        hint = ""
        if "host bits" in str(error):
            hint = f"; the network is {ipaddress.ip_network(token.text, strict=False)}"
        raise wrong(token, f"{token.text!r} is not an IP address or network{hint}") from None
    return InNetwork(column, _mapped(network.network_address), _mapped(_last(network)))


def _last(network: IpNetwork) -> IpAddress:
    return network.broadcast_address


def _mapped(address: IpAddress) -> ipaddress.IPv6Address:
    if isinstance(address, ipaddress.IPv6Address):
        return ipaddress.IPv6Address(int(address))  # without a zone
    return ipaddress.IPv6Address(f"::ffff:{address}")
