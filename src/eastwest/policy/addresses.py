"""Sets of IP addresses as intervals, one list per family; CIDR text in and out. Knows nothing of policies."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from eastwest.model.flow import IpAddress
from eastwest.policy.ports import Ranges, normalize, subtract

MAX_V4: Final = 2**32 - 1
MAX_V6: Final = 2**128 - 1
_MAPPED: Final = ipaddress.IPv6Network("::ffff:0:0/96")


@dataclass(frozen=True, slots=True)
class AddressSet:
    """IPv4 and IPv6 addresses as integers; ranges sorted and disjoint, bounds inclusive."""

    v4: Ranges = ()
    v6: Ranges = ()

    def __bool__(self) -> bool:
        return bool(self.v4 or self.v6)

    def __or__(self, other: AddressSet) -> AddressSet:
        return AddressSet(normalize(self.v4 + other.v4), normalize(self.v6 + other.v6))

    def __sub__(self, other: AddressSet) -> AddressSet:
        return AddressSet(subtract(self.v4, other.v4), subtract(self.v6, other.v6))

    def of_family(self, family: int) -> Ranges:
        """The ranges of family 4 or 6."""
        return self.v4 if family == 4 else self.v6

    def cidrs(self) -> Iterator[str]:
        """The fewest CIDRs that cover exactly this set, IPv4 first, ascending."""
        for low, high in self.v4:
            yield from map(
                str, ipaddress.summarize_address_range(ipaddress.IPv4Address(low), ipaddress.IPv4Address(high))
            )
        for low, high in self.v6:
            yield from map(
                str, ipaddress.summarize_address_range(ipaddress.IPv6Address(low), ipaddress.IPv6Address(high))
            )


NO_ADDRESSES: Final = AddressSet()
ALL_ADDRESSES: Final = AddressSet(((0, MAX_V4),), ((0, MAX_V6),))


def parse_address(text: str) -> tuple[int, int]:
    """(family, integer) of an address; an IPv4-mapped one counts as IPv4. Raises ValueError on bad text."""
    ip = ipaddress.ip_address(text)
    return split_address(ip)


def split_address(ip: IpAddress) -> tuple[int, int]:
    """(family, integer), IPv4-mapped as IPv4."""
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return (4, int(mapped)) if mapped else (ip.version, int(ip))


@lru_cache(maxsize=65536)
def parse_network(cidr: str) -> AddressSet:
    """The addresses of a CIDR; host bits are ignored, IPv4-mapped networks are IPv4. Raises ValueError on bad text."""
    network = ipaddress.ip_network(cidr, strict=False)
    if isinstance(network, ipaddress.IPv6Network):
        if network.subnet_of(_MAPPED):
            network = ipaddress.IPv4Network((int(network.network_address) & MAX_V4, network.prefixlen - 96))
        else:
            return AddressSet(v6=((int(network.network_address), int(network.broadcast_address)),))
    return AddressSet(v4=((int(network.network_address), int(network.broadcast_address)),))


def block(cidr: str, excepts: Iterable[str] = ()) -> AddressSet:
    """An ipBlock: `cidr` without its own `except` ranges."""
    out = parse_network(cidr)
    for hole in excepts:
        out = out - parse_network(hole)
    return out


def hosts(addresses: Iterable[str]) -> AddressSet:
    """Single addresses as a set."""
    v4: list[tuple[int, int]] = []
    v6: list[tuple[int, int]] = []
    for text in addresses:
        family, value = parse_address(text)
        (v4 if family == 4 else v6).append((value, value))
    return AddressSet(normalize(v4), normalize(v6))
