"""The counters of a veth's far end, read through its network namespace's id: no entering, one question per interface."""

from __future__ import annotations

import errno
import socket
import struct
from dataclasses import dataclass
from typing import Final

from eastwest.agent.netlink import (
    NETLINK_ROUTE,
    NLMSG_ERROR,
    RTM_GETLINK,
    RTM_NEWLINK,
    Link,
    attributes,
    link_body,
    messages,
    raise_error,
    request,
)

IFLA_STATS64, IFLA_TARGET_NETNSID = 23, 46
_STATS: Final = struct.Struct("=QQQQ")  # rtnl_link_stats64: rx_packets, tx_packets, rx_bytes, tx_bytes, …


@dataclass(frozen=True, slots=True)
class LinkCounts:
    """Frames both ways, with their Ethernet headers; a GSO super-packet is one frame, as at the hook."""

    bytes: int
    packets: int


class LinkCounters:
    """One netlink socket in the caller's network namespace. For one thread."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_ROUTE)
        self._socket.bind((0, 0))

    def read(self, link: Link) -> LinkCounts | None:
        """The far end's counters; None when it has none here (it is gone). Raises OSError when the kernel refuses."""
        if link.peer_nsid is None or not link.peer_ifindex:
            return None
        target = struct.pack("=HHi", 8, IFLA_TARGET_NETNSID, link.peer_nsid)
        self._socket.send(request(RTM_GETLINK, 0, link_body(link.peer_ifindex) + target))
        for kind, body in messages(self._socket.recv(1 << 15)):
            if kind == NLMSG_ERROR:
                try:
                    raise_error(body)
                except OSError as error:
                    if error.errno in (errno.ENODEV, errno.EINVAL):  # EINVAL: the namespace's id is gone
                        return None
                    raise
            if kind == RTM_NEWLINK:
                raw = dict(attributes(body, len(link_body(0)), len(body))).get(IFLA_STATS64, b"")
                if len(raw) >= _STATS.size:
                    rx_packets, tx_packets, rx_bytes, tx_bytes = _STATS.unpack_from(raw)
                    return LinkCounts(rx_bytes + tx_bytes, rx_packets + tx_packets)
        return None

    def close(self) -> None:
        self._socket.close()
