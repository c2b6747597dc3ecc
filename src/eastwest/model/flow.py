"""The small words of a flow: protocols, addresses, endpoints. Pure values, no I/O."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from enum import IntEnum, StrEnum

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network


class Protocol(IntEnum):
    """IP protocol numbers (IANA) that have a name here."""

    ICMP = 1
    TCP = 6
    UDP = 17
    ICMPV6 = 58
    SCTP = 132


def protocol_name(number: int) -> str:
    """`TCP`, `UDP` …; an unnamed protocol is its decimal number."""
    try:
        return Protocol(number).name
    except ValueError:
        return str(number)


def protocol_number(name: str) -> int:
    """The inverse of `protocol_name`, any case. Raises ValueError naming the word."""
    try:
        return Protocol[name.upper()].value
    except KeyError:
        if name.isdigit() and int(name) < 256:
            return int(name)
        raise ValueError(
            f"unknown protocol {name!r}: expected {', '.join(p.name for p in Protocol)} or 0-255"
        ) from None


class Direction(StrEnum):
    """Ingress or egress, as seen by the pod that a policy selects."""

    INGRESS = "ingress"
    EGRESS = "egress"


class EndKind(StrEnum):
    """What one end of a flow is (columns src_kind, dst_kind)."""

    POD = "pod"
    NODE = "node"
    SERVICE = "service"  # a Service address whose backend was never seen
    AWS = "aws"
    INTERNET = "internet"
    UNKNOWN = "unknown"


class Reporter(StrEnum):
    """Which end the reporting pod is."""

    CLIENT = "client"
    SERVER = "server"
    UNKNOWN = "unknown"


class RoleSource(StrEnum):
    """How client and server were told apart."""

    HANDSHAKE = "handshake"  # a TCP SYN, an SCTP INIT or an ICMP echo request was seen
    CONNTRACK = "conntrack"  # the kernel's conntrack original direction
    LISTENER = "listener"  # one end is a listening (or bound, for UDP) socket
    FIRST_PACKET = "first_packet"  # the first packet of a protocol without handshake
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, order=True)
class Workload:
    """What owns a pod: the top of its owner chain; a bare pod owns itself (kind "Pod")."""

    namespace: str
    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}[{self.kind}]"


def ip_bytes(address: str | IpAddress) -> bytes:
    """16 bytes in network order, IPv4 mapped (::ffff:a.b.c.d). Raises ValueError on bad text."""
    ip = ipaddress.ip_address(address) if isinstance(address, str) else address
    if ip.version == 4:
        return b"\0" * 10 + b"\xff\xff" + ip.packed
    return ip.packed


def ip_from_bytes(raw: bytes) -> IpAddress:
    """The inverse of `ip_bytes`: a mapped address comes back as IPv4."""
    ip = ipaddress.IPv6Address(raw)
    return ip.ipv4_mapped or ip
