"""The few rtnetlink requests that wire a pod, made in this process: `ip -batch` costs a program start per pod and side.

A step is `[verb, arguments]`, plain enough to travel as JSON. Layouts: linux/rtnetlink.h, if_link.h, if_addr.h.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import struct
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

Step = Sequence[Any]  # [verb, {argument: value}]

_NEWLINK, _DELLINK, _NEWADDR, _NEWROUTE = 16, 17, 20, 24
_REQUEST_ACK: Final = 0x5
_CREATE: Final = 0x600  # NLM_F_CREATE | NLM_F_EXCL
_IFF_UP: Final = 1
_IFA_F_NODAD: Final = 2
_SCOPE_LINK: Final = 253
_MAIN_TABLE, _BOOT, _UNICAST = 254, 3, 1


def run(steps: Iterable[Step]) -> None:
    """Do all steps in the current network namespace. Raises OSError naming the step that failed."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as sock:
        sock.bind((0, 0))
        for number, (verb, arguments) in enumerate(steps, 1):
            kind, flags, body = _VERBS[verb](**arguments)
            head = struct.pack("=IHHII", 16 + len(body), kind, _REQUEST_ACK | flags, number, 0)
            sock.send(head + body)
            error = struct.unpack_from("=i", sock.recv(65536), 16)[0]
            if error:
                raise OSError(-error, f"{verb} {arguments}: {os.strerror(-error)}")


def _attribute(kind: int, value: bytes) -> bytes:
    padding = -len(value) % 4
    return struct.pack("=HH", 4 + len(value), kind) + value + b"\0" * padding


def _ifinfo(index: int = 0, flags: int = 0, change: int = 0) -> bytes:
    return struct.pack("=BBHiII", 0, 0, 0, index, flags, change)


def _name(text: str) -> bytes:
    return _attribute(3, text.encode() + b"\0")  # IFLA_IFNAME


def _mac(text: str) -> bytes:
    return _attribute(1, bytes.fromhex(text.replace(":", "")))  # IFLA_ADDRESS


def _veth(name: str, peer: str, peer_mac: str, peer_pid: int, mtu: int | None = None) -> tuple[int, int, bytes]:
    """A pair of links: `name` here, `peer` in the network namespace of `peer_pid`."""
    size = _attribute(4, struct.pack("=I", mtu)) if mtu else b""  # IFLA_MTU
    other = _ifinfo() + _name(peer) + _mac(peer_mac) + size + _attribute(19, struct.pack("=I", peer_pid))  # NET_NS_PID
    data = _attribute(2, _attribute(1, other))  # IFLA_INFO_DATA { VETH_INFO_PEER }
    return _NEWLINK, _CREATE, _ifinfo() + _name(name) + size + _attribute(18, _attribute(1, b"veth\0") + data)


def _up(name: str) -> tuple[int, int, bytes]:
    return _NEWLINK, 0, _ifinfo(socket.if_nametoindex(name), _IFF_UP, _IFF_UP)


def _delete(name: str) -> tuple[int, int, bytes]:
    return _DELLINK, 0, _ifinfo(socket.if_nametoindex(name))


def _port(name: str, bridge: str) -> tuple[int, int, bytes]:
    """Make `name` a port of `bridge`."""
    master = _attribute(10, struct.pack("=I", socket.if_nametoindex(bridge)))  # IFLA_MASTER
    return _NEWLINK, 0, _ifinfo(socket.if_nametoindex(name)) + master


def _hairpin(name: str) -> tuple[int, int, bytes]:
    """Let a bridge port's frames go back out of it: IFLA_INFO_SLAVE_KIND, IFLA_INFO_SLAVE_DATA { IFLA_BRPORT_MODE }."""
    info = _attribute(4, b"bridge\0") + _attribute(5, _attribute(4, b"\1"))
    return _NEWLINK, 0, _ifinfo(socket.if_nametoindex(name)) + _attribute(18, info)


def _address(name: str, address: str, *, link_scope: bool = False) -> tuple[int, int, bytes]:
    """An address with its prefix length; IPv6 without duplicate address detection."""
    interface = ipaddress.ip_interface(address)
    six = interface.version == 6
    family = socket.AF_INET6 if six else socket.AF_INET
    flags, scope = (_IFA_F_NODAD if six else 0), (_SCOPE_LINK if link_scope else 0)
    head = struct.pack("=BBBBI", family, interface.network.prefixlen, flags, scope, socket.if_nametoindex(name))
    own = _attribute(1, interface.ip.packed) + _attribute(2, interface.ip.packed)  # IFA_ADDRESS, IFA_LOCAL
    return _NEWADDR, _CREATE, head + own


def _route(
    to: str, name: str, via: str | None = None, source: str | None = None, *, link_scope: bool = False
) -> tuple[int, int, bytes]:
    """A route to the network `to` out of `name`."""
    network = ipaddress.ip_network(to)
    family = socket.AF_INET6 if network.version == 6 else socket.AF_INET
    scope = _SCOPE_LINK if link_scope or (via is None and network.version == 4) else 0
    head = struct.pack("=BBBBBBBBI", family, network.prefixlen, 0, 0, _MAIN_TABLE, _BOOT, scope, _UNICAST, 0)
    parts = _attribute(4, struct.pack("=I", socket.if_nametoindex(name)))  # RTA_OIF
    if network.prefixlen:
        parts += _attribute(1, network.network_address.packed)  # RTA_DST
    if via:
        parts += _attribute(5, ipaddress.ip_address(via).packed)  # RTA_GATEWAY
    if source:
        parts += _attribute(7, ipaddress.ip_address(source).packed)  # RTA_PREFSRC
    return _NEWROUTE, _CREATE, head + parts


_VERBS: Final[dict[str, Callable[..., tuple[int, int, bytes]]]] = {
    "veth": _veth,
    "up": _up,
    "delete": _delete,
    "port": _port,
    "hairpin": _hairpin,
    "address": _address,
    "route": _route,
}
