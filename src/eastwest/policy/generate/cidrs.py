"""Addresses to a bounded number of CIDRs, with what each widening costs in addresses nobody was seen at."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

from eastwest.model.flow import IpAddress, IpNetwork

_FORBIDDEN = 1 << 130
"""Cost of covering what must not be covered: more than the whole IPv6 space."""


@dataclass(frozen=True, slots=True)
class Block:
    """A CIDR and how many addresses in it were not seen."""

    network: IpNetwork
    extra: int

    def __str__(self) -> str:
        return str(self.network)


def blocks(addresses: Iterable[str], limit: int, avoid: Iterable[str] = ()) -> list[Block]:
    """At most `limit` (>= 1) CIDRs per family that cover the addresses, host by host while that is enough.

    `avoid`: CIDRs (the pods') that a widening only covers when the limit cannot be kept otherwise.
    """
    parsed = {ipaddress.ip_address(a) for a in addresses}
    walls = [ipaddress.ip_network(text) for text in avoid]
    out: list[Block] = []
    for version in (4, 6):
        seen: list[IpAddress] = sorted((a for a in parsed if a.version == version), key=int)
        if seen:
            out += _family(seen, limit, [w for w in walls if w.version == version])
    return out


def _family(seen: list[IpAddress], limit: int, walls: list[IpNetwork]) -> list[Block]:
    networks = [(ipaddress.ip_network(a), 1) for a in seen]  # (network, addresses seen in it)
    while len(networks) > limit:
        costs = [_cost(networks[i], networks[i + 1], walls) for i in range(len(networks) - 1)]
        best = min(range(len(costs)), key=lambda i: (costs[i], i))
        union = _union(networks[best][0], networks[best + 1][0])
        inside = [n for n in networks if _holds(union, n[0])]
        rest = [n for n in networks if not _holds(union, n[0])]
        networks = sorted([*rest, (union, sum(count for _, count in inside))], key=lambda n: int(n[0].network_address))
    return [Block(network, network.num_addresses - count) for network, count in _joined(networks)]


def _joined(networks: list[tuple[IpNetwork, int]]) -> list[tuple[IpNetwork, int]]:
    """Halves that together are one whole network, joined: no address is added."""
    out: list[tuple[IpNetwork, int]] = []
    for network, count in networks:
        current, total = network, count
        while out and out[-1][0].prefixlen == current.prefixlen and current.prefixlen > 0:
            union = _union(out[-1][0], current)
            if union.prefixlen != current.prefixlen - 1:
                break
            total += out.pop()[1]
            current = union
        out.append((current, total))
    return out


def _cost(one: tuple[IpNetwork, int], other: tuple[IpNetwork, int], walls: list[IpNetwork]) -> int:
    union = _union(one[0], other[0])
    forbidden = any(_overlap(union, w) and not _overlap(one[0], w) and not _overlap(other[0], w) for w in walls)
    return union.num_addresses - one[1] - other[1] + (_FORBIDDEN if forbidden else 0)


def _union(one: IpNetwork, other: IpNetwork) -> IpNetwork:
    """The smallest network that holds both."""
    low, high = int(one.network_address), int(other.broadcast_address)
    length = one.max_prefixlen - (low ^ high).bit_length()
    length = min(length, one.prefixlen, other.prefixlen)
    if isinstance(one, ipaddress.IPv4Network):
        return ipaddress.IPv4Network((low, length), strict=False)
    return ipaddress.IPv6Network((low, length), strict=False)


def _holds(outer: IpNetwork, inner: IpNetwork) -> bool:
    return int(outer.network_address) <= int(inner.network_address) <= int(outer.broadcast_address)


def _overlap(one: IpNetwork, other: IpNetwork) -> bool:
    return int(one.network_address) <= int(other.broadcast_address) and int(other.network_address) <= int(
        one.broadcast_address
    )
