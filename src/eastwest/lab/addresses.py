"""Which addresses a lab uses. Every lab uses the same ones: nothing of it is visible outside its own namespaces."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import Final

REGION: Final = "us-east-1"
ZONES: Final = ("us-east-1a", "us-east-1b", "us-east-1c")
SERVICE_V4: Final = ipaddress.IPv4Network("10.96.0.0/16")
SERVICE_V6: Final = ipaddress.IPv6Network("fd00:10:96::/112")
PODS_V4: Final = ipaddress.IPv4Network("10.244.0.0/16")
PODS_V6: Final = ipaddress.IPv6Network("fd00:10:244::/48")
NODES_V4: Final = ipaddress.IPv4Network("10.0.0.0/16")
NODES_V6: Final = ipaddress.IPv6Network("fd00:10::/64")
LOAD_BALANCERS_V4: Final = ipaddress.IPv4Network("203.0.113.0/24")  # RFC 5737
LOAD_BALANCERS_V6: Final = ipaddress.IPv6Network("2001:db8:203::/112")  # RFC 3849
DNS_V4: Final = "10.96.0.10"
DNS_V6: Final = "fd00:10:96::a"
GATEWAY_V4: Final = "169.254.1.1"  # what a pod calls its node
FABRIC_V4: Final = "169.254.0.1"  # what a node calls the fabric; a node must not own it, or ARP calls it a martian
GATEWAY_V6: Final = "fe80::1"
NODE_PORTS: Final = range(30000, 32768)


@dataclass(frozen=True, slots=True)
class NodePlan:
    """What node number `index` (from 0) is called and addressed."""

    index: int

    @property
    def name(self) -> str:
        return f"node-{self.index + 1}"

    @property
    def zone(self) -> str:
        return ZONES[self.index % len(ZONES)]

    @property
    def provider_id(self) -> str:
        return f"aws:///{self.zone}/i-{0xEA57_0000_0000 + self.index:017x}"

    @property
    def ipv4(self) -> str:
        """From the zone's own subnet: 10.0.0.0/20, 10.0.16.0/20 …"""
        return str(NODES_V4[(self.index % len(ZONES)) * 4096 + 10 + self.index // len(ZONES)])

    @property
    def ipv6(self) -> str:
        return str(NODES_V6[10 + self.index])

    @property
    def pods_v4(self) -> str:
        return f"10.244.{self.index}.0/24"

    @property
    def pods_v6(self) -> str:
        return f"fd00:10:244:{self.index:x}::/64"

    @property
    def mac(self) -> str:
        return f"02:ea:57:00:00:{self.index + 1:02x}"


class Full(Exception):  # noqa: N818
    """No address is left in a range."""


@dataclass
class Pool:
    """Hands out numbers from `first` to `last` inclusive in turn, so that one is reused as late as possible."""

    first: int
    last: int
    used: set[int] = field(default_factory=set)
    _next: int = 0

    def take(self, wanted: int | None = None) -> int:
        """A free number, or `wanted`. Raises Full."""
        size = self.last - self.first + 1
        candidates = [wanted] if wanted is not None else [self.first + (self._next + i) % size for i in range(size)]
        for number in candidates:
            if number not in self.used and self.first <= number <= self.last:
                self.used.add(number)
                if wanted is None:
                    self._next = number - self.first + 1
                return number
        raise Full(f"{wanted} is taken or out of range" if wanted is not None else "no address left")

    def give_back(self, number: int) -> None:
        self.used.discard(number)
