"""rtnetlink by hand: this network namespace's veth links, what happens to them, and the ids of their peers' namespaces.

Reads only. rtnetlink(7), include/uapi/linux/rtnetlink.h, if_link.h and net_namespace.h.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

NETLINK_ROUTE: Final = 0
RTMGRP_LINK: Final = 1
RTM_NEWADDR, RTM_GETADDR = 20, 22
RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK, RTM_NEWNSID, RTM_GETNSID = 16, 17, 18, 88, 90
NLMSG_ERROR, NLMSG_DONE = 2, 3
NLM_F_REQUEST, NLM_F_DUMP = 1, 0x300
IFLA_IFNAME, IFLA_LINK, IFLA_LINKINFO, IFLA_LINK_NETNSID, IFLA_INFO_KIND, IFLA_INFO_DATA = 3, 5, 18, 37, 1, 2
NETNSA_NSID, NETNSA_FD = 1, 3
IFA_ADDRESS, IFA_LOCAL, RT_SCOPE_HOST = 1, 2, 254
_HEADER: Final = struct.Struct("=IHHII")
_LINK: Final = struct.Struct("=BxHiII")


@dataclass(frozen=True, slots=True)
class Link:
    """One end of a veth in this namespace. `peer_nsid` None: its other end is in this namespace too."""

    ifindex: int
    name: str
    peer_nsid: int | None
    peer_ifindex: int = 0  # in its own namespace


@dataclass(frozen=True, slots=True)
class LinkEvent:
    link: Link
    gone: bool


class OverrunError(Exception):
    """The kernel dropped events: list the links again."""


def attributes(data: bytes, start: int, end: int) -> Iterator[tuple[int, bytes]]:
    """(type, value) of each rtattr in data[start:end]; a damaged tail ends the iteration."""
    at = start
    while at + 4 <= end:
        length, kind = struct.unpack_from("=HH", data, at)
        if length < 4 or at + length > end:
            return
        yield kind & 0x3FFF, data[at + 4 : at + length]
        at += (length + 3) & ~3


def messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(type, body) of each netlink message in one datagram."""
    at = 0
    while at + _HEADER.size <= len(data):
        length, kind, _, _, _ = _HEADER.unpack_from(data, at)
        if length < _HEADER.size or at + length > len(data):
            return
        yield kind, data[at + _HEADER.size : at + length]
        at += (length + 3) & ~3


def parse_link(kind: int, body: bytes) -> LinkEvent | None:
    """A veth's appearance, change or end; None for every other message."""
    if kind not in (RTM_NEWLINK, RTM_DELLINK) or len(body) < _LINK.size:
        return None
    family, _, ifindex, _, _ = _LINK.unpack_from(body)
    if family != socket.AF_UNSPEC:  # a bridge port's own event
        return None
    found = dict(attributes(body, _LINK.size, len(body)))
    info = found.get(IFLA_LINKINFO, b"")
    if dict(attributes(info, 0, len(info))).get(IFLA_INFO_KIND, b"").rstrip(b"\0") != b"veth":
        return None
    raw = found.get(IFLA_LINK_NETNSID, b"")
    nsid = int.from_bytes(raw, "little", signed=True) if len(raw) == 4 else None
    name = found.get(IFLA_IFNAME, b"").rstrip(b"\0").decode(errors="replace")
    peer = int.from_bytes(found.get(IFLA_LINK, b""), "little")
    return LinkEvent(Link(ifindex, name, nsid, peer), kind == RTM_DELLINK)


def link_body(ifindex: int) -> bytes:
    """struct ifinfomsg of a question about one link."""
    return _LINK.pack(0, 0, ifindex, 0, 0)


def request(kind: int, flags: int, body: bytes) -> bytes:
    """One netlink message."""
    return _HEADER.pack(_HEADER.size + len(body), kind, NLM_F_REQUEST | flags, 1, 0) + body


