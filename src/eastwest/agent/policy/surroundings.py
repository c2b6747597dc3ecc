"""What the node's own network says that no plan can know: its addresses, its links that are no pod's, and news of both."""

from __future__ import annotations

import errno
import ipaddress
import re
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from eastwest.agent import netlink
from eastwest.agent.interfaces import Interface, State

_GROUPS: Final = 0x1 | 0x10 | 0x40 | 0x100 | 0x400
"""RTMGRP_LINK, _IPV4_IFADDR, _IPV4_ROUTE, _IPV6_IFADDR, _IPV6_ROUTE (include/uapi/linux/rtnetlink.h)."""

_HOST_MASK: Final = "FFFFFFFF"


class News:
    """Readable when a link, an address or a route of this network namespace may have changed. `fileno` is for poll."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, netlink.NETLINK_ROUTE)
        self._socket.bind((0, _GROUPS))
        self._socket.setblocking(False)

    def fileno(self) -> int:
        return self._socket.fileno()

    def drain(self) -> None:
        """Forget what came: everything is looked at again. What was lost (ENOBUFS) is news, too."""
        while True:
            try:
                self._socket.recv(1 << 16)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise

    def close(self) -> None:
        self._socket.close()


def not_pods(interfaces: Iterable[Interface], links: Iterable[tuple[int, str]], networked: set[str]) -> set[int]:
    """Interface indices that are known not to lead to a pod.

    `links`: (index, name) of all there are. `networked`: names of those with a route to a whole network, which a pod's
    veth never has. A veth to another namespace whose pod is not known may be a pod's.
    """
    maybe = {
        i.ifindex for i in interfaces if i.state is not State.IGNORED and not i.gone and not _network(i, networked)
    }
    return {index for index, _ in links if index not in maybe}


def _network(interface: Interface, networked: set[str]) -> bool:
    return interface.pod_uid is None and interface.link.name in networked


def may_be_a_pods(interface: Interface) -> bool:
    """Whether a veth may lead to a pod that is about to begin: no network is routed through it."""
    return interface.link.name not in networked()


def networked(v4: str | None = None, v6: str | None = None) -> set[str]:
    """Names of links with a route to more than one address, from the texts of /proc/net/route and /proc/net/ipv6_route.

    Link-local and multicast networks of IPv6, which every link has, do not count.
    """
    v4 = _text("/proc/thread-self/net/route") if v4 is None else v4
    v6 = _text("/proc/thread-self/net/ipv6_route") if v6 is None else v6
    found = {f[0] for line in v4.splitlines()[1:] if len(f := line.split()) > 7 and f[7] != _HOST_MASK}
    for line in v6.splitlines():
        fields = line.split()
        if len(fields) == 10 and fields[1] != "80" and not fields[0].startswith(("fe8", "ff")):
            found.add(fields[9])
    return found - {"lo"}


def links() -> list[tuple[int, str]]:
    """(index, name) of every link of this network namespace."""
    return socket.if_nameindex()


def own_addresses() -> tuple[str, ...]:
    """Every address of this node, link-local ones too; loopback never leaves it."""
    return netlink.list_addresses(link_local=True)


def pod_addresses(pid: int) -> tuple[str, ...]:
    """Addresses in the network namespace of a process but loopback and link-local ones; empty when it has ended."""
    v4 = re.findall(r"([0-9.]+)\n\s+/32 host LOCAL", _text(f"/proc/{pid}/net/fib_trie"))
    found = [ipaddress.ip_address(text) for text in v4]
    found += [
        ipaddress.IPv6Address(int(f[0], 16))
        for line in _text(f"/proc/{pid}/net/if_inet6").splitlines()
        if (f := line.split())
    ]
    return tuple(sorted({str(a) for a in found if not a.is_loopback and not a.is_link_local}))


def _text(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:  # a kernel without IPv6, a process that has ended
        return ""