class LinkEvents:
    """Tells every change of links from its creation on. `fileno` is for poll."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_ROUTE)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self._socket.bind((0, RTMGRP_LINK))
        self._socket.setblocking(False)

    def fileno(self) -> int:
        return self._socket.fileno()

    def read(self) -> list[LinkEvent]:
        """What has happened since the last call. Raises OverrunError when some of it was lost."""
        found: list[LinkEvent] = []
        while True:
            try:
                data = self._socket.recv(1 << 16)
            except BlockingIOError:
                return found
            except OSError as error:
                if error.errno == errno.ENOBUFS:
                    raise OverrunError from None
                raise
            found += [e for kind, body in messages(data) if (e := parse_link(kind, body)) is not None]

    def close(self) -> None:
        self._socket.close()


def answers(asked: socket.socket) -> Iterator[tuple[int, bytes]]:
    """(type, body) of everything that the kernel answers a request with NLM_F_DUMP with. Raises OSError when it refuses."""
    while True:
        for kind, body in messages(asked.recv(1 << 18)):
            if kind in (NLMSG_DONE, NLMSG_ERROR):
                raise_error(body)  # a dump may also end with an error
            if kind == NLMSG_DONE:
                return
            yield kind, body


def dump(kind: int, body: bytes) -> Iterator[tuple[int, bytes]]:
    """`answers` to one rtnetlink dump."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_ROUTE) as s:
        s.bind((0, 0))
        s.send(request(kind, NLM_F_DUMP, body))
        yield from answers(s)


def list_links() -> list[Link]:
    """Every veth of this network namespace."""
    events = (parse_link(kind, body) for kind, body in dump(RTM_GETLINK, link_body(0)))
    return [event.link for event in events if event is not None]


_TUNNELS: Final = {b"vxlan": (15, 4789), b"geneve": (5, 6081)}
"""Kind -> attribute of its UDP port (IFLA_VXLAN_PORT, IFLA_GENEVE_PORT; network order), and the port without one."""


def parse_tunnel(kind: int, body: bytes) -> int | None:
    """The UDP port of a VXLAN or Geneve device; None for every other message."""
    if kind != RTM_NEWLINK or len(body) < _LINK.size:
        return None
    info = dict(attributes(body, _LINK.size, len(body))).get(IFLA_LINKINFO, b"")
    fields = dict(attributes(info, 0, len(info)))
    known = _TUNNELS.get(fields.get(IFLA_INFO_KIND, b"").rstrip(b"\0"))
    if known is None:
        return None
    data = fields.get(IFLA_INFO_DATA, b"")
    raw = dict(attributes(data, 0, len(data))).get(known[0], b"")
    return int.from_bytes(raw, "big") if len(raw) == 2 else known[1]


def list_tunnel_ports() -> set[int]:
    """UDP ports of this network namespace's VXLAN and Geneve devices."""
    ports = (parse_tunnel(kind, body) for kind, body in dump(RTM_GETLINK, link_body(0)))
    return {port for port in ports if port is not None}


def parse_address(kind: int, body: bytes, *, link_local: bool = False) -> str | None:
    """One of the node's own addresses; None for loopback, IPv6 link-local unless asked for, and every other message."""
    if kind != RTM_NEWADDR or len(body) < 8:
        return None
    family, _, _, scope = struct.unpack_from("=BBBB", body)
    found = dict(attributes(body, 8, len(body)))
    raw = found.get(IFA_LOCAL) or found.get(IFA_ADDRESS) or b""
    if scope == RT_SCOPE_HOST or len(raw) != {socket.AF_INET: 4, socket.AF_INET6: 16}.get(family):
        return None
    address = ipaddress.ip_address(raw)
    return None if address.version == 6 and address.is_link_local and not link_local else str(address)


def list_addresses(*, link_local: bool = False) -> tuple[str, ...]:
    """Every address of this network namespace's interfaces, sorted, without loopback; IPv6 link-local ones if asked for."""
    answers = dump(RTM_GETADDR, bytes(8))
    addresses = (parse_address(kind, body, link_local=link_local) for kind, body in answers)
    return tuple(sorted({address for address in addresses if address is not None}))


class NamespaceIds:
    """Asks which id this network namespace has for another one."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_ROUTE)
        self._socket.bind((0, 0))

    def find(self, netns_fd: int) -> int | None:
        """The id of the namespace that `netns_fd` (an open /proc/PID/ns/net) stands for; None: it has none here."""
        body = struct.pack("=Bxxx", 0) + struct.pack("=HHI", 8, NETNSA_FD, netns_fd)
        self._socket.send(request(RTM_GETNSID, 0, body))
        for kind, answer in messages(self._socket.recv(1 << 14)):
            if kind == RTM_NEWNSID:
                raw = dict(attributes(answer, 4, len(answer))).get(NETNSA_NSID, b"")
                nsid = int.from_bytes(raw, "little", signed=True)
                return nsid if nsid >= 0 else None
        return None

    def close(self) -> None:
        self._socket.close()


def raise_error(body: bytes) -> None:
    """Raises OSError for an NLMSG_ERROR that is no acknowledgement."""
    code = -int.from_bytes(body[:4], "little", signed=True)
    if code:
        raise OSError(code, f"netlink: {os.strerror(code)}")
